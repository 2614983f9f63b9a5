"""What a host may ask for a line that is its own alone: to issue it anew, and to roll its key over."""

from collections.abc import Callable
from dataclasses import replace

from certline_master.api.incoming import Incoming
from certline_master.api.sequences import counter
from certline_master.api.services import Services
from certline_master.api.wishes import find_line, put_off
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict, NotGranted
from certline_master.domain.key_moves import ask_rollover
from certline_master.domain.model import Custody, Line, LineSnapshot, Owner, VersionState
from certline_master.domain.placement import granted_names, live_version
from certline_master.domain.planning import plan
from certline_master.domain.ports import Records
from certline_master.domain.rollover import is_rolling, why_pinned
from certline_shared.messages import LineAsk, LineTold, decode

_ISSUE, _ROLLOVER = "line.issue", "line.rollover"
_Act = Callable[[Services, Records, Caller, Line], Exception | None]


def renew(services: Services, caller: Caller, local: str, incoming: Incoming) -> LineTold:
    """Raises NotFound, NotGranted, Conflict and Refused."""
    return _ask(services, caller, local, incoming, _renew)


def rollover(services: Services, caller: Caller, local: str, incoming: Incoming) -> LineTold:
    """Raises NotFound, NotGranted, Conflict and Refused."""
    return _ask(services, caller, local, incoming, _roll_over)


def _ask(services: Services, caller: Caller, local: str, incoming: Incoming, act: _Act) -> LineTold:
    count = counter(services, caller, incoming, decode(LineAsk, incoming.body).seq)

    def work(records: Records) -> LineTold | Exception:
        line = find_line(records, caller, local)
        refusal = count(records) or _ungranted(records, caller, line) or act(services, records, caller, line)
        now = services.clock.now()
        return refusal or LineTold(line.name, plan(records.lines.snapshot(caller, line.id), now).standing)

    told = services.store.write(work)
    if isinstance(told, Exception):  # after the commit: what it says is on record
        raise told
    services.bell.ring("work")
    return told


def _ungranted(records: Records, caller: Caller, line: Line) -> NotGranted | None:
    """A line that the host made lives by its grants; one of the operator's is granted as it is."""
    if line.owner is not Owner.FOLLOWER:
        return None
    granted = granted_names(records.followers.by_id(caller, caller.follower_id or ""))
    missing = tuple(name for name in line.names if name not in granted)
    return NotGranted(caller.name, missing) if missing else None


def _renew(services: Services, records: Records, caller: Caller, line: Line) -> Exception | None:
    _refuse_shared(records, caller, [line], f"an operator renews it: certline line issue --force {line.name}")
    if line.forced or _is_on_its_way(records.lines.snapshot(SYSTEM, line.id)):
        return None
    if refusal := put_off(services, records, caller, line):
        return refusal
    now = services.clock.now()
    records.lines.save(SYSTEM, replace(line, forced=True, next_look=now, paused=None))
    _note(services, records, caller, line, (_ISSUE, "asked for a certificate whatever the age"))
    return None


def _roll_over(services: Services, records: Records, caller: Caller, line: Line) -> Exception | None:
    advice = f"an operator rolls its key over: certline line rollover {line.name}"
    _refuse_shared(records, caller, _kin(records, line), advice)
    snapshot, now = records.lines.snapshot(SYSTEM, line.id), services.clock.now()
    if reason := _why_not_rolled(snapshot):
        raise Conflict(reason)
    if line.rollover is not None or is_rolling(snapshot):
        return None
    pinned = why_pinned(snapshot.keys, line.key_types, snapshot.key_options, now)
    if pinned:
        raise Conflict(f"the key of line {line.name} is not rolled over: {pinned}; an operator may do it all the same")
    if refusal := put_off(services, records, caller, line):
        return refusal
    ask_rollover(records, SYSTEM, [line], f"asked for by {caller.actor}", now)
    _note(services, records, caller, line, (_ROLLOVER, "asked for its next key to be used"))
    return None


def _why_not_rolled(snapshot: LineSnapshot) -> str | None:
    name = snapshot.line.name
    if live_version(snapshot) is None:
        return f"line {name} has no live version: its first one is for a new key anyway"
    if snapshot.line.options.requests:
        return f"the operator gave the request of {name}: its key is rolled over where it is made"
    return None


def _kin(records: Records, line: Line) -> list[Line]:
    """All lines of its key: they are rolled over together."""
    same = records.lines.of_key(SYSTEM, line.key_id) if line.key_id and line.custody is Custody.MASTER else []
    return same or [line]


def _refuse_shared(records: Records, caller: Caller, lines: list[Line], advice: str) -> None:
    """Who else has it is none of the host's business."""
    for line in lines:
        if set(records.keys.holders(SYSTEM, line)) - {caller.follower_id}:
            which = f"line {line.name} is" if len(lines) == 1 else "its key is"
            raise Conflict(f"{which} shared with other hosts: {advice}")


def _is_on_its_way(snapshot: LineSnapshot) -> bool:
    return any(version.state is VersionState.ORDERED for version in snapshot.versions)


def _note(services: Services, records: Records, caller: Caller, line: Line, said: tuple[str, str]) -> None:
    kind, what = said
    text, now = f"{caller.actor} {what}", services.clock.now()
    records.events.add(caller, kind, f"line:{line.name}", text, now=now, data={"force": kind == _ISSUE})
    services.limits.noted(caller.follower_id)
