"""Data keys: the generations there are, another KEK over them, and secrets carried over to a new generation.

Each method is safe to repeat after a kill: what is left to do is read from the rows themselves.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import LargeBinary, delete, func, insert, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Unavailable
from certline_master.store.data_key_rows import KEY, KEY_BY_ID, NEWEST_FIRST, instance_id, newest_key, wrapped
from certline_master.store.kek import Kek
from certline_master.store.session import Session, number, param
from certline_master.store.tables import data_keys, secrets
from certline_master.store.vault import Place, WrappedKey, key_id_bytes
from certline_shared.failpoints import failpoint

_KEY_ID = func.substr(secrets.c.data, 3, 16, type_=LargeBinary())  # its place in the stored form, see vault.py
_ALL = KEY.order_by(*NEWEST_FIRST)
_ALL_LOCKED = _ALL.with_for_update()
_ROWS = select(data_keys.c.id, data_keys.c.created, data_keys.c.kek_id, data_keys.c.former_kek_id).order_by(
    *NEWEST_FIRST
)
_USES = select(_KEY_ID.label("key"), func.count().label("uses")).group_by(_KEY_ID)
_REWRAP = (
    update(data_keys)
    .where(data_keys.c.id == param("wanted"))
    .values(
        kek_id=param("new_id", data_keys.c.kek_id),
        wrapped=param("new_wrapped", data_keys.c.wrapped),
        former_kek_id=param("old_id", data_keys.c.former_kek_id),
        former_wrapped=param("old_wrapped", data_keys.c.former_wrapped),
    )
)
_FORGET_FORMER = (
    update(data_keys)
    .where(data_keys.c.former_kek_id.is_not(None))
    .values(former_kek_id=None, former_wrapped=None)
    .returning(data_keys.c.id)
)
_ADD = insert(data_keys)
_OLD_SECRETS = (
    select(secrets.c.id, secrets.c.kind, secrets.c.version, secrets.c.data)
    .where(param("newest", secrets.c.data) != _KEY_ID, secrets.c.id > param("after"))
    .order_by(secrets.c.id)
    .limit(number("most"))
)
_CARRY_OVER = (
    update(secrets)
    .where(secrets.c.id == param("wanted"), secrets.c.version == number("was"))
    .values(version=number("now"), data=param("sealed", secrets.c.data))
)
_LOCK = select(data_keys.c.id).where(data_keys.c.id == param("wanted")).with_for_update()
_USED = select(func.count()).select_from(secrets).where(param("key", secrets.c.data) == _KEY_ID)
_DROP = delete(data_keys).where(data_keys.c.id == param("wanted"))


@dataclass(frozen=True, slots=True)
class Generation:
    """A data key, as it is shown."""

    id: str
    created: datetime
    kek_id: str
    former_kek_id: str | None
    secrets: int  # how many are under it


@dataclass(frozen=True, slots=True)
class Carried:
    """What one batch of `carry_over` did; `last` is where the next one begins, None after the last."""

    count: int
    last: str | None
    unreadable: tuple[str, ...]


class DataKeys:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller) -> list[Generation]:
        """The newest, which seals what is new, first."""
        caller.require(Role.SYSTEM)
        uses = {bytes(row.key): int(row.uses) for row in self._session.rows(_USES)}
        return [
            Generation(row.id, row.created, row.kek_id, row.former_kek_id, uses.get(key_id_bytes(row.id), 0))
            for row in self._session.rows(_ROWS)
        ]

    def rewrap(self, caller: Caller, kek: Kek) -> int:
        """Put all data keys under this KEK, each still opened by its former one too; how many were not under it.

        Raises Unavailable when one opens by none of our KEKs.
        """
        caller.require(Role.SYSTEM)
        instance = instance_id(self._session)
        old = [key for key in map(wrapped, self._session.rows(_ALL_LOCKED)) if key.kek_id != kek.id]
        for key in old:
            new = self._session.vault.rewrap(instance, key, kek)
            changed = {"wanted": key.id, "new_id": kek.id, "new_wrapped": new.wrapped}
            self._session.run(_REWRAP, changed | {"old_id": key.kek_id, "old_wrapped": key.wrapped})
            failpoint("kek.one-rewrapped")
        return len(old)

    def forget_former(self, caller: Caller, kek: Kek) -> int:
        """Take away what the former KEK opens; how many data keys that was. Raises Unavailable unless `kek` opens all.

        Only what that KEK itself opens is counted, not what the vault remembers.
        """
        caller.require(Role.SYSTEM)
        instance = instance_id(self._session)
        for key in map(wrapped, self._session.rows(_ALL_LOCKED)):
            if problem := self._session.vault.alone(kek).check(instance, WrappedKey(key.id, key.kek_id, key.wrapped)):
                raise Unavailable(problem)
        return len(self._session.take(_FORGET_FORMER, {}))

    def add(self, caller: Caller) -> str:
        """A new generation, for all that is sealed from now on; its id."""
        caller.require(Role.SYSTEM)
        return add_new(self._session)

    def carry_over(self, caller: Caller, *, after: str = "", most: int = 100) -> Carried:
        """Seal so many secrets of older generations anew, by id; version and content change in one update."""
        caller.require(Role.SYSTEM)
        newest = newest_key(self._session)
        if newest is None:
            raise Unavailable("the store has no data key: run `certline init`")
        instance = instance_id(self._session)
        rows = self._session.rows(_OLD_SECRETS, {"newest": key_id_bytes(newest.id), "after": after, "most": most})
        unreadable = tuple(row.id for row in rows if not self._one_over(instance, newest, row))
        last = rows[-1].id if len(rows) == most else None
        return Carried(len(rows) - len(unreadable), last, unreadable)

    def _one_over(self, instance: str, newest: WrappedKey, row: Any) -> bool:
        """False for a secret that cannot be read: it stays as it is, with its data key."""
        try:
            secret = self._session.vault.decrypt(
                row.data, Place(instance, row.kind, row.id, row.version), lambda key_id: find(self._session, key_id)
            )
        except Unavailable:
            return False
        now = row.version + 1
        sealed = self._session.vault.encrypt(secret, Place(instance, row.kind, row.id, now), newest)
        self._session.run(_CARRY_OVER, {"wanted": row.id, "was": row.version, "now": now, "sealed": sealed})
        failpoint("datakey.one-carried")
        return True

    def drop_unused(self, caller: Caller) -> list[str]:
        """Remove the older generations under which no secret is left; their ids.

        The row is locked first: a writer that still seals by it is waited for, and counted.
        """
        caller.require(Role.SYSTEM)
        dropped = []
        for generation in self.all(caller)[1:]:
            self._session.rows(_LOCK, {"wanted": generation.id})
            used = self._session.connection.execute(_USED, {"key": key_id_bytes(generation.id)}).scalar_one()
            if not used:
                self._session.run(_DROP, {"wanted": generation.id})
                dropped.append(generation.id)
        return dropped


def add_new(session: Session) -> str:
    """Newer than all others also after the clock was set back."""
    made, now, former = session.vault.new_data_key(instance_id(session)), session.clock.now(), session.row(_ROWS)
    created = max(now, former.created + timedelta(microseconds=1)) if former else now
    session.run(_ADD, {"id": made.id, "kek_id": made.kek_id, "wrapped": made.wrapped, "created": created})
    return made.id


def find(session: Session, key_id: str) -> WrappedKey | None:
    row = session.row(KEY_BY_ID, {"wanted": key_id})
    return None if row is None else wrapped(row)
