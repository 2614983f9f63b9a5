"""Secrets as rows: what the vault seals, under an id that other rows refer to."""

from sqlalchemy import delete, func, insert, select

from certline_master.domain.access import SYSTEM, Caller, Role
from certline_master.domain.errors import NotFound, Unavailable
from certline_master.store.data_key_rows import INSTANCE_ID, instance_id, newest_key, newest_key_held
from certline_master.store.data_keys import add_new, find
from certline_master.store.instance import Instance
from certline_master.store.session import Session, param
from certline_master.store.tables import secrets
from certline_master.store.vault import Place, WrappedKey

_VERSION = 1

_COUNT = select(func.count()).select_from(secrets)
_ADD = insert(secrets)
_READ = select(secrets.c.version, secrets.c.data).where(
    secrets.c.id == param("wanted"), secrets.c.kind == param("sort")
)
_DELETE = delete(secrets).where(secrets.c.id == param("wanted"))


class Secrets:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, caller: Caller, kind: str, secret: bytes) -> str:
        caller.require(Role.ADMIN)
        key = newest_key_held(self._session)
        if key is None:
            raise Unavailable("the store has no data key: run `certline init`")
        secret_id = self._session.chance.uuid()
        place = Place(instance_id(self._session), kind, secret_id, _VERSION)
        data = self._session.vault.encrypt(secret, place, key)
        self._session.run(_ADD, {"id": secret_id, "kind": kind, "version": _VERSION, "data": data})
        return secret_id

    def read(self, caller: Caller, kind: str, secret_id: str) -> bytes:
        row = self._session.row(_READ, {"wanted": secret_id, "sort": kind}) if caller.role is Role.SYSTEM else None
        instance = instance_id(self._session)  # in any case: what is missing shall not be known by its time
        if row is None:
            raise NotFound("secret", secret_id)
        place = Place(instance, kind, secret_id, row.version)
        return self._session.vault.decrypt(row.data, place, self._key)

    def delete(self, caller: Caller, secret_id: str) -> None:
        caller.require(Role.ADMIN)
        if not self._session.run(_DELETE, {"wanted": secret_id}):
            raise NotFound("secret", secret_id)

    def _key(self, key_id: str) -> WrappedKey | None:
        return find(self._session, key_id)


def initialise(session: Session) -> bool:
    """Make the instance's id and its first data key; tells whether there was something to make.

    Raises Unavailable when secrets are there that need a data key which is gone: a new one would only hide that.
    """
    key = newest_key(session)
    if key is not None:
        if problem := session.vault.check(instance_id(session), key):
            raise Unavailable(problem)
        return False
    if session.connection.scalar(_COUNT):
        raise Unavailable("the database holds secrets but no data key: restore it from a backup, no new key is made")
    name = Instance(session).get(SYSTEM, INSTANCE_ID) or session.chance.uuid()
    Instance(session).set(SYSTEM, INSTANCE_ID, name)
    add_new(session)
    return True
