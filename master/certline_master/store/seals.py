"""Seals over the ends of all chains of events."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select

from certline_master.domain.access import Caller, Role
from certline_master.domain.audit import Seal
from certline_master.store.session import Session, Shape, number
from certline_master.store.tables import events, seals

_SEAL = Shape(Seal, seals)
_ADD = insert(seals)
_ALL = select(*_SEAL.columns).order_by(seals.c.id)
_LAST = select(*_SEAL.columns).order_by(seals.c.id.desc()).limit(1)
_NEWEST = select(func.max(events.c.id))
_LOOKBACK = 1000  # on Postgres an event with a lower id may be committed after one with a higher id
_ENDS = (
    select(events.c.chain, func.max(events.c.link).label("link"))
    .where(events.c.id > number("after"), events.c.id <= number("up_to"), events.c.chain.is_not(None))
    .group_by(events.c.chain)
    .subquery()
)
_HEADS = select(events.c.chain, events.c.link, events.c.hash).join(
    _ENDS, (events.c.chain == _ENDS.c.chain) & (events.c.link == _ENDS.c.link)
)


class Seals:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller) -> Sequence[Seal]:
        caller.require(Role.VIEWER)
        return [_SEAL.read(row) for row in self._session.rows(_ALL)]

    def last(self, caller: Caller) -> Seal | None:
        caller.require(Role.VIEWER)
        row = self._session.row(_LAST)
        return None if row is None else _SEAL.read(row)

    def heads(self, caller: Caller, *, after: int) -> tuple[int, dict[str, str]]:
        caller.require(Role.SYSTEM)
        newest = int(self._session.connection.scalar(_NEWEST) or 0)
        if newest <= after:
            return after, {}
        rows = self._session.rows(_HEADS, {"after": after - _LOOKBACK, "up_to": newest})
        return newest, {row.chain: f"{row.link}:{row.hash}" for row in rows}

    def add(self, caller: Caller, seal: Seal) -> None:
        caller.require(Role.SYSTEM)
        with self._session.all_or_nothing("another master has sealed meanwhile"):
            self._session.run(_ADD, _SEAL.write(seal))
