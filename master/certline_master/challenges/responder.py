"""The solver "responder": an embedded authoritative DNS server that answers straight from the ledger."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from pydantic import Field, PlainValidator

from certline_master.challenges import dns01
from certline_master.challenges.asking import NoAnswer, ask_txt
from certline_master.challenges.dns_server import DnsServer
from certline_master.challenges.endpoint import Endpoint, parse
from certline_master.challenges.zone_answers import Answerer, ServedZone, Values, served_zone
from certline_master.challenges.zone_settings import HostName, ZoneSettings, faults, read
from certline_master.domain.errors import SolverError
from certline_master.domain.model import Challenge, Zone
from certline_master.domain.ports import Visibility
from certline_shared.clock import Clock

NAME = "responder"
ZONES_KEPT_SECONDS = 1.0


def _address(value: object) -> str:
    return parse(value, port=0).address


Address = Annotated[str, PlainValidator(_address)]


class ResponderSettings(ZoneSettings):
    """`address`: that of the zone's own name servers; `wildcard_address`: that of every other name in the zone."""

    primary: HostName | None = None
    ns: Annotated[list[HostName], Field(min_length=1, max_length=13)] | None = None
    address: Address | None = None
    wildcard_address: Address | None = None


def server(listen: Endpoint, zones: Callable[[], Sequence[Zone]], values: Values, clock: Clock) -> DnsServer:
    """A server for all zones in `zones()` whose solver is the responder; start and stop it.

    `zones` is asked about once a second, `values` (record → TXT values that stand) at each question, in the server's
    thread: both have to be quick.
    """
    return DnsServer(listen, Answerer(_RecentZones(zones, clock), values))


class ResponderSolver:
    """The ledger's rows are the records, so there is nothing to put in place. `listen`: where our server listens,
    None when another master's does."""

    def __init__(self, listen: Endpoint | None) -> None:
        self._server = listen.from_here if listen else None

    def present(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:  # noqa: ARG002 the port's signature
        if zone is not None:
            read(ResponderSettings, zone)
        dns01.wished(challenges)

    def is_visible(self, zone: Zone | None, challenges: Sequence[Challenge]) -> Visibility:  # noqa: ARG002 the port's signature
        if self._server is None:
            return Visibility(complete=True)
        for record, values in dns01.wished(challenges).items():
            try:
                missing = set(values) - ask_txt(self._server, record)
            except NoAnswer as error:
                return Visibility(complete=False, detail=f"our responder on {self._server} {error}")
            if missing:
                return Visibility(complete=False, detail=f"our responder does not show {record} yet")
        return Visibility(complete=True)

    def clean_up(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        """Nothing: a row that is removed is not answered."""

    def check(self, zone: Zone) -> tuple[str, ...]:
        return faults(ResponderSettings, zone)


class _RecentZones:
    """The responder's zones by name, looked up anew when they are older than a second. Thread-safe."""

    def __init__(self, zones: Callable[[], Sequence[Zone]], clock: Clock) -> None:
        self._zones, self._clock = zones, clock
        self._lock = threading.Lock()
        self._kept: Mapping[str, ServedZone] = {}
        self._until = float("-inf")

    def __call__(self) -> Mapping[str, ServedZone]:
        with self._lock:
            now = self._clock.monotonic()
            if now >= self._until:
                self._kept = dict(_served(self._zones()))
                self._until = now + ZONES_KEPT_SECONDS
            return self._kept


def _served(zones: Sequence[Zone]) -> "list[tuple[str, ServedZone]]":
    return [(zone.name, served) for zone in zones if zone.solver == NAME and (served := _serve(zone))]


def _serve(zone: Zone) -> ServedZone | None:
    """None for a zone with unusable settings: `present` tells about it, and the other zones are served."""
    try:
        settings = read(ResponderSettings, zone)
    except SolverError:
        return None
    ns = settings.ns or [f"ns.{zone.name}"]
    return served_zone(
        zone.name,
        primary=settings.primary or ns[0],
        ns=ns,
        address=settings.address,
        everywhere=settings.wildcard_address,
    )
