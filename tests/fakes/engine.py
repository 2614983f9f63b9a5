"""The engine in one thread on set time: the same drivers as the runner's, turned by hand until all is quiet."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from certline_master.domain.access import SYSTEM
from certline_master.domain.commands import Command
from certline_master.domain.model import (
    Event,
    Follower,
    FollowerState,
    Grant,
    GrantKind,
    Issuer,
    Line,
    LineCsr,
    Owner,
    Version,
    Zone,
)
from certline_master.domain.ports import Records, Store, TlsaView
from certline_master.store.bell import LocalBell
from certline_master.store.kek import Kek
from certline_master.store.opening import SqlStore, open_store
from certline_master.store.schema import migrate
from certline_master.work.accounts import Accounts
from certline_master.work.answers import Answers
from certline_master.work.context import Context
from certline_master.work.driver import Driver
from certline_master.work.journey import Journey
from certline_master.work.lines import Lines
from certline_master.work.revoking import Revoking
from certline_master.work.sweep import Sweep
from certline_master.work.tlsa import Tlsa
from certline_master.work.watch import Watch
from certline_shared.keys import KeyType, PrivateKey, generate, make_csr, read_csr
from tests.fakes.ca import FakeAuthorities, FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.dns import FakeDnsView
from tests.fakes.solver import FakeSolver

LEASE = timedelta(seconds=30)


def open_fresh_store(folder: Path, clock: FakeClock, chance: SeededChance) -> SqlStore:
    url = f"sqlite:///{folder / 'certline.sqlite'}"
    migrate(url)
    store = open_store(url, kek=Kek(b"k" * 32), clock=clock, chance=chance)
    store.initialise()
    return store


def configure(store: Store, **issuer: object) -> None:
    """An issuer, a zone for example.com, and follower web-1."""
    made = replace(Issuer("issuer", "ca", Owner.FILE, "https://fake-ca.example/dir", is_default=True), **issuer)  # type: ignore[arg-type]
    grants = (Grant(GrantKind.REQUEST, "shop.example.com"),)

    def write(records: Records) -> None:
        records.issuers.save(SYSTEM, made)
        records.zones.save(SYSTEM, Zone("zone", "example.com", Owner.FILE, "rfc2136"))
        records.followers.save(SYSTEM, Follower("follower", "web-1", Owner.FILE, FollowerState.ACTIVE, grants))

    store.write(write)


def want(store: Store, name: str, names: Sequence[str], key: PrivateKey, now: datetime) -> None:
    """A line, and its follower's request for it."""
    line = Line(f"line-{name}", name, Owner.FILE, "follower", tuple(names), next_look=now)

    def write(records: Records) -> None:
        records.lines.save(SYSTEM, line)
        records.lines.put_csr(SYSTEM, line.id, request_of(key, names))

    store.write(write)


def request_of(key: PrivateKey, names: Sequence[str]) -> LineCsr:
    der = make_csr(key, tuple(names))
    facts = read_csr(der)
    return LineCsr(facts.key_type, der, facts.spki_sha256, facts.names)


@dataclass
class Engine:
    """A master without threads. `kill` forgets all that was only in memory, as SIGKILL does."""

    store: Store
    clock: FakeClock
    chance: SeededChance
    ca: FakeCa
    solver: FakeSolver = field(default_factory=FakeSolver)
    dns: FakeDnsView = field(default_factory=FakeDnsView)
    worker: str = "engine"
    commands: dict[str, Command] = field(default_factory=dict)
    tlsa: TlsaView | None = None

    def __post_init__(self) -> None:
        self.bell = LocalBell()
        self.kill()

    def kill(self) -> None:
        solvers = {"rfc2136": self.solver, "listener": self.solver}
        authorities = FakeAuthorities(self.ca)
        context = Context(self.store, authorities, solvers, self.dns, self.bell, self.clock, self.chance, self.worker)
        context = replace(context, commands=self.commands, tlsa=self.tlsa)
        accounts, answers = Accounts(context), Answers(context)
        self.driver, self.lines, self.sweep = (
            Driver(context, accounts, answers),
            Lines(context, accounts),
            Sweep(context, answers),
        )
        self.watch = Watch(context)
        self.revoking = Revoking(context, accounts)
        self.records = Tlsa(context)
        self._held: list[Journey] = []

    # --- what the operator and the follower do ---

    def configure(self, **issuer: object) -> None:
        configure(self.store, **issuer)

    def want(self, name: str, names: Sequence[str], key: PrivateKey | None = None) -> PrivateKey:
        key = key or generate(KeyType.ECDSA_P256)
        want(self.store, name, names, key, self.clock.now())
        return key

    def request(self, name: str, names: Sequence[str], key: PrivateKey) -> None:
        csr = request_of(key, names)
        self.store.write(lambda records: records.lines.put_csr(SYSTEM, f"line-{name}", csr))
        self.look_at(name)

    def look_at(self, name: str) -> None:
        self.store.write(lambda records: records.lines.set_next_look(SYSTEM, f"line-{name}", self.clock.now()))

    # --- what the engine does ---

    def turn(self) -> None:
        """All that is due now, once."""
        now = self.clock.now()
        self._renew_leases()
        with self.store.read() as records:
            due = records.lines.due(SYSTEM, now, 100)
        self.lines.turn(due)
        works = self.store.write(
            lambda records: records.orders.claim(
                SYSTEM, self.worker, now=now, lease=LEASE, limit=100, in_flight_most=100
            )
        )
        ready = [journey for journey in self._held if journey.order.due <= now]
        waiting = [journey for journey in self._held if journey.order.due > now]
        self._held = waiting
        for journey in [*ready, *(Journey(work) for work in works)]:
            if self.driver.drive(journey):
                self._held.append(journey)
        self.sweep.turn()
        self.revoking.turn()
        self.records.turn()

    def run(self, span: timedelta | None = None) -> None:
        """Turn and let time pass until nothing is due within the next hour; or for exactly this span."""
        horizon = self.clock.now() + (span or timedelta(hours=1))
        for _ in range(5000):
            self.turn()
            due = self._next_due()
            if due is None or due > horizon:
                if span is not None:
                    self.clock.advance(horizon - self.clock.now())
                return
            if due > self.clock.now():
                self.clock.advance(due - self.clock.now())
        raise AssertionError("the engine does not come to rest")

    def _renew_leases(self) -> None:
        if not self._held:
            return
        held, now = [journey.order.id for journey in self._held], self.clock.now()
        self.store.write(
            lambda records: records.orders.renew(SYSTEM, self.worker, held, now=now, lease=timedelta(hours=1))
        )

    def _next_due(self) -> datetime | None:
        with self.store.read() as records:
            stored = records.orders.next_due(SYSTEM)
        held = [journey.order.due for journey in self._held]
        return min([*held, *([stored] if stored else [])], default=None)

    # --- what there is to see ---

    def versions(self, name: str) -> list[Version]:
        with self.store.read() as records:
            return records.versions.all(SYSTEM, f"line-{name}")

    def live(self, name: str) -> Version | None:
        with self.store.read() as records:
            return records.versions.live(SYSTEM, [f"line-{name}"]).get(f"line-{name}")

    def events(self, kind: str) -> list[Event]:
        with self.store.read() as records:
            return [event for event in records.events.all(SYSTEM, limit=1000) if event.kind == kind]

    def standing(self, name: str) -> str:
        from certline_master.domain.planning import plan

        with self.store.read() as records:
            return plan(records.lines.snapshot(SYSTEM, f"line-{name}"), self.clock.now()).standing
