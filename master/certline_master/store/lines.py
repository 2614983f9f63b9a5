"""Lines: the wish, the requests for it, and when to look at it again."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, null, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Forbidden, NotFound
from certline_master.domain.model import Line, LineCsr, LineSnapshot, Owner, Slot
from certline_master.store import ending, tlsa
from certline_master.store.changes import UNSEEN
from certline_master.store.scope import REHEARSED, SEEN, may_touch, own, sees_all
from certline_master.store.session import Session, Upsert, number, param, several
from certline_master.store.snapshots import CSR, LINE, snapshots
from certline_master.store.tables import certificates, line_csrs, lines, orders, versions

_FIND = select(*LINE.columns)
_PAGE = _FIND.where(lines.c.name > param("after")).order_by(lines.c.name).limit(number("most"))
_OWN_PAGE = _PAGE.where(SEEN)
_SHOWN_PAGE = _PAGE.where(~REHEARSED)
_BY_NAME = _FIND.where(lines.c.name == param("wanted"))
_BY_ID = _FIND.where(lines.c.id == param("wanted"))
_OF_ORDER = (
    _FIND.join(versions, versions.c.line_id == lines.c.id)
    .join(certificates, certificates.c.version_id == versions.c.id)
    .join(orders, orders.c.certificate_id == certificates.c.id)
    .where(orders.c.id == param("wanted"))
)
_SEEN_OF_ORDER = _OF_ORDER.where(SEEN)
_SEEN_BY_NAME, _SEEN_BY_ID = _BY_NAME.where(SEEN), _BY_ID.where(SEEN)
_SAVE = Upsert(lines, ("id",), [name for name in LINE.names if name != "id"])
_DELETE = delete(lines).where(lines.c.id == param("wanted"))
_SET_NEXT_LOOK = (
    update(lines)
    .where(lines.c.id == param("wanted"))
    .values(next_look=param("moment", lines.c.next_look))
    .execution_options(**UNSEEN)
)
_LOOKED = _SET_NEXT_LOOK.where(lines.c.next_look.is_not_distinct_from(param("was", lines.c.next_look)))
_PAUSE = update(lines).where(lines.c.id == param("wanted")).values(paused=param("why"))
_RESUME = (
    _SET_NEXT_LOOK.where(lines.c.paused.is_not(None)).values(paused=null()).execution_options(shows_in_manifests=True)
)
_DUE = (
    select(lines.c.id)
    .where(lines.c.next_look <= param("now", lines.c.next_look))
    .order_by(lines.c.next_look)
    .limit(number("most"))
)
_OWN_AMONG = select(lines.c.id).where(lines.c.id.in_(several("wanted")), SEEN)
_CSRS = (
    select(*CSR.columns)
    .where(line_csrs.c.line_id == param("wanted"), line_csrs.c.slot == param("place", line_csrs.c.slot))
    .order_by(line_csrs.c.key_type)
)
_DROP_PREVIOUS = delete(line_csrs).where(
    line_csrs.c.line_id == param("wanted"),
    line_csrs.c.slot == Slot.PREVIOUS,
    line_csrs.c.spki_sha256.in_(several("pins")),
)
_OF_KEY = _FIND.where(lines.c.key_id == param("wanted")).order_by(lines.c.name)
_PUT_CSR = Upsert(
    line_csrs, ("line_id", "key_type", "slot"), ("csr", "spki_sha256", "names", "asks", "created", "moved")
)
_DROP_CSRS = delete(line_csrs).where(line_csrs.c.line_id == param("wanted"))


class Lines:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller, *, after: str | None = None, limit: int = 1_000_000) -> list[Line]:
        page = _PAGE if caller.role is Role.SYSTEM else _SHOWN_PAGE
        statement, wanted = (page, {}) if sees_all(caller) else (_OWN_PAGE, own(caller))
        return [
            LINE.read(row) for row in self._session.rows(statement, {"after": after or "", "most": limit, **wanted})
        ]

    def get(self, caller: Caller, name: str) -> Line:
        return self._one(caller, _BY_NAME, _SEEN_BY_NAME, name)

    def by_id(self, caller: Caller, line_id: str) -> Line:
        return self._one(caller, _BY_ID, _SEEN_BY_ID, line_id)

    def of_order(self, caller: Caller, order_id: str) -> Line:
        return self._one(caller, _OF_ORDER, _SEEN_OF_ORDER, order_id)

    def save(self, caller: Caller, line: Line) -> None:
        """Raises Conflict when the name is another's or the follower or issuer is missing, and Forbidden for a
        follower that would change what the operator keeps."""
        if sees_all(caller):
            caller.require(Role.OPERATOR)
        else:
            self._check_own(caller, line)
        with self._session.all_or_nothing(f"there is another line {line.name!r}, or its follower or issuer is gone"):
            self._session.run(_SAVE.on(self._session), LINE.write(line))
        tlsa.look_anew(self._session, line.id, wishes=bool(line.options.tlsa), now=self._session.clock.now())

    def delete(self, caller: Caller, name: str) -> None:
        """Forbidden for a follower where the operator keeps the line."""
        line = self.get(caller, name)
        if sees_all(caller):
            caller.require(Role.OPERATOR)
        elif line.owner is not Owner.FOLLOWER:
            raise _not_yours(line)
        ending.fail_orders_of_line(self._session, line.id, "the line was deleted")
        self._session.run(_DELETE, {"wanted": line.id})

    def csrs(self, caller: Caller, line_id: str, slot: Slot = Slot.CURRENT) -> list[LineCsr]:
        if not self._sees(caller, line_id):
            return []
        return [CSR.read(row) for row in self._session.rows(_CSRS, {"wanted": line_id, "place": slot})]

    def put_csr(self, caller: Caller, line_id: str, csr: LineCsr) -> None:
        """In place of the former one of that key type and slot."""
        self._writable(caller, line_id)
        known = self._session.rows(_CSRS, {"wanted": line_id, "place": csr.slot})
        former = next((one for one in map(CSR.read, known) if one.spki_sha256 == csr.spki_sha256), None)
        if former is not None:
            csr = replace(csr, created=former.created, moved=former.moved)
        self._session.run(_PUT_CSR.on(self._session), CSR.write(csr) | {"line_id": line_id})
        if csr.slot is Slot.NEXT and former is None:
            tlsa.look_anew(self._session, line_id, wishes=False, now=self._session.clock.now())

    def drop_csrs(self, caller: Caller, line_id: str) -> None:
        caller.require(Role.OPERATOR)
        self._session.run(_DROP_CSRS, {"wanted": line_id})

    def of_key(self, caller: Caller, key_id: str) -> list[Line]:
        rows = self._session.rows(_OF_KEY, {"wanted": key_id}) if sees_all(caller) else ()
        return [LINE.read(row) for row in rows]

    def drop_previous(self, caller: Caller, line_id: str, spki_sha256: Sequence[str]) -> int:
        caller.require(Role.OPERATOR)
        return self._session.run(_DROP_PREVIOUS, {"wanted": line_id, "pins": list(spki_sha256)})

    def due(self, caller: Caller, now: datetime, limit: int) -> list[str]:
        if not sees_all(caller):
            return []
        return [row.id for row in self._session.rows(_DUE, {"now": now, "most": limit})]

    def snapshot(self, caller: Caller, line_id: str) -> LineSnapshot:
        found = self.snapshots(caller, [line_id])
        if not found:
            raise NotFound("line", line_id)
        return found[0]

    def snapshots(self, caller: Caller, line_ids: Sequence[str]) -> list[LineSnapshot]:
        """In the order asked for; those that are missing are left out."""
        if not sees_all(caller):
            found = self._session.rows(_OWN_AMONG, {"wanted": list(line_ids), **own(caller)})
            mine = {row.id for row in found}
            line_ids = [line_id for line_id in line_ids if line_id in mine]
        return snapshots(self._session, line_ids) if line_ids else []

    def set_next_look(self, caller: Caller, line_id: str, when: datetime | None) -> None:
        self._writable(caller, line_id)
        self._session.run(_SET_NEXT_LOOK, {"wanted": line_id, "moment": when})

    def pause(self, caller: Caller, line_id: str, reason: str) -> None:
        caller.require(Role.SYSTEM)
        self._session.run(_PAUSE, {"wanted": line_id, "why": reason})

    def resume(self, caller: Caller, line_id: str, *, now: datetime) -> bool:
        self._writable(caller, line_id)
        return self._session.run(_RESUME, {"wanted": line_id, "moment": now}) == 1

    def looked(self, caller: Caller, line_id: str, *, was: datetime | None, then: datetime | None) -> bool:
        caller.require(Role.SYSTEM)
        return self._session.run(_LOOKED, {"wanted": line_id, "was": was, "moment": then}) == 1

    def _one(self, caller: Caller, among_all: Any, among_seen: Any, wanted: str) -> Line:
        statement, scope = (among_all, {}) if sees_all(caller) else (among_seen, own(caller))
        row = self._session.row(statement, {"wanted": wanted, **scope})
        if row is None:
            raise NotFound("line", wanted)
        return LINE.read(row)

    def _sees(self, caller: Caller, line_id: str) -> bool:
        statement, scope = (_BY_ID, {}) if sees_all(caller) else (_SEEN_BY_ID, own(caller))
        return self._session.row(statement, {"wanted": line_id, **scope}) is not None

    def _writable(self, caller: Caller, line_id: str) -> None:
        """A follower sends its request for the operator's lines too, so the owner does not matter here; but it must be
        the line's follower."""
        if sees_all(caller):
            caller.require(Role.OPERATOR)
        row = self._session.row(_BY_ID, {"wanted": line_id})
        if row is None or not may_touch(caller, row.follower_id):
            raise NotFound("line", line_id)

    def _check_own(self, caller: Caller, line: Line) -> None:
        former = self._session.row(_BY_ID, {"wanted": line.id})
        if not may_touch(caller, line.follower_id) or (former and not may_touch(caller, former.follower_id)):
            raise NotFound("line", line.name)
        if line.owner is not Owner.FOLLOWER or (former and former.owner is not Owner.FOLLOWER):
            raise _not_yours(line)


def _not_yours(line: Line) -> Forbidden:
    return Forbidden(
        f"the line {line.name!r} is kept by the operator; a follower changes only what it asked for itself"
    )
