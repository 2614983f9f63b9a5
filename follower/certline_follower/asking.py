"""`renew` and `rollover`: the master is asked to issue a line of this host anew, or to use its next key."""

from typing import Any

from certline_follower.ending import AWAY, FAILED, NOTHING, REFUSED, USAGE
from certline_follower.host import Host
from certline_follower.master_faults import MasterFault, Refused, Unreachable
from certline_shared.messages import LineAsk

RENEW, ROLLOVER = "renew", "rollover"


def asked(host: Host, what: str, names: tuple[str, ...]) -> dict[str, Any]:
    """What the master said. Raises StateError."""
    known = {line.name for line in host.settings.lines}
    if what not in (RENEW, ROLLOVER) or len(names) != 1 or not known.issuperset(names):
        why = "the running follower does not know that yet: have it read its settings anew (SIGHUP), or restart it"
        return _failed(why, USAGE)
    try:
        told = host.client.ask_line(names[0], what, LineAsk(host.next_sequence()))
    except MasterFault as fault:
        return _failed(str(fault), _code(fault))
    host.keeper.note_contact()
    return {"line": names[0], "asked": what, "standing": told.standing, "failures": [], "exit_code": NOTHING}


def _failed(why: str, code: int) -> dict[str, Any]:
    return {"failures": [why], "exit_code": code}


def _code(fault: MasterFault) -> int:
    return REFUSED if isinstance(fault, Refused) else AWAY if isinstance(fault, Unreachable) else FAILED
