"""Hosts that introduced themselves and wait for an operator; a bounded number of them, each for a bounded time."""

from datetime import datetime

from sqlalchemy import delete, func, insert, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Forbidden, NotFound
from certline_master.domain.model import Introduction
from certline_master.store.scope import sees_all
from certline_master.store.session import Session, Shape, param
from certline_master.store.tables import introductions

_SHAPE = Shape(Introduction, introductions)
_GOOD = introductions.c.expires > param("now", introductions.c.created)
_WAITING = introductions.c.follower_id.is_(None)
_ALL = select(*_SHAPE.columns).where(_GOOD, _WAITING).order_by(introductions.c.created, introductions.c.id)
_GET = select(*_SHAPE.columns).where(introductions.c.id == param("wanted"), _GOOD)
_FROM = (
    select(func.count())
    .select_from(introductions)
    .where(_WAITING, introductions.c.address == param("wanted", introductions.c.address))
)
_COUNT = select(func.count()).select_from(introductions).where(_WAITING)
_ADD = insert(introductions)
_SWEEP = delete(introductions).where(introductions.c.expires <= param("now", introductions.c.created))
_DROP = delete(introductions).where(introductions.c.id == param("wanted"))
_APPROVE = (
    update(introductions)
    .where(introductions.c.id == param("wanted"), _WAITING, _GOOD)
    .values(
        follower_id=param("follower"),
        proof=param("shown", introductions.c.proof),
        expires=param("until", introductions.c.created),
    )
)


class Introductions:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller, now: datetime) -> list[Introduction]:
        """Those that wait, the oldest first."""
        return [_SHAPE.read(row) for row in self._session.rows(_ALL, {"now": now})] if sees_all(caller) else []

    def get(self, caller: Caller, introduction_id: str, now: datetime) -> Introduction:
        """One that waits or was approved."""
        row = self._session.row(_GET, {"wanted": introduction_id, "now": now}) if sees_all(caller) else None
        if row is None:
            raise NotFound("introduction", introduction_id)
        return _SHAPE.read(row)

    def add(self, caller: Caller, introduction: Introduction, *, most: int, most_from_one: int) -> bool:
        if caller.role is not Role.SYSTEM:
            raise Forbidden("only the master itself hears introductions")
        self._session.run(_SWEEP, {"now": introduction.created})
        here = self._session.row(_COUNT)
        from_there = self._session.row(_FROM, {"wanted": introduction.address})
        if (here and here[0] >= most) or (from_there and from_there[0] >= most_from_one):
            return False
        self._session.run(_ADD, _SHAPE.write(introduction))
        return True

    def approve(
        self, caller: Caller, introduction_id: str, *, follower_id: str, proof: bytes, until: datetime, now: datetime
    ) -> bool:
        caller.require(Role.OPERATOR)
        said = {"wanted": introduction_id, "follower": follower_id, "shown": proof, "until": until, "now": now}
        return bool(self._session.run(_APPROVE, said))

    def drop(self, caller: Caller, introduction_id: str) -> bool:
        caller.require(Role.OPERATOR)
        return bool(self._session.run(_DROP, {"wanted": introduction_id}))
