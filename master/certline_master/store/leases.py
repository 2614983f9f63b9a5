"""Leases on orders: who may work on which, until when, and the fence that keeps out who comes too late.

`ready_at` is the moment an order may be taken: its due time, or the end of its lease if that is later. An order holds
one of the places at the CA (`in_flight`) from when it is taken until it ends, or is freed before it was opened.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, Interval, Update, bindparam, case, cast, func, null, select, true, update

from certline_master.domain.model import Challenge, Issuer, Lease, OrderWork
from certline_master.store.columns import Time
from certline_master.store.issuers import ISSUER
from certline_master.store.ledger import challenges_of
from certline_master.store.order_rows import ORDER
from certline_master.store.session import Session, number, param, several
from certline_master.store.tables import certificates, issuers, lines, orders, versions
from certline_master.store.versions import CERTIFICATE

_BY_DATABASE = func.statement_timestamp(type_=Time())
_UNTIL_BY_DATABASE = cast(func.statement_timestamp() + bindparam("lease", type_=Interval()), DateTime(timezone=True))
_BY_CALLER = param("now", orders.c.due)
_UNTIL_BY_CALLER = param("until", orders.c.due)


def _take(now: Any, until: Any) -> Update:
    """Materialized, or Postgres may run the choice once per row and take more than the limit."""
    due = (
        select(orders.c.id)
        .where(orders.c.in_flight == bindparam("opened", type_=orders.c.in_flight.type), orders.c.ready_at <= now)
        .order_by(orders.c.ready_at)
        .limit(number("most"))
        .with_for_update(skip_locked=True)
        .cte("due")
        .prefix_with("MATERIALIZED")
    )
    return (
        update(orders)
        .where(orders.c.id.in_(select(due.c.id)))
        .values(worker=param("who"), lease_until=until, ready_at=until, fence=orders.c.fence + 1, in_flight=true())
        .returning(*ORDER.columns, orders.c.fence, orders.c.lease_until)
    )


def _extend(now_until: Any) -> Update:
    return (
        update(orders)
        .where(orders.c.id.in_(several("wanted")), orders.c.worker == param("who"))
        .values(lease_until=now_until, ready_at=case((orders.c.due > now_until, orders.c.due), else_=now_until))
        .returning(orders.c.id)
    )


_TAKE = {True: _take(_BY_DATABASE, _UNTIL_BY_DATABASE), False: _take(_BY_CALLER, _UNTIL_BY_CALLER)}
_EXTEND = {True: _extend(_UNTIL_BY_DATABASE), False: _extend(_UNTIL_BY_CALLER)}
_IN_FLIGHT = select(func.count()).select_from(orders).where(orders.c.in_flight, orders.c.ready_at.is_not(None))
_FREE = (
    update(orders)
    .where(orders.c.worker == param("who"))
    .values(worker=null(), lease_until=null(), ready_at=orders.c.due, in_flight=orders.c.url.is_not(None))
)
_WHAT_FOR = (
    select(*CERTIFICATE.columns, lines.c.id.label("line_id"), lines.c.name.label("line"))
    .join(versions, versions.c.id == certificates.c.version_id)
    .join(lines, lines.c.id == versions.c.line_id)
    .where(certificates.c.id.in_(several("wanted")))
)
_ISSUERS = select(*ISSUER.columns).where(issuers.c.id.in_(several("wanted")))


def claim(
    session: Session, worker: str, *, now: datetime, lease: timedelta, limit: int, in_flight_most: int
) -> list[OrderWork]:
    """Those at the CA come first: what is begun is ended before more is begun."""
    given = {"who": worker} | _moment(session, now, lease)
    taken = session.take(_TAKE[session.is_postgres], {"opened": True, "most": limit, **given})
    room = in_flight_most - session.count(_IN_FLIGHT)
    most = min(limit - len(taken), room)
    if most > 0:
        taken += session.take(_TAKE[session.is_postgres], {"opened": False, "most": most, **given})
    return _bundles(session, worker, taken) if taken else []


def renew(session: Session, worker: str, order_ids: Sequence[str], *, now: datetime, lease: timedelta) -> list[str]:
    given = {"who": worker, "wanted": list(order_ids)} | _moment(session, now, lease)
    return [row.id for row in session.take(_EXTEND[session.is_postgres], given)]


def release_all(session: Session, worker: str) -> None:
    session.run(_FREE, {"who": worker})


def _moment(session: Session, now: datetime, lease: timedelta) -> dict[str, Any]:
    return {"lease": lease} if session.is_postgres else {"now": now, "until": now + lease}


def _bundles(session: Session, worker: str, rows: Sequence[Any]) -> list[OrderWork]:
    """Each kind of row is fetched once for all orders."""
    certificate_rows = session.rows(_WHAT_FOR, {"wanted": [row.certificate_id for row in rows]})
    wanted = {row.id: row for row in certificate_rows}
    issuer_rows = session.rows(_ISSUERS, {"wanted": list({row.issuer_id for row in rows})})
    issuer_of = {row.id: ISSUER.read(row) for row in issuer_rows}
    ledger: dict[str, list[Challenge]] = defaultdict(list)
    for challenge in challenges_of(session, [row.id for row in rows]):
        ledger[challenge.order_id].append(challenge)

    def bundle(row: Any) -> OrderWork:
        what_for = wanted[row.certificate_id]
        issuer: Issuer = issuer_of[row.issuer_id]
        return OrderWork(
            order=ORDER.read(row),
            certificate=CERTIFICATE.read(what_for),
            issuer=issuer,
            challenges=tuple(ledger[row.id]),
            lease=Lease(worker, row.fence, row.lease_until),
            line_id=what_for.line_id,
            line=what_for.line,
        )

    return [bundle(row) for row in rows]
