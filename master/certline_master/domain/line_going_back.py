"""Going back to an older version of a line: which one may be live again, and making it so."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from certline_master.domain import dane
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict
from certline_master.domain.model import Certificate, Line, LineSnapshot, Renewal, Version, VersionState
from certline_master.domain.ports import Records
from certline_master.domain.staging import pins
from certline_master.domain.succession import came, was_live

WHY = "an operator went back to it"


def go_back(
    records: Records, caller: Caller, line: Line, to: int | None, now: datetime
) -> tuple[Version, Version | None]:
    """The version that is live again, and the one that was. Raises Conflict that says why there is none, NotFound."""
    versions = records.versions.all(caller, line.id)
    live = next((one for one in versions if one.state is VersionState.LIVE), None)
    revoked = {one.certificate_id for one in records.revocations.all(SYSTEM) if one.line == line.name}
    snapshot = records.lines.snapshot(SYSTEM, line.id)
    if to is None:
        wanted = _newest_before(versions, live, revoked, snapshot, now)
    else:
        wanted = records.versions.get(caller, line.id, to)
    why_not = _why_not(wanted, revoked, snapshot, now) if wanted else "no other version of it can be used any more"
    if wanted is None or why_not:
        raise Conflict(f"line {line.name} cannot go back: {why_not}")
    _make_live(records, caller, wanted, [one.number for one in versions if came(one) > came(wanted)], now)
    text = f"{caller.actor} went back to version {wanted.number}{f' from version {live.number}' if live else ''}"
    data = {"version": wanted.number, "former": live.number if live else None}
    records.events.add(caller, "version.rolled_back", f"line:{line.name}", text, now=now, data=data)
    return wanted, live


def _newest_before(
    versions: Iterable[Version], live: Version | None, revoked: set[str], snapshot: LineSnapshot, now: datetime
) -> Version | None:
    before = [one for one in versions if live is None or came(one) < came(live)]
    usable = [one for one in before if not _why_not(one, revoked, snapshot, now)]
    return max(usable, key=came, default=None)


def _why_not(version: Version, revoked: set[str], snapshot: LineSnapshot, now: datetime) -> str | None:
    """In words for the operator; None where it may be live again."""
    if version.state is VersionState.LIVE:
        return f"version {version.number} is live"
    if version.state is VersionState.REVOKED or any(one.id in revoked for one in version.certificates):
        return f"version {version.number} is revoked"
    if not was_live(version):
        return f"version {version.number} is {version.state} and was never live"
    if any(one.not_after is None or one.not_after <= now for one in version.certificates):
        return f"version {version.number} has expired"
    if not pins(version) <= {key.spki_sha256 for key in snapshot.keys}:
        return f"the key of version {version.number} is forgotten: nobody is known to have it"
    closed = dane.gate(snapshot.line, version, snapshot.tlsa, now)
    if closed:
        text = f"DNS does not have all of version {version.number}: {closed.why}"
        return f"{text}; issue anew by `certline line issue --force`, or take `tlsa` out of the line first"
    return None


def _make_live(records: Records, caller: Caller, version: Version, later: Sequence[int], now: datetime) -> None:
    """For all hosts at once: who goes back does not wait for waves."""
    line_id = version.line_id
    records.versions.set_state(caller, version.id, VersionState.LIVE, now=now)
    for certificate in version.certificates:
        records.versions.set_renewal(caller, certificate.id, _renewal(certificate, now))
    wave = records.waves.of_lines(SYSTEM, [line_id]).get(line_id, {}).get(version.number)
    progress = records.waves.progress(SYSTEM, wave, now) if wave and not wave.finished else None
    if wave and progress:
        records.waves.move(caller, progress, replace(wave, finished=now, stopped=None), now=now)
    records.standings.want_again(caller, line_id, version.number, later, since=now)
    records.lines.set_next_look(caller, line_id, now)


def _renewal(certificate: Certificate, now: datetime) -> Renewal:
    """What was its time may have come before, or it would not have a successor."""
    left = (certificate.not_after or now) - now
    at = max((now + left / 2).replace(microsecond=0), certificate.renewal.at if certificate.renewal else now)
    return Renewal(at, f"{WHY}, and half of what it had left is over then", next_check=None, fixed=True)
