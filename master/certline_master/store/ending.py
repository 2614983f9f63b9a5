"""How orders end early: with their line, or with their version."""

from datetime import datetime

from sqlalchemy import false, null, select, update

from certline_master.domain.model import Failure, FailureClass, OrderState
from certline_master.store.session import Session, param
from certline_master.store.tables import LIVE_ORDER, certificates, orders, versions

_OF_VERSION = select(certificates.c.id).where(certificates.c.version_id == param("version"))
_OF_LINE = select(certificates.c.id).join(versions).where(versions.c.line_id == param("line"))

# The fence rises, so that a worker which has the order in hand hears of it at its next write.
_END = (
    update(orders)
    .where(LIVE_ORDER)
    .values(
        state=OrderState.FAILED,
        failure=param("why", orders.c.failure),
        waiting=null(),
        since=param("now", orders.c.since),
        worker=null(),
        lease_until=null(),
        ready_at=null(),
        in_flight=false(),
        queued=false(),
        fence=orders.c.fence + 1,
    )
)
_END_OF_VERSION = _END.where(orders.c.certificate_id.in_(_OF_VERSION))
_END_OF_LINE = _END.where(orders.c.certificate_id.in_(_OF_LINE))


def fail_orders_of_line(session: Session, line_id: str, why: str) -> None:
    failure = Failure(FailureClass.FIX_CONFIGURATION, why)
    session.run(_END_OF_LINE, {"line": line_id, "why": failure, "now": session.clock.now()})


def fail_orders_of_version(session: Session, version_id: str, failure: Failure | None, now: datetime) -> None:
    session.run(_END_OF_VERSION, {"version": version_id, "why": failure, "now": now})
