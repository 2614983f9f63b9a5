"""Staged versions: how long one that is issued waits before it goes live, and what becomes of it otherwise. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from certline_master.domain import dane
from certline_master.domain.durations import seconds_of
from certline_master.domain.model import Custody, Line, LineCsr, LineSnapshot, Slot, Version, VersionState
from certline_master.domain.renewal import by_lifetime

KEY_REVOKED = "its key is revoked"
"""Why a line is rolled over where that waits for nothing."""

UNKNOWN_LOOK = timedelta(minutes=5)
"""When to look again at what holds a version for nobody knows how long."""

_FAR = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a staged version is not live yet."""

    until: datetime | None  # None: nobody can tell yet
    why: str  # in words for the operator
    proof: tuple[str, ...] = ()  # what is known of the way there so far, each a sentence


@dataclass(frozen=True, slots=True)
class GoLive:
    """Make a staged version live: nothing holds it any more."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class HoldOn:
    """Write down until when a version is staged, and why: its hosts are told."""

    number: int
    until: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class DropStaged:
    """Retire a staged version that is never to go live."""

    number: int
    reason: str


StagedStep = GoLive | HoldOn | DropStaged


def may_hold(line: Line) -> bool:
    """Whether a version of the line may ever be held: where not, it goes live with its last certificate."""
    rolls = line.rollover is not None and line.custody is Custody.MASTER  # it may share its key
    return line.options.stage_for is not None or bool(line.options.tlsa) or rolls


def hold_until(snapshot: LineSnapshot, now: datetime) -> Hold | None:
    """What keeps the line's staged version from going live; None where nothing does."""
    staged = staged_version(snapshot)
    if staged is None:
        return None
    longer = _longer(_by_the_hours(staged, snapshot, now), _by_dns(staged, snapshot, now))
    return _longer(longer, _by_kin(staged, snapshot))


def hold_of(snapshot: LineSnapshot, number: int, now: datetime, *, since: datetime | None = None) -> Hold | None:
    """The same for one of several that are staged: each is judged as if it were the only one."""
    others = {one.number for one in _staged(snapshot)} - {number}
    alone = [one for one in snapshot.versions if one.number not in others]
    waiting = [replace(one, staged_since=since) if since and one.number == number else one for one in alone]
    return hold_until(replace(snapshot, versions=tuple(waiting)), now)


def staged_version(snapshot: LineSnapshot) -> Version | None:
    """Of those that are staged the one that goes live first, as far as that is known."""
    return min(_staged(snapshot), key=lambda one: (one.activate_at or _FAR, one.number), default=None)


def next_step(snapshot: LineSnapshot, now: datetime) -> StagedStep | None:
    """What is to be done about the line's staged versions now, one thing at a time."""
    pointless = next(drops(snapshot, now), None)
    if pointless is not None:
        return pointless
    for version, hold in _holds(snapshot, now):
        if hold is None:
            return GoLive(version.number, version.held_by or "it need not wait")
        if (version.activate_at, version.held_by) != (hold.until, hold.why):
            return HoldOn(version.number, hold.until, hold.why)
    return None


def next_look(snapshot: LineSnapshot, now: datetime) -> datetime | None:
    """When something may have to be done about them."""
    looks = (version.activate_at or now + UNKNOWN_LOOK for version in _staged(snapshot))
    return min(looks, default=None)


def standing(snapshot: LineSnapshot) -> str:
    """What is staged, in words for the operator; empty where nothing is."""
    return "; ".join(said(version) for version in _staged(snapshot))


def said(version: Version) -> str:
    """A staged version in words."""
    until = f" until {version.activate_at:%Y-%m-%d %H:%M} UTC" if version.activate_at else ""
    return f"version {version.number} is staged{until}{f': {version.held_by}' if version.held_by else ''}"


def waiting_for(snapshot: LineSnapshot, csrs: Iterable[LineCsr], now: datetime) -> Version | None:
    """The staged version that these requests were ordered in already, unless it is to be renewed itself."""
    wanted, names = frozenset(csr.spki_sha256 for csr in csrs), set(snapshot.line.names)
    fitting = (one for one in _staged(snapshot) if pins(one) == wanted and _names(one) == names)
    return next((one for one in fitting if not _is_due(one, now)), None)


def drops(snapshot: LineSnapshot, now: datetime) -> Iterator[DropStaged]:
    """The staged versions that are never to go live."""
    for version in _staged(snapshot):
        why = _why_pointless(version, snapshot, now)
        if why:
            yield DropStaged(version.number, why)


def key_staged_since(versions: Iterable[Version], version: Version) -> datetime | None:
    """Since when a version with the same keys was staged first, whatever became of it."""
    before = (one.staged_since for one in versions if one.staged_since and pins(one) == pins(version))
    return min(before, default=None)


def pins(version: Version) -> frozenset[str]:
    """The keys that the version's certificates are for."""
    return frozenset(certificate.spki_sha256 for certificate in version.certificates)


def wanted_pins(snapshot: LineSnapshot) -> frozenset[str]:
    """The keys that a version of the line may be for: the current ones and the next."""
    wanted = {csr.spki_sha256 for csr in (*snapshot.csrs, *snapshot.next_csrs)}
    kept = {key.spki_sha256 for key in snapshot.keys if key.slot is not Slot.PREVIOUS}
    return snapshot.current_keys | wanted | kept


def _why_pointless(version: Version, snapshot: LineSnapshot, now: datetime) -> str | None:
    live = _live(snapshot)
    newer = [one for one in (*_staged(snapshot), *([live] if live else [])) if one.number > version.number]
    overtaken = next((one for one in newer if pins(one) == pins(version)), None)
    if overtaken:
        return f"version {overtaken.number} is for the same keys"
    if _names(version) != set(snapshot.line.names):
        return "the line's names changed"
    if not pins(version) <= wanted_pins(snapshot):
        return "its keys are not the line's any more"
    return "it expired" if any(one.not_after and one.not_after <= now for one in version.certificates) else None


def _holds(snapshot: LineSnapshot, now: datetime) -> Iterator[tuple[Version, Hold | None]]:
    for version in sorted(_staged(snapshot), key=lambda one: one.number):
        yield version, hold_of(snapshot, version.number, now)


def _by_the_hours(staged: Version, snapshot: LineSnapshot, now: datetime) -> Hold | None:
    """A new key waits for `stage_for` while the live version's keys are still the ones to serve with."""
    length, live = snapshot.line.options.stage_for, _live(snapshot)
    if length is None or live is None or pins(live) == pins(staged):
        return None
    if snapshot.line.rollover == KEY_REVOKED or not pins(live) <= _current_pins(snapshot):
        return None
    until = ((staged.staged_since or now) + timedelta(seconds=seconds_of(length))).replace(
        microsecond=0
    )  # as it is told
    return Hold(until, f"a new key is staged for {length}") if until > now else None


def _by_kin(staged: Version, snapshot: LineSnapshot) -> Hold | None:
    """A key is rolled over in all its lines, or in none of them."""
    following = {key.spki_sha256 for key in snapshot.keys if key.slot is Slot.NEXT}
    if not snapshot.kin or not pins(staged) <= following:
        return None
    return Hold(None, f"the key is rolled over in all its lines at once; {', '.join(snapshot.kin)} is not issued yet")


def _by_dns(staged: Version, snapshot: LineSnapshot, now: datetime) -> Hold | None:
    """Its TLSA records have to be in every set that a cache may hold; where a key was compromised nothing waits."""
    live = _live(snapshot)
    if not snapshot.line.options.tlsa:
        return None
    if live is None and any(version.state is VersionState.REVOKED for version in snapshot.versions):
        return None
    found = dane.gate(snapshot.line, staged, snapshot.tlsa, now)
    latest = dane.latest_switch(snapshot.line, live) if live else None
    if found is None or (latest and latest <= now):
        return None
    until = min(filter(None, (found.until, latest)), default=None)
    return Hold(until, found.why, found.proof)


def _longer(one: Hold | None, other: Hold | None) -> Hold | None:
    if one is None or other is None:
        return one or other
    return max(other, one, key=lambda hold: hold.until or _FAR)


def _current_pins(snapshot: LineSnapshot) -> frozenset[str]:
    if snapshot.line.custody is Custody.MASTER:
        return snapshot.current_keys
    return frozenset(csr.spki_sha256 for csr in snapshot.csrs)


def _is_due(version: Version, now: datetime) -> bool:
    spans = ((one.not_before, one.not_after) for one in version.certificates)
    return any(begins and ends and by_lifetime(begins, ends) <= now for begins, ends in spans)


def _names(version: Version) -> set[str]:
    return {name for certificate in version.certificates for name in certificate.names}


def _staged(snapshot: LineSnapshot) -> list[Version]:
    return [version for version in snapshot.versions if version.state is VersionState.STAGED]


def _live(snapshot: LineSnapshot) -> Version | None:
    return next((version for version in snapshot.versions if version.state is VersionState.LIVE), None)
