"""The TLSA records at one owner name: looked at, changed where DNS differs from the ledger, and looked at again."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from certline_master.domain.access import SYSTEM
from certline_master.domain.authorization import zone_of
from certline_master.domain.dane import brief
from certline_master.domain.dane_ledger import NamePlan, is_over, plan_name, seen, sent
from certline_master.domain.errors import SolverError
from certline_master.domain.model import ZONE_SECRET, TlsaRecord, TlsaState, VersionState, Zone
from certline_master.domain.ports import Records, TlsaSight, TlsaView, TlsaWriter
from certline_master.work.context import Context
from certline_shared.failpoints import failpoint

NOT_OURS = "certline cannot change its zone: publish what `certline tlsa show --zone-file` prints"
NOT_OURS_ANY_MORE = "certline cannot change its zone (any more): take it away there"

_DONE = {TlsaState.VISIBLE: "is shown by every name server", TlsaState.REMOVED: "is shown by no name server any more"}

log = logging.getLogger("certline.work.tlsa")


@dataclass(frozen=True, slots=True)
class TlsaName:
    """Each step may be repeated: what is sent twice changes nothing, and what is there already is not sent."""

    context: Context
    view: TlsaView
    name: str

    def tend(self) -> None:
        """Raises SolverError, once it is on record with the rows that wait for it."""
        zone, writer = self._writer()
        try:
            sight = self.view.look(self.name, zone)
            if writer is not None and zone is not None and sight.shown:
                sight = self._bring(zone, writer, sight)
        except SolverError as fault:
            self._failed(str(fault))
            raise
        self._record(sight, can_write=writer is not None)

    def _writer(self) -> tuple[Zone | None, TlsaWriter | None]:
        with self.context.store.read() as records:
            zone = zone_of(self.name, records.zones.all(SYSTEM))
        solver: object = self.context.solvers.get(zone.solver) if zone else None
        return (zone, solver) if isinstance(solver, TlsaWriter) else (None, None)

    def _bring(self, zone: Zone, writer: TlsaWriter, sight: TlsaSight) -> TlsaSight:
        """Send what is missing and what is too much; the look after that."""
        plan = self._intend(sight)
        if not plan.sends:
            return sight
        failpoint("tlsa.intended")
        writer.change_tlsa(zone, self._secret(zone), add=plan.add, remove=plan.remove)
        failpoint("tlsa.sent")
        now = self.context.clock.now()
        self.context.store.write(lambda records: records.tlsa.save(SYSTEM, sent(plan.rows, now)))
        failpoint("tlsa.recorded")
        log.info("TLSA records changed", extra={"name": self.name, "add": len(plan.add), "remove": len(plan.remove)})
        return self.view.look(self.name, zone)

    def _intend(self, sight: TlsaSight) -> NamePlan:
        """What is to be sent, with what stood before, is on record before it is sent."""
        now = self.context.clock.now()

        def write(records: Records) -> NamePlan:
            plan = plan_name(records.tlsa.at_names(SYSTEM, [self.name]), sight.shown, now)
            records.tlsa.save(SYSTEM, plan.rows)
            for row in plan.vanished:
                note(records, "tlsa.vanished", row, "was taken out of DNS by somebody: it is put back", now)
            return plan

        return self.context.store.write(write)

    def _record(self, sight: TlsaSight, *, can_write: bool) -> None:
        now = self.context.clock.now()

        def write(records: Records) -> None:
            rows = records.tlsa.at_names(SYSTEM, [self.name])
            changed = seen(rows, sight.shown, sight.faults, now)
            if not can_write:
                changed = [row if row.error is None else replace(row, error=_by_hand(row)) for row in changed]
            records.tlsa.save(SYSTEM, changed)
            for row in changed:
                if row.state in _DONE and row.since == now:
                    note(records, f"tlsa.{row.state}", row, _DONE[row.state], now)
                    wake(records, row.lines, now)
            records.tlsa.forget(SYSTEM, [row for row in rows if is_over(row, now)])

        self.context.store.write(write)
        failpoint("tlsa.seen")

    def _failed(self, why: str) -> None:
        def write(records: Records) -> None:
            rows = records.tlsa.at_names(SYSTEM, [self.name])
            waiting = [row for row in rows if row.state not in (TlsaState.VISIBLE, TlsaState.REMOVED)]
            records.tlsa.save(SYSTEM, [replace(row, error=why) for row in waiting if row.error != why])

        self.context.store.write(write)

    def _secret(self, zone: Zone) -> bytes | None:
        if zone.secret is None:
            return None
        with self.context.store.read() as records:
            return records.secrets.read(SYSTEM, ZONE_SECRET, zone.secret)


def note(records: Records, kind: str, row: TlsaRecord, text: str, now: datetime) -> None:
    """The event of one record."""
    data = {"rdata": row.rdata, "zone": row.zone, "former_ttl": row.former_ttl}
    records.events.add(SYSTEM, kind, f"tlsa:{row.name}", f"{brief(row.rdata)} {text}", now=now, data=data)


def wake(records: Records, line_ids: Sequence[str], now: datetime) -> None:
    """The planner looks at those lines that have something staged."""
    for line_id in line_ids:
        if any(one.state is VersionState.STAGED for one in records.versions.all(SYSTEM, line_id)):
            records.lines.set_next_look(SYSTEM, line_id, now)


def _by_hand(row: TlsaRecord) -> str:
    return NOT_OURS_ANY_MORE if row.state is TlsaState.REMOVING else NOT_OURS
