"""A store with the objects that tests of it need, and the callers that ask."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from certline_master.domain.access import SYSTEM, Caller, Role
from certline_master.domain.model import (
    Certificate,
    Challenge,
    ChallengeState,
    ChallengeType,
    Follower,
    FollowerState,
    Issuer,
    Line,
    Order,
    OrderState,
    OrderWork,
    Owner,
    Version,
    VersionState,
)
from certline_master.domain.ports import Records
from certline_master.store.kek import Kek, new_kek
from certline_master.store.opening import SqlStore, open_store
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.keys import KeyType

T = TypeVar("T")

VIEWER = Caller(Role.VIEWER, "vera")
OPERATOR = Caller(Role.OPERATOR, "otto")
ADMIN = Caller(Role.ADMIN, "ada")

LEASE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
OVER_AT_ONCE = timedelta(seconds=-1)
"""A lease that is over when it is given: time passes without waiting, on the database's clock too."""


class StoreBed:
    """The real clock, because Postgres decides by its own."""

    def __init__(self, url: str) -> None:
        self.url, self.clock, self.chance = url, SystemClock(), SystemChance()
        self.kek = new_kek(self.chance)
        self.store = self.open()
        self.store.initialise()
        self.now = self.clock.now()
        self._others: list[SqlStore] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        for store in (self.store, *self._others):
            store.close()

    @property
    def is_postgres(self) -> bool:
        return self.url.startswith("postgresql")

    def open(self, *, kek: Kek | None = None) -> SqlStore:
        return open_store(self.url, kek=kek or self.kek, clock=self.clock, chance=self.chance)

    def second_master(self) -> SqlStore:
        """Another store on the same database; on SQLite there can be none, and it is the same one."""
        if not self.is_postgres:
            return self.store
        self._others.append(self.open())
        return self._others[-1]

    def write(self, work: Callable[[Records], T]) -> T:
        return self.store.write(work)

    def read(self, look: Callable[[Records], T]) -> T:
        with self.store.read() as records:
            return look(records)

    def issuer(self, name: str = "le", **fields: Any) -> Issuer:
        url = f"https://{name}.example/directory"
        made = replace(Issuer(self.chance.uuid(), name, Owner.FILE, url, is_default=True, profiles=()), **fields)
        self.write(lambda records: records.issuers.save(SYSTEM, made))
        return made

    def follower(self, name: str = "web-1", **fields: Any) -> Follower:
        made = replace(
            Follower(self.chance.uuid(), name, Owner.FILE, FollowerState.INVITED, created=self.now), **fields
        )
        self.write(lambda records: records.followers.save(SYSTEM, made))
        return made

    def line(self, follower: Follower, name: str = "shop", **fields: Any) -> Line:
        made = replace(Line(self.chance.uuid(), name, Owner.FILE, follower.id, (f"{name}.example.test",)), **fields)
        self.write(lambda records: records.lines.save(SYSTEM, made))
        return made

    def version(
        self,
        line: Line,
        issuer: Issuer,
        number: int = 1,
        *,
        key_types: tuple[KeyType, ...] = (KeyType.ECDSA_P256,),
        **order: Any,
    ) -> tuple[Version, list[Order]]:
        """A version as the planner opens it, not yet in the store; `order` are fields of its orders."""
        version_id = self.chance.uuid()
        certificates = tuple(
            Certificate(self.chance.uuid(), version_id, kind, b"csr", "ab" * 32, line.names) for kind in key_types
        )
        version = Version(
            version_id, line.id, number, VersionState.ORDERED, self.now, "the first certificate", certificates
        )
        orders = [self._order(certificate, issuer, order) for certificate in certificates]
        return version, orders

    def _order(self, certificate: Certificate, issuer: Issuer, fields: dict[str, Any]) -> Order:
        order = Order(
            self.chance.uuid(), certificate.id, issuer.id, certificate.names, "", OrderState.KEYED, self.now, self.now
        )
        return replace(order, **fields)

    def opened(self, line: Line, issuer: Issuer, number: int = 1, **order: Any) -> tuple[Version, list[Order]]:
        """The same, in the store."""
        version, orders = self.version(line, issuer, number, **order)
        self.write(lambda records: records.versions.open(SYSTEM, version, orders))
        return version, orders

    def claim(
        self,
        worker: str = "w1",
        *,
        limit: int = 100,
        most: int = 100,
        lease: timedelta = LEASE,
        store: SqlStore | None = None,
    ) -> list[OrderWork]:
        now = self.clock.now()
        return (store or self.store).write(
            lambda records: records.orders.claim(SYSTEM, worker, now=now, lease=lease, limit=limit, in_flight_most=most)
        )

    def issue(self, work: OrderWork, chain: str = "PEM") -> Version | None:
        """End a claimed order well."""
        order = replace(work.order, state=OrderState.ISSUED, certificate_url="https://le.example/cert/1")
        days = timedelta(days=90)
        certificate = replace(
            work.certificate, chain=chain, serial="01", not_before=self.now, not_after=self.now + days
        )
        return self.write(lambda records: records.orders.issued(SYSTEM, work.lease, order, certificate, now=self.now))

    def lines(self, count: int) -> list[Line]:
        """So many lines of one follower."""
        follower = self.follower()
        return [self.line(follower, f"l{number:02}") for number in range(count)]

    def orders(self, count: int, **fields: Any) -> list[Order]:
        """So many orders at one issuer, each of a line of its own."""
        issuer = self.issuer()
        return [self.opened(line, issuer, **fields)[1][0] for line in self.lines(count)]

    def order(self, order: Order) -> Order:
        """As it is in the store now."""
        return self.read(lambda records: records.orders.get(SYSTEM, order.id))

    def save(self, work: OrderWork, order: Order, *, release: bool = False) -> None:
        self.write(lambda records: records.orders.save(SYSTEM, work.lease, order, release=release))

    def challenge(self, order: Order, **fields: Any) -> Challenge:
        """A ledger row, not yet in the store."""
        made = Challenge(
            id=self.chance.uuid(),
            order_id=order.id,
            name=order.names[0],
            wildcard=False,
            type=ChallengeType.DNS_01,
            authorization_url="https://le.example/authz/1",
            url="https://le.example/challenge/1",
            token="t" * 43,
            state=ChallengeState.INTENDED,
            solver="rfc2136",
            zone="example.test",
            record=f"_acme-challenge.{order.names[0]}",
            value="v" * 43,
        )
        return replace(made, **fields)


def as_follower(follower: Follower) -> Caller:
    return Caller(Role.FOLLOWER, follower.name, follower.id)


def ids(works: Iterable[OrderWork]) -> list[str]:
    return [work.order.id for work in works]
