"""Versions of a line with their certificates."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import NotFound
from certline_master.domain.model import Certificate, Failure, Order, OrderState, Renewal, Version, VersionState
from certline_master.store import order_rows, slots
from certline_master.store.changes import UNSEEN
from certline_master.store.scope import SEEN, may_touch, own, sees_all
from certline_master.store.session import Session, Shape, number, param, several
from certline_master.store.tables import certificates, lines, orders, versions, waves
from certline_master.store.unopened import drop_unopened

VERSION = Shape(Version, versions, without=("certificates",))
CERTIFICATE = Shape(Certificate, certificates)
_OVER = (VersionState.RETIRED, VersionState.REVOKED, VersionState.FAILED)

_FIND = select(*VERSION.columns).join(lines)
_OF_LINE = _FIND.where(versions.c.line_id == param("line")).order_by(versions.c.number.desc())
_BY_NUMBER = _FIND.where(versions.c.line_id == param("line"), versions.c.number == number("wanted"))
_NUMBERS = select(versions.c.line_id, versions.c.number).join(lines).where(versions.c.line_id.in_(several("line_ids")))
_OWN_NUMBERS = _NUMBERS.where(SEEN)
_LIVE = _FIND.where(versions.c.line_id.in_(several("line_ids")), versions.c.state == VersionState.LIVE)
_OWN_LIVE = _LIVE.where(SEEN)
_FOR_KEYS = (
    select(versions.c.line_id)
    .distinct()
    .join(certificates, certificates.c.version_id == versions.c.id)
    .where(certificates.c.spki_sha256.in_(several("pins")))
)
_OWN_OF_LINE, _OWN_BY_NUMBER = _OF_LINE.where(SEEN), _BY_NUMBER.where(SEEN)
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
_OWN_LIVE_SINCE = _LIVE_SINCE.where(SEEN)
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
    select(*CERTIFICATE.columns)
    .join(versions, certificates.c.version_id == versions.c.id)
    .join(lines)
    .where(certificates.c.id == param("wanted"))
)
_OWN_CERTIFICATE = _CERTIFICATE.where(SEEN)
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
_SET_LIVE = _SET_STATE.values(live_since=param("since", versions.c.live_since))
_SET_STAGED = _SET_STATE.values(staged_since=param("since", versions.c.staged_since))
_HOLD = (
    update(versions)
    .where(versions.c.id == param("wanted"), versions.c.state == VersionState.STAGED)
    .values(
        staged_since=param("since", versions.c.staged_since),
        activate_at=param("until", versions.c.activate_at),
        held_by=param("words"),
    )
)
_OPEN_WAVE = {
    is_postgres: insert_into(waves)
    .from_select(
        ["line_id", "version", "step", "opened"],
        select(versions.c.line_id, versions.c.number, literal(0), param("since", versions.c.live_since))
        .join(lines)
        .where(versions.c.id == param("wanted"), lines.c.rollout.is_not(None), lines.c.follower_id.is_(None)),
    )
    .on_conflict_do_nothing()
    for is_postgres, insert_into in ((True, postgresql.insert), (False, sqlite.insert))
}
_SET_RENEWAL = (
    update(certificates)
    .where(certificates.c.id == param("wanted"))
    .values(renewal=param("chosen", certificates.c.renewal))
    .execution_options(**UNSEEN)
)
_MARK_REPLACED = (
    update(certificates).where(certificates.c.id == param("wanted")).values(replaced=True).execution_options(**UNSEEN)
)


class Versions:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller, line_id: str) -> list[Version]:
        statement, scope = (_OF_LINE, {}) if sees_all(caller) else (_OWN_OF_LINE, own(caller))
        return with_certificates(self._session, self._session.rows(statement, {"line": line_id, **scope}))

    def get(self, caller: Caller, line_id: str, number: int) -> Version:
        statement, scope = (_BY_NUMBER, {}) if sees_all(caller) else (_OWN_BY_NUMBER, own(caller))
        row = self._session.row(statement, {"line": line_id, "wanted": number, **scope})
        if row is None:
            raise NotFound("version", str(number))
        return with_certificates(self._session, [row])[0]

    def numbers(self, caller: Caller, line_ids: Sequence[str]) -> frozenset[tuple[str, int]]:
        statement, scope = (_NUMBERS, {}) if sees_all(caller) else (_OWN_NUMBERS, own(caller))
        rows = self._session.rows(statement, {"line_ids": list(line_ids), **scope})
        return frozenset((row.line_id, row.number) for row in rows)

    def for_keys(self, caller: Caller, spki_sha256: Sequence[str]) -> frozenset[str]:
        """A follower finds none."""
        rows = self._session.rows(_FOR_KEYS, {"pins": list(spki_sha256)}) if sees_all(caller) else []
        return frozenset(row.line_id for row in rows)

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

    def hold(self, caller: Caller, version_id: str, *, since: datetime, until: datetime | None, why: str) -> None:
        caller.require(Role.OPERATOR)
        if not self._session.run(_HOLD, {"wanted": version_id, "since": since, "until": until, "words": why}):
            raise NotFound("version", version_id)

    def drop_unopened(self, caller: Caller, line_id: str) -> int:
        caller.require(Role.OPERATOR)
        return drop_unopened(self._session, line_id)

    def set_renewal(self, caller: Caller, certificate_id: str, renewal: Renewal) -> None:
        caller.require(Role.OPERATOR)
        if not self._session.run(_SET_RENEWAL, {"wanted": certificate_id, "chosen": renewal}):
            raise NotFound("certificate", certificate_id)

    def mark_replaced(self, caller: Caller, certificate_id: str) -> None:
        caller.require(Role.OPERATOR)
        if not self._session.run(_MARK_REPLACED, {"wanted": certificate_id}):
            raise NotFound("certificate", certificate_id)

    def certificate(self, caller: Caller, certificate_id: str) -> Certificate:
        statement, scope = (_CERTIFICATE, {}) if sees_all(caller) else (_OWN_CERTIFICATE, own(caller))
        row = self._session.row(statement, {"wanted": certificate_id, **scope})
        if row is None:
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
    """`live` retires the former one first: at no moment are two of a line live; where the line has a rollout, it is not
    everybody's at once. Raises NotFound."""
    changed = {"wanted": version_id, "to": state, "why": failure, "at": now if state in _OVER else None}
    if state is VersionState.STAGED:
        done = session.run(_SET_STAGED, changed | {"since": now})
    elif state is not VersionState.LIVE:
        done = session.run(_SET_STATE, changed)
    else:
        session.run(_RETIRE, {"wanted": version_id, "now": now})
        done = session.run(_SET_LIVE, changed | {"since": now})
        session.run(_OPEN_WAVE[session.is_postgres], {"wanted": version_id, "since": now})
        slots.move_on(session, version_id, now)
    if not done:
        raise NotFound("version", version_id)
