"""Certificates to be revoked at their CA, each once."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Executable, null, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.custody import Revocation, RevocationState
from certline_master.store.scope import sees_all
from certline_master.store.session import Parameters, Session, Shape, Upsert, number, param
from certline_master.store.tables import revocations

_REVOCATION = Shape(Revocation, revocations)
_ALL = select(*_REVOCATION.columns).order_by(revocations.c.created, revocations.c.line, revocations.c.version)
_OF_FOLLOWER = _ALL.where(revocations.c.follower == param("wanted"))
OPEN_REVOCATION = revocations.c.state == RevocationState.INTENDED
_DUE = (
    select(*_REVOCATION.columns)
    .where(OPEN_REVOCATION, revocations.c.due <= param("now", revocations.c.due))
    .order_by(revocations.c.due)
    .limit(number("most"))
)
_INTEND = Upsert(revocations, ("certificate_id",), ())
_CHANGING = ("state", "due", "deadline", "attempts", "error", "ended")
_SAVE = (
    update(revocations)
    .where(revocations.c.id == param("wanted"), OPEN_REVOCATION)
    .values({name: param(f"new_{name}", revocations.c[name]) for name in _CHANGING})
)
_LOOK = (
    update(revocations)
    .where(OPEN_REVOCATION, revocations.c.deadline.is_not(None), revocations.c.line == param("wanted"))
    .values(due=param("now", revocations.c.due))
)
_HASTEN = (
    update(revocations)
    .where(OPEN_REVOCATION, revocations.c.follower == param("wanted"), revocations.c.deadline.is_not(None))
    .values(deadline=null(), due=param("now", revocations.c.due))
)


class Revocations:
    def __init__(self, session: Session) -> None:
        self._session = session

    def intend(self, caller: Caller, revocation: Revocation) -> bool:
        caller.require(Role.OPERATOR)
        return self._session.run(_INTEND.on(self._session), _REVOCATION.write(revocation)) == 1

    def all(self, caller: Caller, *, follower: str | None = None) -> list[Revocation]:
        if not sees_all(caller):
            return []
        statement, wanted = (_ALL, {}) if follower is None else (_OF_FOLLOWER, {"wanted": follower})
        return self._read(statement, wanted)

    def due(self, caller: Caller, now: datetime, limit: int) -> Sequence[Revocation]:
        return self._read(_DUE, {"now": now, "most": limit}) if sees_all(caller) else []

    def save(self, caller: Caller, revocation: Revocation) -> bool:
        caller.require(Role.SYSTEM)
        changed = {f"new_{name}": getattr(revocation, name) for name in _CHANGING}
        return self._session.run(_SAVE, {"wanted": revocation.id, **changed}) == 1

    def look(self, caller: Caller, line: str, *, now: datetime) -> bool:
        caller.require(Role.SYSTEM)
        return self._session.run(_LOOK, {"wanted": line, "now": now}) > 0

    def hasten(self, caller: Caller, follower: str, *, now: datetime) -> int:
        caller.require(Role.OPERATOR)
        return self._session.run(_HASTEN, {"wanted": follower, "now": now})

    def _read(self, statement: Executable, wanted: Parameters) -> list[Revocation]:
        return [_REVOCATION.read(row) for row in self._session.rows(statement, wanted)]
