"""A zone with two name servers, the second behind the first, and all that caches may still hold of their answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.domain.dane import Wanted
from certline_master.domain.dane_ledger import Shown
from certline_master.domain.errors import SolverError
from certline_master.domain.model import Zone
from certline_master.domain.ports import TlsaSight
from tests.fakes.clock import FakeClock
from tests.fakes.solver import FakeSolver

LAG = {"ns1": timedelta(0), "ns2": timedelta(minutes=3)}

_NOTHING: tuple[frozenset[str], int] = (frozenset(), 0)


@dataclass(frozen=True, slots=True)
class Edition:
    """The zone from one moment on: each name's values with their TTL."""

    since: datetime
    serial: int
    sets: "dict[str, tuple[frozenset[str], int]]"


class DnsZone(FakeSolver):
    """A solver that can write TLSA records, and the TlsaView port on the same zone. `updates` lists what was sent."""

    def __init__(self, clock: FakeClock, *, negative_ttl: int = 600) -> None:
        super().__init__()
        self.clock, self.negative_ttl = clock, negative_ttl
        self.updates: list[tuple[list[str], list[str]]] = []
        self.refuses: SolverError | None = None
        self.silent: set[str] = set()
        self._editions = [Edition(clock.now() - timedelta(days=30), 1, {})]

    # --- the ports ---

    def change_tlsa(
        self,
        zone: Zone,  # noqa: ARG002 the port's signature
        secret: bytes | None,  # noqa: ARG002 the port's signature
        *,
        add: Sequence[Wanted],
        remove: Sequence[Wanted],
    ) -> None:
        if self.refuses:
            raise self.refuses
        self.updates.append(([one.rdata for one in add], [one.rdata for one in remove]))
        sets = dict(self._editions[-1].sets)
        for one in remove:
            values, ttl = sets.get(one.name, _NOTHING)
            sets[one.name] = values - {one.rdata}, ttl
        for one in add:
            sets[one.name] = sets.get(one.name, _NOTHING)[0] | {one.rdata}, one.ttl
        self._publish(sets)

    def look(self, name: str, zone: Zone | None) -> TlsaSight:  # noqa: ARG002 the port's signature
        asked = [server for server in LAG if server not in self.silent]
        shown = tuple(self._shown(server, name) for server in asked)
        return TlsaSight(shown, tuple(f"name server {server} does not answer" for server in sorted(self.silent)))

    # --- what somebody else does ---

    def put(self, name: str, values: "frozenset[str] | set[str]", ttl: int) -> None:
        self._publish(self._editions[-1].sets | {name: (frozenset(values), ttl)})

    def _publish(self, sets: "dict[str, tuple[frozenset[str], int]]") -> None:
        self._editions.append(Edition(self.clock.now(), self._editions[-1].serial + 1, sets))

    # --- what there is to see ---

    def at(self, name: str) -> tuple[frozenset[str], int]:
        return self._editions[-1].sets.get(name, (frozenset(), self.negative_ttl))

    def cached(self, name: str) -> set[frozenset[str]]:
        """Every answer that a resolver may go by now: from a server, or still kept from before."""
        found: set[frozenset[str]] = set()
        now = self.clock.now()
        for lag in LAG.values():
            for edition, after in zip(self._editions, [*self._editions[1:], None], strict=True):
                values, ttl = edition.sets.get(name, (frozenset(), self.negative_ttl))
                is_shown = after is None or now < after.since + lag
                is_kept = after is not None and now < after.since + lag + timedelta(seconds=ttl)
                if edition.since + lag <= now and (is_shown or is_kept):
                    found.add(values)
        return found

    def _shown(self, server: str, name: str) -> Shown:
        edition = max(
            (one for one in self._editions if one.since + LAG[server] <= self.clock.now()), key=lambda one: one.serial
        )
        values, ttl = edition.sets.get(name, (frozenset(), self.negative_ttl))
        return Shown(server, values, ttl if values else self.negative_ttl, str(edition.serial))
