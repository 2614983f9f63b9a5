"""How a name will be proven: by which challenge, through which solver, and where its record stands."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from certline_master.domain.errors import SolverError
from certline_master.domain.model import ChallengeType, FailureClass, HttpName, Zone
from certline_shared.names import base, is_wildcard


@dataclass(frozen=True, slots=True)
class Choice:
    """The way to prove one name. `zone` and `record` are set for dns-01 only."""

    type: ChallengeType
    solver: str
    zone: str | None = None
    record: str = ""  # where the TXT stands after CNAMEs, normal form


def record_name(identifier: str) -> str:
    """Where a CA asks for the TXT record of an identifier, before CNAMEs (RFC 8555 section 8.4).

    Raises SolverError when that name would be longer than DNS allows (253 octets).
    """
    name = f"_acme-challenge.{base(identifier)}"
    if len(name) > 253:
        raise SolverError(
            f"{identifier} is too long for dns-01: {name} has {len(name)} octets (at most 253). Use `http:`",
            FailureClass.FIX_CONFIGURATION,
        )
    return name


def choose(name: str, *, http: Iterable[HttpName], zones: Iterable[Zone], follow: Callable[[str], str]) -> Choice:
    """How to prove `name` (normal form, `*.` allowed).

    A host listed under `http` goes by http-01, a wildcard never (RFC 8555 section 7.1.3 leaves it to dns-01). Every
    other name goes by dns-01 through the zone with the longest suffix of the record's name after CNAMEs, for that is
    where the value is written. `follow` is DnsView.follow; it is called only for dns-01. Raises SolverError.
    """
    by_http = None if is_wildcard(name) else next((host for host in http if host.name == name), None)
    if by_http is not None:
        return Choice(ChallengeType.HTTP_01, by_http.solver)
    asked = record_name(name)
    record = follow(asked)
    zone = zone_of(record, zones)
    if zone is None:
        raise SolverError(_no_zone(name, asked, record), FailureClass.FIX_CONFIGURATION)
    return Choice(ChallengeType.DNS_01, zone.solver, zone.name, record)


def zone_of(record: str, zones: Iterable[Zone]) -> Zone | None:
    """The zone with the longest name that covers the record; None when none does. All in normal form."""
    covering = (zone for zone in zones if record == zone.name or record.endswith(f".{zone.name}"))
    return max(covering, key=lambda zone: len(zone.name), default=None)


def _no_zone(name: str, asked: str, record: str) -> str:
    if record != asked:
        led = f"{asked} is a CNAME that leads to {record}"
        return f"no zone for {name}: {led}, so add a zone that covers {record} to `zones:`"
    if is_wildcard(name):
        return f"no zone for {name}: add a zone that covers {base(name)} to `zones:` (a wildcard is proven by DNS only)"
    return f"no zone for {name}: add a zone that covers it to `zones:`, or {name} itself to `http:`"
