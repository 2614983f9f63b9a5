"""A version that takes the live one's place, or is staged until it may, with all that follows, in one transaction."""

from datetime import datetime

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Failure, FailureClass, Line, Version, VersionState
from certline_master.domain.ports import Records
from certline_master.domain.staging import drops, hold_of, key_staged_since, may_hold, pins, said, wanted_pins
from certline_master.domain.wish import under_way


def arrive(records: Records, line: Line, version: Version, now: datetime) -> None:
    """Its last certificate was just issued: it is live, or staged if it is to wait."""
    if version.state is VersionState.STAGED and not _held(records, line, version, now):
        records.versions.set_state(SYSTEM, version.id, VersionState.LIVE, now=now)
        version = records.versions.get(SYSTEM, line.id, version.number)
    if version.state is VersionState.LIVE:
        follow(records, line, version, version.reason, now)


def go_live(records: Records, line: Line, version: Version, why: str, now: datetime) -> None:
    """A version that was staged takes the live one's place."""
    records.versions.set_state(SYSTEM, version.id, VersionState.LIVE, now=now)
    follow(records, line, version, why, now)


def follow(records: Records, line: Line, version: Version, why: str, now: datetime) -> None:
    """What comes of a version being live from now on. Whatever was for keys that are the line's no more ends."""
    ends = min((one.not_after for one in version.certificates if one.not_after), default=None)
    until = ends.isoformat() if ends else "?"
    text = f"version {version.number} is live until {until}: {why}"
    serials = [one.serial for one in version.certificates]
    data = {"version": version.number, "serial": serials[0] if len(serials) == 1 else serials, "not_after": until}
    records.events.add(SYSTEM, "version.live", f"line:{line.name}", text, now=now, data=data)
    if may_hold(line):
        _end_others(records, line, now)
    look_at_tlsa(records, line, now)
    records.revocations.look(SYSTEM, line.name, now=now)


def drop(records: Records, line: Line, version: Version, why: str, now: datetime) -> None:
    """A staged version is never to go live."""
    records.versions.set_state(SYSTEM, version.id, VersionState.RETIRED, now=now)
    text, data = f"version {version.number} was staged and is dropped: {why}", {"version": version.number}
    records.events.add(SYSTEM, "version.dropped", f"line:{line.name}", text, now=now, data=data)
    look_at_tlsa(records, line, now)


def look_at_tlsa(records: Records, line: Line, now: datetime) -> None:
    """What is served, or is to be, changed: so does what it wants in DNS."""
    if line.options.tlsa:
        records.tlsa.look(SYSTEM, line.id, now)


def _held(records: Records, line: Line, version: Version, now: datetime) -> bool:
    """Whether it is to wait; then it is on record until when. A key that was staged before does not wait anew."""
    snapshot = records.lines.snapshot(SYSTEM, line.id)
    since = key_staged_since(records.versions.all(SYSTEM, line.id), version) or now
    hold = hold_of(snapshot, version.number, now, since=since)
    if hold is None:
        return False
    records.versions.hold(SYSTEM, version.id, since=since, until=hold.until, why=hold.why)
    tell_staged(records, line, records.versions.get(SYSTEM, line.id, version.number), now)
    _end_others(records, line, now)
    look_at_tlsa(records, line, now)
    return True


def tell_staged(records: Records, line: Line, version: Version, now: datetime) -> None:
    """The event of a version that waits."""
    until = version.activate_at.isoformat() if version.activate_at else None
    data = {"version": version.number, "until": until, "why": version.held_by}
    records.events.add(SYSTEM, "version.staged", f"line:{line.name}", said(version), now=now, data=data)


def _end_others(records: Records, line: Line, now: datetime) -> None:
    snapshot = records.lines.snapshot(SYSTEM, line.id)
    numbers = {one.number: one for one in snapshot.versions}
    for dropped in drops(snapshot, now):
        drop(records, line, numbers[dropped.number], dropped.reason, now)
    running = under_way(snapshot)
    if running and not pins(running) <= wanted_pins(snapshot):
        why = Failure(FailureClass.RETRY_SOON, "its keys are not the line's any more")
        records.orders.stop(SYSTEM, line.id, why, now=now)
