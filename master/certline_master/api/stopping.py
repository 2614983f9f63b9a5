"""Lines that may have no more certificates: what runs for them ends, and each says why."""

from collections.abc import Iterable, Sequence

from certline_master.api.services import Services
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.model import Failure, FailureClass, Follower, GrantKind, Line, Owner
from certline_master.domain.placement import granted_names
from certline_master.domain.ports import Records
from certline_shared.names import display


def of_the_revoked(services: Services, records: Records, caller: Caller, follower: Follower) -> None:
    """All lines of a follower that was revoked."""
    lines = [line for line in _lines(records) if line.follower_id == follower.id]
    _stop(services, records, caller, lines, f"follower {follower.name} was revoked")


def of_withdrawn_grants(services: Services, records: Records, caller: Caller, former: Follower, now: Follower) -> None:
    """The follower's own lines with a name whose grant it has no more; and lines that it may pull no more."""
    _note_unpulled(services, records, caller, former, now)
    withdrawn = granted_names(former) - granted_names(now)
    for line in _lines(records) if withdrawn else ():
        missing = [name for name in line.names if name in withdrawn]
        if missing and line.follower_id == now.id and line.owner is Owner.FOLLOWER:
            why = f"follower {now.name} has no grant for {', '.join(map(display, missing))} any more"
            _stop(services, records, caller, [line], why)


def _note_unpulled(services: Services, records: Records, caller: Caller, former: Follower, now: Follower) -> None:
    """What is on the host stays there, the keys too: whoever withdrew the grant is told what that means."""
    for name in sorted(_pulled(former) - _pulled(now)):
        held = [copy for copy in records.keys.copies_at(SYSTEM, now.id) if copy.line == name and not copy.deleted]
        advice = f"; it has the key too (`certline key where {name}`): replace that if the host is not trusted"
        text = f"{now.name} may not pull line {name} any more and keeps what is installed{advice if held else ''}"
        data = {"line": name, "keys": [copy.spki_sha256 for copy in held]}
        at = services.clock.now()
        records.events.add(caller, "grant.withdrawn", f"follower:{now.name}", text, now=at, data=data)


def _pulled(follower: Follower) -> set[str]:
    return {grant.name for grant in follower.all_grants if grant.kind is GrantKind.PULL}


def _lines(records: Records) -> Sequence[Line]:
    return records.lines.all(SYSTEM, limit=1_000_000)


def _stop(services: Services, records: Records, caller: Caller, lines: Iterable[Line], why: str) -> None:
    """The CA may have issued already: then nobody fetches it. What is live on the host stays there."""
    now = services.clock.now()
    for line in lines:
        ended = records.orders.stop(caller, line.id, Failure(FailureClass.RETRY_SOON, why), now=now)
        text = f"{why}: no more certificates for this line{', and its order was stopped' if ended else ''}"
        records.events.add(caller, "line.stopped", f"line:{line.name}", text, now=now, data={"names": list(line.names)})
