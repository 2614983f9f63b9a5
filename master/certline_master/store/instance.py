"""Facts of this installation, as texts under a key."""

from sqlalchemy import select, update

from certline_master.domain.access import Caller, Role
from certline_master.store.session import Session, Upsert, param
from certline_master.store.tables import instance

_GET = select(instance.c.value).where(instance.c.key == param("wanted"))
_SET = Upsert(instance, ("key",), ("value",))

_ADD = Upsert(instance, ("key",), ())
_SWAP = (
    update(instance)
    .where(instance.c.key == param("wanted"), instance.c.value == param("was"))
    .values(value=param("then"))
)


class Instance:
    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, caller: Caller, key: str) -> str | None:  # noqa: ARG002 the facts are no secret
        row = self._session.row(_GET, {"wanted": key})
        return None if row is None else str(row.value)

    def set(self, caller: Caller, key: str, value: str) -> None:
        caller.require(Role.ADMIN)
        self._session.run(_SET.on(self._session), {"key": key, "value": value})

    def swap(self, caller: Caller, key: str, was: str | None, then: str) -> bool:
        caller.require(Role.ADMIN)
        if was is None:
            return self._session.run(_ADD.on(self._session), {"key": key, "value": then}) == 1
        return self._session.run(_SWAP, {"wanted": key, "was": was, "then": then}) == 1
