"""What the planner decides about staged versions, carried out: live at their moment, held on, or dropped."""

import logging
from datetime import datetime

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Line, LineSnapshot, Version
from certline_master.domain.ports import Records
from certline_master.domain.staging import DropStaged, GoLive, StagedStep
from certline_master.work import going_live
from certline_master.work.context import Context
from certline_shared.failpoints import failpoint

log = logging.getLogger("certline.work.staged")


class StagedWork:
    """Each step is one transaction, and is left out when the line changed since its snapshot was taken."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def do(self, snapshot: LineSnapshot, step: StagedStep, now: datetime) -> bool:
        """Never opens an order, so it is False; the line is looked at once more."""
        line = snapshot.line
        version = next(one for one in snapshot.versions if one.number == step.number)

        def write(records: Records) -> list[str]:
            if not records.lines.looked(SYSTEM, line.id, was=line.next_look, then=now):
                return []
            _record(records, line, version, step, now)
            return records.keys.holders(SYSTEM, line)

        failpoint("version.staged.before")
        holders = self._context.store.write(write)
        failpoint("version.staged.after")
        for follower_id in holders:
            self._context.bell.ring(f"follower:{follower_id}")
        log.info("staged version", extra={"line": line.name, "version": step.number, "step": type(step).__name__})
        return False


def _record(records: Records, line: Line, version: Version, step: StagedStep, now: datetime) -> None:
    if isinstance(step, GoLive):
        going_live.go_live(records, line, version, step.reason, now)
    elif isinstance(step, DropStaged):
        going_live.drop(records, line, version, step.reason, now)
    else:
        since = version.staged_since or now
        records.versions.hold(SYSTEM, version.id, since=since, until=step.until, why=step.reason)
        going_live.tell_staged(records, line, records.versions.get(SYSTEM, line.id, version.number), now)
