"""The ledger of TLSA records: what is meant to be in DNS for which line, what is there, and what is taken away."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.dane import STANDING, Wanted
from certline_master.domain.dane_ledger import wanted_again
from certline_master.domain.model import TlsaRecord, TlsaState
from certline_master.store.scope import sees_all
from certline_master.store.session import Session, Shape, Upsert, number, param, several
from certline_master.store.tables import tlsa_looks, tlsa_records, tlsa_wants

_RECORD = Shape(TlsaRecord, tlsa_records, without=("lines", "ttl"))
_ALL = select(*_RECORD.columns).order_by(tlsa_records.c.name, tlsa_records.c.rdata)
_OF_LINE = _ALL.join(tlsa_wants).where(tlsa_wants.c.line_id == param("wanted"))
_AT_NAMES = _ALL.where(tlsa_records.c.name.in_(several("names")))
_BY_IDS = _ALL.where(tlsa_records.c.id.in_(several("ids")))
_OF_LINES = _ALL.join(tlsa_wants).where(tlsa_wants.c.line_id.in_(several("wanted"))).distinct()
_WANTS = select(tlsa_wants).where(tlsa_wants.c.record_id.in_(several("ids"))).order_by(tlsa_wants.c.line_id)
_NOBODY = ~select(tlsa_wants.c.line_id).where(tlsa_wants.c.record_id == tlsa_records.c.id).exists()
_UNWANTED = _ALL.where(_NOBODY)
_PUT = Upsert(tlsa_records, ("id",), [name for name in _RECORD.names if name != "id"])
_WANT = Upsert(tlsa_wants, ("record_id", "line_id"), ("ttl",))
_WANT_NO_MORE = delete(tlsa_wants).where(
    tlsa_wants.c.line_id == param("line"), tlsa_wants.c.record_id == param("which")
)
_FORGET = delete(tlsa_records).where(
    tlsa_records.c.id == param("wanted"), tlsa_records.c.state == TlsaState.REMOVED, _NOBODY
)
_LOOK = Upsert(tlsa_looks, ("line_id",), ("due",))
_LOOK_ANEW = (
    update(tlsa_looks).where(tlsa_looks.c.line_id == param("wanted")).values(due=param("moment", tlsa_looks.c.due))
)
_NO_LOOK = delete(tlsa_looks).where(tlsa_looks.c.line_id == param("wanted"))
_DUE = (
    select(tlsa_looks.c.line_id)
    .where(tlsa_looks.c.due <= param("now", tlsa_looks.c.due))
    .order_by(tlsa_looks.c.due)
    .limit(number("most"))
)


class TlsaLedger:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller, *, line_id: str | None = None) -> list[TlsaRecord]:
        if not sees_all(caller):
            return []
        return self._read(_ALL, {}) if line_id is None else self._read(_OF_LINE, {"wanted": line_id})

    def at_names(self, caller: Caller, names: Collection[str]) -> list[TlsaRecord]:
        return self._read(_AT_NAMES, {"names": sorted(names)}) if names and sees_all(caller) else []

    def of_lines(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, list[TlsaRecord]]:
        """What each line wants, by line id."""
        found: dict[str, list[TlsaRecord]] = defaultdict(list)
        for row in self._read(_OF_LINES, {"wanted": list(line_ids)}) if line_ids and sees_all(caller) else ():
            for line_id in set(row.lines) & set(line_ids):
                found[line_id].append(row)
        return dict(found)

    def want(
        self,
        caller: Caller,
        line_id: str,
        wanted: Collection[Wanted],
        zones: Mapping[str, str | None],
        *,
        now: datetime,
    ) -> list[TlsaRecord]:
        """The ones that are new in the ledger, or wanted again."""
        caller.require(Role.SYSTEM)
        ids = {record_id(one): one for one in wanted}
        known = {row.id: row for row in self._read(_BY_IDS, {"ids": sorted(ids)})}
        fresh = [
            wanted_again(known.get(each) or _new(each, one, zones.get(one.name), now), now)
            for each, one in sorted(ids.items())
            if each not in known or known[each].state not in STANDING
        ]
        self.save(caller, fresh)
        self._no_more(line_id, set(ids))
        rows = [{"record_id": each, "line_id": line_id, "ttl": one.ttl} for each, one in sorted(ids.items())]
        self._session.run(_WANT.on(self._session), rows)
        return fresh

    def unwanted(self, caller: Caller) -> list[TlsaRecord]:
        return self._read(_UNWANTED, {}) if sees_all(caller) else []

    def save(self, caller: Caller, records: Sequence[TlsaRecord]) -> None:
        """What is known of each, but not who wants it."""
        caller.require(Role.SYSTEM)
        self._session.run(_PUT.on(self._session), [_RECORD.write(one) for one in records])

    def forget(self, caller: Caller, records: Sequence[TlsaRecord]) -> None:
        caller.require(Role.SYSTEM)
        self._session.run(_FORGET, [{"wanted": one.id} for one in records])

    def look(self, caller: Caller, line_id: str, when: datetime | None) -> None:
        caller.require(Role.OPERATOR)
        if when is None:
            self._session.run(_NO_LOOK, {"wanted": line_id})
        else:
            self._session.run(_LOOK.on(self._session), {"line_id": line_id, "due": when})

    def due(self, caller: Caller, now: datetime, limit: int) -> list[str]:
        rows = self._session.rows(_DUE, {"now": now, "most": limit}) if sees_all(caller) else ()
        return [row.line_id for row in rows]

    def _no_more(self, line_id: str, ids: set[str]) -> None:
        gone = [row.id for row in self._read(_OF_LINE, {"wanted": line_id}) if row.id not in ids]
        self._session.run(_WANT_NO_MORE, [{"line": line_id, "which": each} for each in gone])

    def _read(self, statement: Any, wanted: Mapping[str, Any]) -> list[TlsaRecord]:
        return _with_wants(self._session, self._session.rows(statement, wanted))


def _with_wants(session: Session, rows: Iterable[Any]) -> list[TlsaRecord]:
    found = {row.id: row for row in rows}
    wants: dict[str, list[Any]] = defaultdict(list)
    for want in session.rows(_WANTS, {"ids": list(found)}) if found else ():
        wants[want.record_id].append(want)
    return [
        _RECORD.read(
            row,
            lines=tuple(want.line_id for want in wants[each]),
            ttl=min((want.ttl for want in wants[each]), default=0),
        )
        for each, row in found.items()
    ]


def record_id(wanted: Wanted) -> str:
    """One row for one value at one name; long values make no long key."""
    return hashlib.sha256(f"{wanted.name} {wanted.rdata}".encode()).hexdigest()[:32]


def _new(row_id: str, wanted: Wanted, zone: str | None, now: datetime) -> TlsaRecord:
    return TlsaRecord(row_id, wanted.name, wanted.rdata, zone, TlsaState.REMOVED, since=now)


def look_anew(session: Session, line_id: str, *, wishes: bool, now: datetime) -> None:
    """A line was saved: one that wishes for records is looked at, and one that did so before, once more."""
    if wishes:
        session.run(_LOOK.on(session), {"line_id": line_id, "due": now})
    else:
        session.run(_LOOK_ANEW, {"wanted": line_id, "moment": now})
