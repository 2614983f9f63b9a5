"""What a line wants in DNS and how far that is, of what is on record."""

from datetime import datetime

from certline_master.domain.access import Caller
from certline_master.domain.dane import InUse, brief, wanted_by
from certline_master.domain.dane import Records as WantedRecords
from certline_master.domain.model import Line, LineSnapshot, Slot, TlsaRecord, TlsaState, VersionState
from certline_master.domain.ports import Records
from certline_master.domain.staging import hold_of

_OPEN = (TlsaState.INTENDED, TlsaState.PRESENT)


def wanted_of(records: Records, caller: Caller, line: Line) -> WantedRecords:
    """Of all the line's versions, next keys, and what its hosts reported."""
    versions = records.versions.all(caller, line.id)
    requests = records.lines.csrs(caller, line.id, Slot.NEXT)
    receivers = records.standings.receivers(caller, [line.id]).get(line.id, ())
    reported = records.followers.deployments(caller, line_id=line.id)
    return wanted_by(line, versions, requests, receivers, reported)


def story(snapshot: LineSnapshot, wanted: WantedRecords, now: datetime) -> tuple[str, ...]:
    """Where a line's records and its rollover stand, and what each step waits for: sentences for the operator."""
    if not snapshot.line.options.tlsa:
        return ()
    waiting = [_open(row) for row in snapshot.tlsa if row.state in _OPEN]
    staged = [one.number for one in snapshot.versions if one.state is VersionState.STAGED]
    holds = [(number, hold) for number in staged if (hold := hold_of(snapshot, number, now))]
    held = [text for number, hold in holds for text in (f"version {number} waits: {hold.why}", *hold.proof)]
    seen = [row for row in snapshot.tlsa if row.state is TlsaState.VISIBLE]
    shown = [f"{len(seen)} of {len(snapshot.tlsa)} TLSA records are shown by every name server"]
    return (*shown, *waiting, *dict.fromkeys(held), *_kept(wanted.in_use, kept=bool(wanted.kept)))


def _open(row: TlsaRecord) -> str:
    return f"{row.name} TLSA {brief(row.rdata)} is {row.state}{f': {row.error}' if row.error else ''}"


def _kept(in_use: InUse, *, kept: bool) -> tuple[str, ...]:
    if not kept:
        left = ", ".join(in_use.left_out)
        return (f"not waited for, so what it serves may fail: {left}",) if left else ()
    numbers = ", ".join(str(one.number) for one in in_use.versions)
    text = f"the records of version {numbers} stay until the live one is served by {', '.join(in_use.waits_for)}"
    return (text, f"not waited for: {', '.join(in_use.left_out)}") if in_use.left_out else (text,)
