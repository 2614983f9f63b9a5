"""Versions of a line with their certificates."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import NotFound
from certline_master.domain.model import Certificate, Failure, Order, OrderState, Renewal, Version, VersionState
from certline_master.store import order_rows
from certline_master.store.scope import may_touch, own, sees_all
from certline_master.store.session import Session, Shape, number, param, several
from certline_master.store.tables import certificates, lines, orders, versions

VERSION = Shape(Version, versions, without=("certificates",))
CERTIFICATE = Shape(Certificate, certificates)
_OVER = (VersionState.RETIRED, VersionState.REVOKED, VersionState.FAILED)

_FIND = select(*VERSION.columns, lines.c.follower_id).join(lines)
_OF_LINE = _FIND.where(versions.c.line_id == param("line")).order_by(versions.c.number.desc())
_BY_NUMBER = _FIND.where(versions.c.line_id == param("line"), versions.c.number == number("wanted"))
_LIVE = _FIND.where(versions.c.line_id.in_(several("line_ids")), versions.c.state == VersionState.LIVE)
_OWN_LIVE = _LIVE.where(lines.c.follower_id == param("own"))
_LIVE_SINCE = (
    select(versions.c.line_id, func.max(orders.c.since).label("since"))
    .join(lines)
    .join(certificates, certificates.c.version_id == versions.c.id)
    .join(orders, orders.c.certificate_id == certificates.c.id)
    .where(
        versions.c.line_id.in_(several("line_ids")),
        versions.c.state == VersionState.LIVE,
        orders.c.state == OrderState.ISSUED,
        orders.c.since.is_not(None),
    )
    .group_by(versions.c.line_id)
)
_OWN_LIVE_SINCE = _LIVE_SINCE.where(lines.c.follower_id == param("own"))
_ORDERED_SINCE = (
    select(versions.c.created)
    .join(lines)
    .where(lines.c.follower_id == param("follower"), versions.c.created > param("since", versions.c.created))
    .order_by(versions.c.created)
)
_ADD_VERSION = insert(versions)
_ADD_CERTIFICATE = insert(certificates)
_CERTIFICATES = (
    select(*CERTIFICATE.columns)
    .where(certificates.c.version_id.in_(several("version_ids")))
    .order_by(certificates.c.key_type)
)
_CERTIFICATE = (
    select(*CERTIFICATE.columns, lines.c.follower_id)
    .join(versions, certificates.c.version_id == versions.c.id)
    .join(lines)
    .where(certificates.c.id == param("wanted"))
)
_ITSELF = versions.alias("itself")
_ITS_LINE = select(_ITSELF.c.line_id).where(_ITSELF.c.id == param("wanted")).scalar_subquery()
_RETIRE = (
    update(versions)
    .where(versions.c.state == VersionState.LIVE, versions.c.id != param("wanted"), versions.c.line_id == _ITS_LINE)
    .values(state=VersionState.RETIRED, ended=param("now", versions.c.ended))
)
_SET_STATE = (
    update(versions)
    .where(versions.c.id == param("wanted"))
    .values(
        state=param("to", versions.c.state),
        failure=param("why", versions.c.failure),
        ended=param("at", versions.c.ended),
    )
)
_SET_RENEWAL = (
    update(certificates)
    .where(certificates.c.id == param("wanted"))
    .values(renewal=param("chosen", certificates.c.renewal))
)
_MARK_REPLACED = update(certificates).where(certificates.c.id == param("wanted")).values(replaced=True)


class Versions:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller, line_id: str) -> list[Version]:
        rows = self._session.rows(_OF_LINE, {"line": line_id})
        return with_certificates(self._session, [row for row in rows if may_touch(caller, row.follower_id)])

    def get(self, caller: Caller, line_id: str, number: int) -> Version:
        row = self._session.row(_BY_NUMBER, {"line": line_id, "wanted": number})
        if row is None or not may_touch(caller, row.follower_id):
            raise NotFound("version", str(number))
        return with_certificates(self._session, [row])[0]

    def live(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, Version]:
        """By line id."""
        statement, scope = (_LIVE, {}) if sees_all(caller) else (_OWN_LIVE, own(caller))
        rows = self._session.rows(statement, {"line_ids": list(line_ids), **scope})
        return {version.line_id: version for version in with_certificates(self._session, rows)}

    def live_since(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, datetime]:
        """When the last order of each line's live version was issued, by line id."""
        statement, scope = (_LIVE_SINCE, {}) if sees_all(caller) else (_OWN_LIVE_SINCE, own(caller))
        rows = self._session.rows(statement, {"line_ids": list(line_ids), **scope})
        return {row.line_id: row.since for row in rows}

    def ordered_since(self, caller: Caller, follower_id: str, since: datetime) -> list[datetime]:
        if not may_touch(caller, follower_id):
            return []
        return [row.created for row in self._session.rows(_ORDERED_SINCE, {"follower": follower_id, "since": since})]

    def open(self, caller: Caller, version: Version, orders: Sequence[Order]) -> None:
        """Of orders with the same (issuer, names, profile), the first starts and the others wait for it."""
        caller.require(Role.OPERATOR)
        clash = f"version {version.number} of the line is there already, or an order for the same names is under way"
        with self._session.all_or_nothing(clash):
            self._session.run(_ADD_VERSION, VERSION.write(version))
            self._session.run(_ADD_CERTIFICATE, [CERTIFICATE.write(one) for one in version.certificates])
            order_rows.add(self._session, orders)

    def set_state(
        self, caller: Caller, version_id: str, state: VersionState, *, now: datetime, failure: Failure | None = None
    ) -> None:
        caller.require(Role.OPERATOR)
        set_state(self._session, version_id, state, now=now, failure=failure)

    def set_renewal(self, caller: Caller, certificate_id: str, renewal: Renewal) -> None:
        caller.require(Role.OPERATOR)
        if not self._session.run(_SET_RENEWAL, {"wanted": certificate_id, "chosen": renewal}):
            raise NotFound("certificate", certificate_id)

    def mark_replaced(self, caller: Caller, certificate_id: str) -> None:
        caller.require(Role.OPERATOR)
        if not self._session.run(_MARK_REPLACED, {"wanted": certificate_id}):
            raise NotFound("certificate", certificate_id)

    def certificate(self, caller: Caller, certificate_id: str) -> Certificate:
        row = self._session.row(_CERTIFICATE, {"wanted": certificate_id})
        if row is None or not may_touch(caller, row.follower_id):
            raise NotFound("certificate", certificate_id)
        return CERTIFICATE.read(row)


def with_certificates(session: Session, rows: Sequence[Any]) -> list[Version]:
    """Versions of rows that begin with the version's columns, in the same order."""
    found: dict[str, list[Certificate]] = defaultdict(list)
    wanted = {"version_ids": [row.id for row in rows]}
    for row in session.rows(_CERTIFICATES, wanted) if rows else ():
        certificate = CERTIFICATE.read(row)
        found[certificate.version_id].append(certificate)
    return [replace(VERSION.read(row), certificates=tuple(found[row.id])) for row in rows]


def set_state(
    session: Session, version_id: str, state: VersionState, *, now: datetime, failure: Failure | None = None
) -> None:
    """`live` retires the former one first: at no moment are two of a line live. Raises NotFound."""
    if state is VersionState.LIVE:
        session.run(_RETIRE, {"wanted": version_id, "now": now})
    changed = {"wanted": version_id, "to": state, "why": failure, "at": now if state in _OVER else None}
    if not session.run(_SET_STATE, changed):
        raise NotFound("version", version_id)
