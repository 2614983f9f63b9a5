"""Versions whose orders no CA has heard of: they can be forgotten without a trace."""

from sqlalchemy import delete, exists, select

from certline_master.domain.model import VersionState
from certline_master.store.session import Session, param, several
from certline_master.store.tables import certificates, orders, versions

_TOUCHED = (
    exists()
    .where(orders.c.certificate_id == certificates.c.id, certificates.c.version_id == versions.c.id)
    .where(orders.c.url.is_not(None) | orders.c.worker.is_not(None))
)
_UNOPENED = select(versions.c.id).where(
    versions.c.line_id == param("line"), versions.c.state == VersionState.ORDERED, ~_TOUCHED
)
_THEIR_CERTIFICATES = select(certificates.c.id).where(certificates.c.version_id.in_(several("found")))
_DROP_ORDERS = delete(orders).where(orders.c.certificate_id.in_(_THEIR_CERTIFICATES))
_DROP = delete(versions).where(versions.c.id.in_(several("found")))


def drop_unopened(session: Session, line_id: str) -> int:
    """How many versions that was; one with an order that a worker holds, or a CA knows, stays."""
    found = [row.id for row in session.rows(_UNOPENED, {"line": line_id})]
    if found:
        session.run(_DROP_ORDERS, {"found": found})
        session.run(_DROP, {"found": found})
    return len(found)
