"""The alarm that followers have seen more than this master knows: its database went back in time."""

from datetime import datetime, timedelta

from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.model import Follower
from certline_master.domain.ports import Records
from certline_shared.messages import Report

KIND, SUBJECT = "master.behind", "instance"
ONCE_IN = timedelta(hours=1)
_AMONG = 50  # of the newest events about the installation
_ADVICE = "was an old backup or snapshot put in place? Stop, restore the newest one, or run `certline epoch raise`"


def look(records: Records, caller: Caller, report: Report, follower: Follower, *, epoch: int, now: datetime) -> None:
    """Compare what the follower followed with what there is here; one event an hour, whichever follower tells."""
    seen, here = (
        (epoch if report.epoch is None else report.epoch, report.manifest_serial),
        (epoch, follower.manifest_serial),
    )
    if seen <= here or _was_told(records, now):
        return
    text = f"{caller.name} has seen manifest {seen[1]} of epoch {seen[0]}, here is {here[1]} of {here[0]}: {_ADVICE}"
    data = {"follower": caller.name, "seen": list(seen), "here": list(here)}
    records.events.add(SYSTEM, KIND, SUBJECT, text, now=now, data=data)


def _was_told(records: Records, now: datetime) -> bool:
    newest = records.events.all(SYSTEM, subject=SUBJECT, limit=_AMONG)
    return any(event.kind == KIND and event.at > now - ONCE_IN for event in newest)
