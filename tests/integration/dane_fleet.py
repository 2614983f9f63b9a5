"""A line whose key the master keeps, on three hosts, with TLSA records; watched at every tick of the tests' clock."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

from certline_master.domain.access import SYSTEM
from certline_master.domain.dane import of_version
from certline_master.domain.model import (
    Custody,
    Deployment,
    DeploymentState,
    Follower,
    FollowerState,
    Grant,
    GrantKind,
    Line,
    LineOptions,
    Owner,
    TlsaRecord,
    TlsaWish,
    Version,
    VersionState,
)
from certline_master.domain.ports import Records
from tests.fakes.engine import Engine


class WatchedZone(Protocol):
    """Where the records are, and all that caches may still hold of them."""

    def cached(self, name: str) -> set[frozenset[str]]: ...


HOST = "shop.example.com"
AT = f"_443._tcp.{HOST}"
TICK = timedelta(minutes=1)
SETTLED = timedelta(minutes=50)  # all is published, installed and told
TTL, NEGATIVE_TTL = 600, 240
HAND_MADE = "3 1 1 " + "0f" * 32

SPKI = TlsaWish(ttl=TTL)
CERT = TlsaWish(ttl=TTL, selector="cert")
BOTH = TlsaWish(ttl=TTL, matching="both")
ANCHOR = TlsaWish(ttl=TTL, usage="dane-ta")


@dataclass
class HostOfLine:
    """Installs what is live some time after it is, and tells so even later."""

    name: str
    installs_after: timedelta
    tells_after: timedelta
    serves: Version | None = None
    told: int = 0
    since: dict[int, timedelta] = field(default_factory=dict)


HOSTS = (
    HostOfLine("mail-1", timedelta(0), timedelta(minutes=1)),
    HostOfLine("mail-2", timedelta(minutes=5), timedelta(minutes=6)),
    HostOfLine("mail-3", timedelta(minutes=15), timedelta(minutes=30)),
)


class Fleet:
    """A line whose key the master keeps, on three hosts, with its zone; watched at every tick."""

    def __init__(self, engine: Engine, zone: WatchedZone, *wishes: TlsaWish, **options: str) -> None:
        self.engine, self.zone, self.wishes, self.options = engine, zone, wishes, options
        self.hosts = [replace(host, since={}) for host in HOSTS]
        self.suspended: set[str] = set()
        engine.configure()
        engine.store.write(self._make)

    def _make(self, records: Records) -> None:
        for host in self.hosts:
            grants = (Grant(GrantKind.PULL, "shop"),)
            records.followers.save(SYSTEM, Follower(host.name, host.name, Owner.FILE, FollowerState.ACTIVE, grants))
        options = LineOptions(tlsa=self.wishes, **self.options)  # type: ignore[arg-type]  # plain texts
        line = Line("line-shop", "shop", Owner.FILE, None, (HOST,), custody=Custody.MASTER, options=options)
        records.lines.save(SYSTEM, replace(line, next_look=self.engine.clock.now()))

    # --- what people do ---

    def line(self) -> Line:
        with self.engine.store.read() as records:
            return records.lines.get(SYSTEM, "shop")

    def change(self, **fields: object) -> None:
        changed = replace(self.line(), next_look=self.engine.clock.now(), **fields)  # type: ignore[arg-type]  # fields
        self.engine.store.write(lambda records: records.lines.save(SYSTEM, changed))

    def suspend(self, name: str) -> None:
        self.suspended.add(name)

        def write(records: Records) -> None:
            host = records.followers.get(SYSTEM, name)
            records.followers.save(SYSTEM, replace(host, state=FollowerState.SUSPENDED))

        self.engine.store.write(write)

    # --- time ---

    def run(self, span: timedelta, *, watch: bool = True) -> None:
        for _ in range(int(span / TICK)):
            self.tick(watch=watch)

    def tick(self, *, watch: bool = True) -> None:
        self.engine.turn()
        for host in self.hosts:
            self._move(host)
        if watch:
            self.check()
        self.engine.clock.advance(TICK)

    def _move(self, host: HostOfLine) -> None:
        """A host that is shut out goes on with what it has."""
        live = self.engine.live("shop")
        if live is None or host.name in self.suspended:
            return
        waited = host.since.setdefault(live.number, timedelta(0))
        if waited >= host.installs_after:
            host.serves = live
        if waited >= host.tells_after and host.told != live.number:
            host.told = live.number
            self._report(host.name, live.number)
        host.since[live.number] = waited + TICK

    def _report(self, follower: str, number: int) -> None:
        now, served = self.engine.clock.now(), DeploymentState.SERVED
        said = Deployment(follower, "line-shop", number, served, None, now, goal=served)
        self.engine.store.write(lambda records: records.followers.report(SYSTEM, said))

    # --- what is watched ---

    def check(self) -> None:
        """Each host that counts, each certificate that it serves, each answer that is about."""
        line, answers = self.line(), self.zone.cached(AT)
        for host in self.hosts:
            if host.serves is None or host.name in self.suspended:
                continue
            for certificate in host.serves.certificates:
                matches = {one.rdata for one in of_version(line, replace(host.serves, certificates=(certificate,)))}
                failing = [sorted(answer) for answer in answers if answer and not answer & matches]
                assert not failing, f"{self.engine.clock.now()}: {host.name} serves {sorted(matches)}: {failing}"

    def ledger(self) -> list[TlsaRecord]:
        with self.engine.store.read() as records:
            return records.tlsa.all(SYSTEM)

    def states(self) -> dict[int, VersionState]:
        return {version.number: version.state for version in self.engine.versions("shop")}

    def wanted_by(self, number: int) -> set[str]:
        (version,) = [one for one in self.engine.versions("shop") if one.number == number]
        return {one.rdata for one in of_version(self.line(), version)}
