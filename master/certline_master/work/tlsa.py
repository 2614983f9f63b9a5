"""Keeps TLSA records: what lines want goes on record, then each owner name is brought to it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from certline_master.domain.access import SYSTEM
from certline_master.domain.authorization import zone_of
from certline_master.domain.dane import STANDING, by_name
from certline_master.domain.dane import Records as WantedRecords
from certline_master.domain.dane_ledger import ending, is_over
from certline_master.domain.dane_looking import wanted_of
from certline_master.domain.errors import DomainError, NotFound
from certline_master.domain.model import Line, TlsaRecord, TlsaState
from certline_master.domain.ports import Records
from certline_master.work.context import Context
from certline_master.work.tlsa_names import TlsaName, note
from certline_shared.failpoints import failpoint

LINES_AT_ONCE = 100
EVERY = timedelta(minutes=10)  # records that somebody took away come back
PENDING = timedelta(seconds=5)  # until every server shows a change
SLOWLY = timedelta(seconds=30)  # a change that takes long, and hosts that are waited for
QUICK_FOR = timedelta(minutes=2)
LEASE = timedelta(minutes=2)
LEADER = "tlsa.leader"

T = TypeVar("T")

log = logging.getLogger("certline.work.tlsa")


@dataclass(slots=True)
class Tlsa:
    """All is on record, so that a restart goes on where it was; of several masters one at a time does it."""

    context: Context
    _endings_due: float = field(default=float("-inf"), init=False)

    def turn(self) -> int:
        """What is due; the number of lines and names that were looked at."""
        if self.context.tlsa is None:
            return 0
        with self.context.store.read() as records:
            due = records.tlsa.due(SYSTEM, self.context.clock.now(), LINES_AT_ONCE)
            unwanted = records.tlsa.unwanted(SYSTEM)
        if not (due or self._endings(unwanted)) or not self._leads():
            return 0
        names: set[str] = set()
        for line_id in due:
            names |= self._apart(line_id, partial(self._want, line_id)) or set()
        names |= self._end_unwanted()
        for name in sorted(names):
            if self._leads():
                self._apart(name, TlsaName(self.context, self.context.tlsa, name).tend)
        for line_id in due:
            self._apart(line_id, partial(self._settle, line_id))
        return len(due) + len(names)

    def _apart(self, what: str, do: Callable[[], T]) -> T | None:
        """What cannot be done for one stops no other."""
        try:
            return do()
        except DomainError as fault:
            log.error("TLSA records wait", extra={"what": what, "error": str(fault)})
        except Exception:  # an error of ours
            log.exception("the turn of TLSA records broke", extra={"what": what})
        return None

    def _leads(self) -> bool:
        """Two that look and write at once would take each other's records for somebody's."""
        now, worker = self.context.clock.now(), self.context.worker
        with self.context.store.read() as records:
            was = records.instance.get(SYSTEM, LEADER)
        holder, _, until = (was or f"{worker} ").partition(" ")
        ends = datetime.fromisoformat(until) if until else now
        if holder == worker and ends - now > LEASE / 2:
            return True
        if holder != worker and ends > now:
            return False
        then = f"{worker} {(now + LEASE).isoformat()}"
        return self.context.store.write(lambda records: records.instance.swap(SYSTEM, LEADER, was, then))

    # --- what is wanted ---

    def _want(self, line_id: str) -> set[str]:
        """Put on record what the line wants now; the names where something of it stands, or did."""
        with self.context.store.read() as records:
            found = _wanted(records, line_id)
            zones = records.zones.all(SYSTEM)
            before = records.tlsa.all(SYSTEM, line_id=line_id)
        if found is None:
            return set()
        line, wanted = found
        covering = {one.name: zone_of(one.name, zones) for one in wanted.wanted}
        named = {name: zone.name if zone else None for name, zone in covering.items()}
        now = self.context.clock.now()

        def write(records: Records) -> list[TlsaRecord]:
            fresh = records.tlsa.want(SYSTEM, line_id, wanted.wanted, named, now=now)
            for row in fresh:
                note(records, "tlsa.wanted", row, f"is to be published for line {line.name}", now)
            return fresh

        self.context.store.write(write)
        failpoint("tlsa.wanted")
        return {row.name for row in before} | {one.name for one in wanted.wanted}

    # --- what nobody wants ---

    def _endings(self, unwanted: Sequence[TlsaRecord]) -> bool:
        """What is new is removed at once; what could not be removed is tried again after a while."""
        moment = self.context.clock.monotonic()
        return any(row.state in STANDING for row in unwanted) or (bool(unwanted) and moment >= self._endings_due)

    def _end_unwanted(self) -> set[str]:
        now = self.context.clock.now()
        self._endings_due = self.context.clock.monotonic() + SLOWLY.total_seconds()

        def write(records: Records) -> set[str]:
            unwanted = records.tlsa.unwanted(SYSTEM)
            new = [ending(row, now) for row in unwanted if row.state in STANDING]
            records.tlsa.save(SYSTEM, new)
            for row in new:
                note(records, "tlsa.unwanted", row, "is wanted by no line any more: it is removed", now)
            records.tlsa.forget(SYSTEM, [row for row in unwanted if is_over(row, now)])
            return {row.name for row in unwanted if row.state is not TlsaState.REMOVED}

        return self.context.store.write(write)

    # --- what comes next ---

    def _settle(self, line_id: str) -> None:
        """When to look again; a staged version that waits for what has become visible is looked at by the planner."""
        now = self.context.clock.now()

        def write(records: Records) -> None:
            found = _wanted(records, line_id)
            rows = records.tlsa.all(SYSTEM, line_id=line_id)
            if found is None or not (found[0].options.tlsa or rows):
                records.tlsa.look(SYSTEM, line_id, None)
                return
            around = records.tlsa.at_names(SYSTEM, by_name(rows))
            records.tlsa.look(SYSTEM, line_id, now + pause(around, found[1], now))

        self.context.store.write(write)


def _wanted(records: Records, line_id: str) -> tuple[Line, WantedRecords] | None:
    """None where the line is gone."""
    try:
        line = records.lines.by_id(SYSTEM, line_id)
    except NotFound:
        return None
    return line, wanted_of(records, SYSTEM, line)


def pause(around: Sequence[TlsaRecord], wanted: WantedRecords, now: datetime) -> timedelta:
    """Until the next look at a line's records; `around`: all of the ledger at its names."""
    open_ = [row for row in around if row.state not in (TlsaState.VISIBLE, TlsaState.REMOVED)]
    if open_:
        return PENDING if any(now - row.since < QUICK_FOR for row in open_) else SLOWLY
    return SLOWLY if wanted.in_use.waits_for and wanted.kept else EVERY
