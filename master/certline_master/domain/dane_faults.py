"""What is wrong with the TLSA records that lines of a desired fleet wish for, and what is hardly meant. Pure."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from certline_master.domain.authorization import zone_of
from certline_master.domain.errors import Fault
from certline_master.domain.fleet import Current, DesiredFleet, DesiredLine, Scope
from certline_master.domain.model import TlsaWish, Zone
from certline_master.domain.pointers import pointer
from certline_shared.certificates import BadChain, read_chain
from certline_shared.names import BadName, is_wildcard, normalise
from certline_shared.tlsa import MATCHINGS, SELECTORS, USAGES

PROTOCOLS = ("tcp", "udp", "sctp")
LONGEST_TTL = 604_800
UNWRITABLE = frozenset({"responder"})
"""Solvers whose zones hold no TLSA records."""

Place = tuple["str | int", ...]

_WORDS: Mapping[str, Any] = {"protocol": PROTOCOLS, "usage": USAGES, "selector": SELECTORS, "matching": MATCHINGS}


def tlsa_faults(desired: DesiredFleet, current: Current, scope: Scope) -> Iterator[Fault]:
    zones = _zones(desired, current, scope)
    for name, line in desired.lines.items():
        for place, text in _of_line(line, zones):
            yield Fault(pointer("lines", name, "options", *place), text)


def tlsa_warnings(line: DesiredLine) -> Iterator[str]:
    """What is allowed, and has consequences that are easily overlooked."""
    for wish in line.options.tlsa:
        if wish.selector == "cert" and wish.usage.endswith("-ee"):
            yield (
                "selector cert: the record changes at every renewal, so that each new certificate waits until caches"
                " have it, and nothing can be published for a next key; selector spki changes with the key only"
            )
        elif wish.usage.endswith("-ta") and not wish.root:
            yield (
                f"usage {wish.usage} without a root: when the CA picks another intermediate, the new certificate waits"
                " until caches have its record"
            )


def _zones(desired: DesiredFleet, current: Current, scope: Scope) -> list[Zone]:
    """As they will be; those with a fault of their own are left out."""
    kept = [zone for zone in current.zones if not scope.covers("zone", zone)]
    new = [(_normal(name), zone.solver) for name, zone in desired.zones.items()]
    return kept + [Zone("", name, scope.owner, solver) for name, solver in new if name]


def _normal(name: str) -> str | None:
    try:
        return normalise(name)
    except BadName:
        return None


def _of_line(line: DesiredLine, zones: list[Zone]) -> Iterator[tuple[Place, str]]:
    if line.options.tlsa_before_expiry not in (None, "wait", "go"):
        yield ("tlsa_before_expiry",), "write wait (the default) or go"
    for index, wish in enumerate(line.options.tlsa):
        for member, text in _of_wish(line, wish, zones):
            yield ("tlsa", index, *member), text
        if wish in line.options.tlsa[:index]:
            yield ("tlsa", index), "is there twice: remove one"


def _of_wish(line: DesiredLine, wish: TlsaWish, zones: list[Zone]) -> Iterator[tuple[Place, str]]:
    for member, known in _WORDS.items():
        if getattr(wish, member) not in known:
            yield (member,), f"{getattr(wish, member)!r} is not known: use one of {', '.join(known)}"
    if not 1 <= wish.port <= 65535:
        yield ("port",), "write a number from 1 to 65535"
    if not 0 <= wish.ttl <= LONGEST_TTL:
        yield ("ttl",), f"write seconds, at most {LONGEST_TTL} (a week)"
    yield from _of_root(wish)
    yield from _of_hosts(line, wish, zones)


def _of_root(wish: TlsaWish) -> Iterator[tuple[Place, str]]:
    if wish.root is None:
        return
    if not wish.usage.endswith("-ta"):
        yield ("root",), f"belongs to the usages pkix-ta and dane-ta: {wish.usage} is about the certificate itself"
    try:
        read_chain(wish.root)
    except BadChain as fault:
        yield ("root",), f"is no certificate in PEM form: {fault}"


def _of_hosts(line: DesiredLine, wish: TlsaWish, zones: list[Zone]) -> Iterator[tuple[Place, str]]:
    hosts = [wish.host] if wish.host else [name for name in line.names if not is_wildcard(name)]
    if not hosts:
        yield ("host",), "is missing: all names are wildcards, so name the host of the service"
    for host in hosts:
        bad = _told(normalise, host) if wish.host else None
        if bad or is_wildcard(host):
            yield ("host",), bad or f"{host} is a wildcard: name the host of the service"
            continue
        zone = zone_of(_normal(host) or "", zones)
        if zone and zone.solver in UNWRITABLE:
            text = f"{host} is in the zone {zone.name}, whose solver {zone.solver} has no TLSA records"
            yield ("host",), f"{text}: name a host in another zone, or give this zone another solver"


def _told(check: Callable[[str], object], value: str) -> str | None:
    try:
        check(value)
    except BadName as fault:
        return str(fault)
    return None
