"""Staged versions: how long one that is issued waits before it goes live, and what becomes of the others then. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.domain.durations import seconds_of
from certline_master.domain.model import Custody, Line, LineSnapshot, Version, VersionState


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a staged version is not live yet."""

    until: datetime | None  # None: nobody can tell yet
    why: str  # in words for the operator
    proof: tuple[str, ...] = ()  # what is known of the way there so far, each a sentence


def may_hold(line: Line) -> bool:
    """Whether a version of the line may ever be held: where not, it goes live with its last certificate."""
    return line.options.stage_for is not None


def hold_until(snapshot: LineSnapshot, now: datetime) -> Hold | None:
    """What keeps the line's staged version from going live; None where nothing does."""
    staged = staged_version(snapshot)
    return _by_the_hours(staged, snapshot, now) if staged else None


def staged_version(snapshot: LineSnapshot) -> Version | None:
    """The one that goes live next."""
    return next((version for version in snapshot.versions if version.state is VersionState.STAGED), None)


def _by_the_hours(staged: Version, snapshot: LineSnapshot, now: datetime) -> Hold | None:
    """A new key waits for `stage_for` while the live version's keys are still the ones to serve with."""
    length, live = snapshot.line.options.stage_for, _live(snapshot)
    if length is None or live is None or pins(live) == pins(staged) or not pins(live) <= _current_pins(snapshot):
        return None
    since = min(one.staged_since or now for one in _staged(snapshot) if pins(one) == pins(staged))
    until = since + timedelta(seconds=seconds_of(length))
    return Hold(until, f"its key is new and is staged for {length}") if until > now else None


def pins(version: Version) -> frozenset[str]:
    """The keys that the version's certificates are for."""
    return frozenset(certificate.spki_sha256 for certificate in version.certificates)


def _current_pins(snapshot: LineSnapshot) -> frozenset[str]:
    if snapshot.line.custody is Custody.MASTER:
        return snapshot.current_keys
    return frozenset(csr.spki_sha256 for csr in snapshot.csrs)


def _staged(snapshot: LineSnapshot) -> list[Version]:
    return [version for version in snapshot.versions if version.state is VersionState.STAGED]


def _live(snapshot: LineSnapshot) -> Version | None:
    return next((version for version in snapshot.versions if version.state is VersionState.LIVE), None)
