"""Orders: their journal, written only by who holds the lease, and what follows when they end."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, false, func, null, select, true, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import LeaseLost, NotFound
from certline_master.domain.model import (
    Certificate,
    Challenge,
    Failure,
    Lease,
    Order,
    OrderWork,
    Version,
    VersionState,
)
from certline_master.store import leases, ledger
from certline_master.store.changes import UNSEEN
from certline_master.store.ending import fail_orders_of_version
from certline_master.store.order_rows import ORDER, is_live
from certline_master.store.revocations import OPEN_REVOCATION
from certline_master.store.scope import sees_all
from certline_master.store.session import Session, param
from certline_master.store.tables import LIVE_ORDER, certificates, lines, orders, revocations, versions
from certline_master.store.versions import VERSION, set_state, with_certificates

_FIND = select(*ORDER.columns)
_BY_ID = _FIND.where(orders.c.id == param("wanted"))
_LIVE = _FIND.where(LIVE_ORDER).order_by(orders.c.created, orders.c.id)
_OF_LINE = (
    _FIND.join(certificates, certificates.c.id == orders.c.certificate_id)
    .join(versions, versions.c.id == certificates.c.version_id)
    .where(versions.c.line_id == param("wanted"))
    .order_by(orders.c.created.desc(), orders.c.id)
)

# What an order was made for never changes.
_FIXED = ("id", "certificate_id", "issuer_id", "names", "profile", "created")
_CHANGING = tuple(name for name in ORDER.names if name not in _FIXED)
_OURS = update(orders).where(
    orders.c.id == param("wanted"),
    orders.c.fence == param("our_fence", orders.c.fence),
    orders.c.worker == param("who"),
)
_FIELDS = {name: param(f"new_{name}", orders.c[name]) for name in _CHANGING}
_HOLD = _OURS.values(
    **_FIELDS,
    ready_at=case((orders.c.lease_until > _FIELDS["due"], orders.c.lease_until), else_=_FIELDS["due"]),
)
_RELEASE = _OURS.values(
    **_FIELDS,
    worker=null(),
    lease_until=null(),
    ready_at=param("ready", orders.c.ready_at),
    in_flight=param("stays_in_flight", orders.c.in_flight),
)

_STORED = ("chain", "serial", "not_before", "not_after")
_STORE_CERTIFICATE = (
    update(certificates)
    .where(certificates.c.id == param("wanted"))
    .values({name: param(f"new_{name}", certificates.c[name]) for name in _STORED})
)
_VERSION = (
    select(*VERSION.columns)
    .join(certificates, certificates.c.version_id == versions.c.id)
    .where(certificates.c.id == param("wanted"))
)
_RUNNING = select(versions.c.id).where(versions.c.line_id == param("line"), versions.c.state == VersionState.ORDERED)
_LOOK_AT_LINE = (
    update(lines)
    .where(lines.c.id == param("wanted"))
    .values(next_look=param("moment", lines.c.next_look))
    .execution_options(**UNSEEN)
)
_NEXT_IN_QUEUE = (
    select(orders.c.id)
    .join(certificates, certificates.c.id == orders.c.certificate_id)
    .where(certificates.c.version_id == param("wanted"), orders.c.queued)
    .order_by(orders.c.created, orders.c.id)
    .limit(1)
)
_START = update(orders).where(orders.c.id == param("wanted")).values(queued=false(), ready_at=orders.c.due)


def _earliest(opened: Any) -> Any:
    """One look into the index."""
    ready = select(orders.c.ready_at).where(orders.c.in_flight == opened, orders.c.ready_at.is_not(None))
    return ready.order_by(orders.c.ready_at).limit(1).scalar_subquery()


_NEXT_DUE = select(
    _earliest(true()),
    _earliest(false()),
    select(func.min(lines.c.next_look)).scalar_subquery(),
    ledger.NEXT_REMOVAL.scalar_subquery(),
    select(func.min(revocations.c.due)).where(OPEN_REVOCATION).scalar_subquery(),
)


class Orders(ledger.Ledger):
    def __init__(self, session: Session) -> None:
        super().__init__(session)

    def claim(
        self, caller: Caller, worker: str, *, now: datetime, lease: timedelta, limit: int, in_flight_most: int
    ) -> list[OrderWork]:
        """While there is no room for orders not yet opened, `next_due` may lie in the past."""
        caller.require(Role.SYSTEM)
        return leases.claim(self._session, worker, now=now, lease=lease, limit=limit, in_flight_most=in_flight_most)

    def renew(
        self, caller: Caller, worker: str, order_ids: Sequence[str], *, now: datetime, lease: timedelta
    ) -> list[str]:
        caller.require(Role.SYSTEM)
        return leases.renew(self._session, worker, order_ids, now=now, lease=lease)

    def release_all(self, caller: Caller, worker: str) -> None:
        caller.require(Role.SYSTEM)
        leases.release_all(self._session, worker)

    def save(
        self, caller: Caller, lease: Lease, order: Order, *, challenges: Sequence[Challenge] = (), release: bool = False
    ) -> None:
        caller.require(Role.SYSTEM)
        self._write(lease, order, release=release)
        self._session.run(ledger.PUT.on(self._session), [ledger.CHALLENGE.write(one) for one in challenges])

    def issued(
        self,
        caller: Caller,
        lease: Lease,
        order: Order,
        certificate: Certificate,
        *,
        now: datetime,
        stage: bool = False,
    ) -> Version | None:
        """While another key type of the version is missing, its order has its turn."""
        caller.require(Role.SYSTEM)
        self._write(lease, order, release=True)
        fields = {f"new_{name}": getattr(certificate, name) for name in _STORED}
        self._session.run(_STORE_CERTIFICATE, {"wanted": certificate.id, **fields})
        version = self._version_of(certificate.id)
        if any(one.chain is None for one in version.certificates):
            self._start_next(version)
            return None
        set_state(self._session, version.id, VersionState.STAGED if stage else VersionState.LIVE, now=now)
        self._look_at(version, now)
        return self._version_of(certificate.id)

    def failed(self, caller: Caller, lease: Lease, order: Order, *, now: datetime) -> None:
        caller.require(Role.SYSTEM)
        self._write(lease, order, release=True)
        version = self._version_of(order.certificate_id)
        fail_orders_of_version(self._session, version.id, order.failure, now)
        set_state(self._session, version.id, VersionState.FAILED, now=now, failure=order.failure)
        self._look_at(version, now)

    def stop(self, caller: Caller, line_id: str, failure: Failure, *, now: datetime) -> bool:
        caller.require(Role.OPERATOR)
        running = self._session.rows(_RUNNING, {"line": line_id})
        for row in running:
            fail_orders_of_version(self._session, row.id, failure, now)
            set_state(self._session, row.id, VersionState.FAILED, now=now, failure=failure)
        return bool(running)

    def get(self, caller: Caller, order_id: str) -> Order:
        row = self._session.row(_BY_ID, {"wanted": order_id}) if sees_all(caller) else None
        if row is None:
            raise NotFound("order", order_id)
        return ORDER.read(row)

    def of_line(self, caller: Caller, line_id: str) -> list[Order]:
        """The newest first."""
        rows = self._session.rows(_OF_LINE, {"wanted": line_id}) if sees_all(caller) else ()
        return [ORDER.read(row) for row in rows]

    def live(self, caller: Caller) -> list[Order]:
        """The oldest first."""
        return [ORDER.read(row) for row in self._session.rows(_LIVE)] if sees_all(caller) else []

    def next_due(self, caller: Caller) -> datetime | None:
        if not sees_all(caller):
            return None
        row = self._session.row(_NEXT_DUE)
        return min((moment for moment in row or () if moment is not None), default=None)

    def _write(self, lease: Lease, order: Order, *, release: bool) -> None:
        """Raises LeaseLost; nothing is written then."""
        wanted = {"wanted": order.id, "our_fence": lease.fence, "who": lease.worker}
        wanted |= {f"new_{name}": getattr(order, name) for name in _CHANGING}
        live = is_live(order)
        if release or not live:
            wanted |= {"ready": order.due if live else None, "stays_in_flight": live and order.url is not None}
            changed = self._session.run(_RELEASE, wanted)
        else:
            changed = self._session.run(_HOLD, wanted)
        if not changed:
            raise LeaseLost(f"order {order.id} is no longer held by {lease.worker} with fence {lease.fence}")

    def _version_of(self, certificate_id: str) -> Version:
        row = self._session.row(_VERSION, {"wanted": certificate_id})
        if row is None:
            raise NotFound("certificate", certificate_id)
        return with_certificates(self._session, [row])[0]

    def _start_next(self, version: Version) -> None:
        row = self._session.row(_NEXT_IN_QUEUE, {"wanted": version.id})
        if row:
            self._session.run(_START, {"wanted": row.id})

    def _look_at(self, version: Version, now: datetime) -> None:
        self._session.run(_LOOK_AT_LINE, {"wanted": version.line_id, "moment": now})
