"""The probe: whether a service serves the installed certificates, at each place where it is to be looked at."""

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from certline_follower.looking import Door, Family, Looker, NotSeen, family_of
from certline_follower.service_settings import Service, Target
from certline_shared.clock import Clock
from certline_shared.key_types import KeyType

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds
MADE_UP = "probe"  # the label that stands for the star of a wildcard


@dataclass(frozen=True, slots=True)
class Expected:
    """What a line should be seen as."""

    line: str
    names: tuple[str, ...]
    key_type: KeyType
    fingerprint: str  # SHA-256 of the leaf, lower-case hex
    also: frozenset[str] = frozenset()  # of the line's other certificates for keys of the same family

    def is_shown_by(self, seen: str | None) -> bool:
        """A look asks for a family of keys: which of several of one family it gets is the service's choice."""
        return seen == self.fingerprint or seen in self.also


@dataclass(frozen=True, slots=True)
class Look:
    """One certificate that should be seen at one door."""

    door: Door
    expected: Expected
    label: str  # for reports: where, and by which name
    place: str  # whatever names the line's certificate has

    @property
    def family(self) -> Family:
        return family_of(self.expected.key_type)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look showed."""

    look: Look
    fingerprint: str | None = None
    fault: str | None = None

    @property
    def right(self) -> bool:
        return self.look.expected.is_shown_by(self.fingerprint)

    @property
    def words(self) -> str:
        seen = f"serves another certificate ({(self.fingerprint or '')[:16]})" if self.fingerprint else self.fault
        return f"{self.look.label}: {seen}, not that of line {self.look.expected.line}"


@dataclass(slots=True)
class _Round:
    """One look at every door; each is knocked at once for all that is expected there, once more for each kind left."""

    looker: Looker
    left: Callable[[], float]  # seconds, for the next look
    sights: list[Sight] = field(default_factory=list)

    def look(self, looks: Iterable[Look]) -> list[Sight]:
        doors: dict[Door, list[Look]] = {}
        for look in looks:
            doors.setdefault(look.door, []).append(look)
        for door, wanted in doors.items():
            self._at(door, wanted)
        return self.sights

    def _at(self, door: Door, wanted: Sequence[Look]) -> None:
        """What the server chooses by itself is enough, unless it may have a certificate of another kind as well."""
        first = self._leaf(door, None)
        if isinstance(first, NotSeen):
            self.sights += [Sight(look, fault=str(first)) for look in wanted]
            return
        for look in wanted:
            told_apart = look.expected.is_shown_by(fingerprint(first)) or _family(first) == look.family
            seen = first if told_apart else self._leaf(door, look.family)
            self.sights.append(
                Sight(look, fault=str(seen)) if isinstance(seen, NotSeen) else Sight(look, fingerprint(seen))
            )

    def _leaf(self, door: Door, family: Family | None) -> bytes | NotSeen:
        try:
            return self.looker.leaf(door, family, self.left())
        except NotSeen as fault:
            return fault


def fingerprint(der: bytes) -> str:
    return hashlib.sha256(der).hexdigest()


def looks_of(service: Service, expected: Mapping[str, Sequence[Expected]], lines: Sequence[str]) -> tuple[Look, ...]:
    """Where to look for each of these lines, for each family of its keys; none where nothing is installed."""
    known = [one for line in lines for one in expected.get(line, ())]
    several = {line for line in lines if len(expected.get(line, ())) > 1}
    return tuple(_look(to, one, told=one.line in several) for one in known for to in service.targets(one.line))


def _look(target: Target, expected: Expected, *, told: bool) -> Look:
    sni, family = target.sni or _name_of(expected), f" {family_of(expected.key_type)}" if told else ""
    door = Door(target.host, target.port, sni, target.starttls)
    place = f"{expected.line} {target.connect} {target.sni or ''}{family}"
    return Look(door, expected, f"{target.connect} {sni}{family}", place)


def _name_of(expected: Expected) -> str:
    """The line's first name that is no wildcard, else one that its wildcard covers."""
    names = [name for name in expected.names if not name.startswith("*.")]
    return names[0] if names else f"{MADE_UP}{expected.names[0][1:]}" if expected.names else "localhost"


def look_once(looker: Looker, looks: Sequence[Look], seconds: float = LONGEST_PAUSE) -> list[Sight]:
    """What is served now."""
    return _Round(looker, lambda: seconds).look(looks)


def watch(looker: Looker, clock: Clock, looks: Sequence[Look], seconds: float) -> list[Sight]:
    """Look until all that is served is right, with growing pauses, for at most so many seconds; the last sights."""
    until = clock.monotonic() + seconds
    pause, right = FIRST_PAUSE, dict[Look, Sight]()
    while True:
        round_ = _Round(looker, lambda: max(until - clock.monotonic(), 1.0))
        sights = round_.look(look for look in looks if look not in right)
        right |= {sight.look: sight for sight in sights if sight.right}
        missing = [sight for sight in sights if not sight.right]
        left = until - clock.monotonic()
        if not missing or left <= 0:
            return [*right.values(), *missing]
        clock.pause(min(pause, left), threading.Event())
        pause = min(2 * pause, LONGEST_PAUSE)


def wrong(sights: Iterable[Sight]) -> str | None:
    """What is not right, in words, or None."""
    words = [sight.words for sight in sights if not sight.right]
    return "; ".join(words) or None


def seen_of(sights: Iterable[Sight], line: str) -> dict[str, str]:
    """For the report: where -> fingerprint."""
    return dict(_seen(sights, line))


def _seen(sights: Iterable[Sight], line: str) -> Iterator[tuple[str, str]]:
    for sight in sights:
        if sight.look.expected.line == line and sight.fingerprint:
            yield sight.look.label, sight.fingerprint


def _family(der: bytes) -> Family | None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except ValueError:
        return None
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa"
    return "ecdsa" if isinstance(key, ec.EllipticCurvePublicKey) else None
