"""Keys that the master keeps: what they are, to whom they are sealed, and who was given them."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, insert, null, or_, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.custody import Key, KeyCopy, KeyMaterial, SealedKey
from certline_master.domain.errors import NotFound
from certline_master.domain.model import Line, Slot
from certline_master.store import slots
from certline_master.store.named import NamedTable
from certline_master.store.scope import HOLDERS, may_touch, sees_all
from certline_master.store.session import Session, Shape, Upsert, number, param, several
from certline_master.store.slots import MATERIAL
from certline_master.store.tables import followers, key_copies, key_materials, keys, sealed_keys

_KEYS, _KEY = NamedTable("key", Key, keys), Shape(Key, keys)
_SEALED = Shape(SealedKey, sealed_keys)
_COPY = Shape(KeyCopy, key_copies)
KEPT_VERSIONS = 3  # of which a sealed key stays: a host may be pulling a version while the next goes live

_MATERIALS = (
    select(*MATERIAL.columns)
    .where(key_materials.c.key_id.in_(several("wanted")))
    .order_by(key_materials.c.created.desc(), key_materials.c.key_type)
)
_BY_PINS = select(*MATERIAL.columns).where(key_materials.c.spki_sha256.in_(several("pins")))
_KEYS_BY_ID = select(*_KEY.columns).where(keys.c.id.in_(several("wanted"))).order_by(keys.c.name)
_KNOWN = select(key_materials.c.id).where(key_materials.c.spki_sha256 == param("pin"))
_ADD_MATERIAL = insert(key_materials)
_TAKEN = select(key_materials.c.id).where(
    key_materials.c.key_id == param("wanted"),
    key_materials.c.key_type == param("kind", key_materials.c.key_type),
    key_materials.c.slot == param("place", key_materials.c.slot),
)
_DEMOTE = (
    update(key_materials)
    .where(key_materials.c.key_id == param("wanted"), key_materials.c.slot != Slot.PREVIOUS)
    .values(slot=Slot.PREVIOUS, moved=param("now", key_materials.c.moved))
)
_FORGET = delete(key_materials).where(key_materials.c.id == param("wanted"))
_GIVEN_AWAY = select(key_copies.c.follower_id).where(key_copies.c.spki_sha256 == param("pin")).limit(1)
_OF_FOLLOWER = select(*_SEALED.columns).where(sealed_keys.c.follower_id == param("wanted"))
_KEEP_SEALED = insert(sealed_keys)
_DROP_SEALED = delete(sealed_keys).where(
    sealed_keys.c.follower_id == param("follower"),
    sealed_keys.c.line_id == param("line"),
    sealed_keys.c.key_type == param("kind", sealed_keys.c.key_type),
    or_(sealed_keys.c.version == number("number"), sealed_keys.c.version <= number("oldest")),
)
_COPIES = select(*_COPY.columns).order_by(key_copies.c.released, key_copies.c.follower)
_COPIES_OF = _COPIES.where(key_copies.c.spki_sha256.in_(several("pins")))
_COPIES_AT = _COPIES.where(key_copies.c.follower_id == param("wanted"))
_THIS_COPY = (key_copies.c.follower_id == param("wanted"), key_copies.c.spki_sha256 == param("pin"))
_REPLACED = select(followers.c.id).where(
    followers.c.id == key_copies.c.follower_id, followers.c.enrolled > key_copies.c.released
)
_GIVEN = select(key_copies.c.deleted).where(*_THIS_COPY, ~_REPLACED.correlate(key_copies).exists())
_GIVE = Upsert(key_copies, ("follower_id", "spki_sha256"), ("follower", "line", "released", "seen", "deleted"))
_SEEN = update(key_copies).where(*_THIS_COPY).values(seen=param("now", key_copies.c.seen), deleted=null())
_DELETED = (
    update(key_copies)
    .where(*_THIS_COPY, key_copies.c.deleted.is_(None))
    .values(deleted=param("now", key_copies.c.deleted))
)


class Keys:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller) -> list[Key]:
        return _KEYS.all(self._session, caller)

    def get(self, caller: Caller, name: str) -> Key:
        return _KEYS.get(self._session, caller, name)

    def save(self, caller: Caller, key: Key) -> None:
        caller.require(Role.OPERATOR)
        _KEYS.save(self._session, key)

    def materials(self, caller: Caller, key_ids: Sequence[str]) -> dict[str, list[KeyMaterial]]:
        found: dict[str, list[KeyMaterial]] = defaultdict(list)
        for row in self._session.rows(_MATERIALS, {"wanted": list(key_ids)}) if sees_all(caller) and key_ids else ():
            found[row.key_id].append(MATERIAL.read(row))
        return found

    def by_ids(self, caller: Caller, key_ids: Sequence[str]) -> list[Key]:
        rows = self._session.rows(_KEYS_BY_ID, {"wanted": list(key_ids)}) if sees_all(caller) and key_ids else ()
        return [_KEY.read(row) for row in rows]

    def by_pins(self, caller: Caller, spki_sha256: Sequence[str]) -> list[KeyMaterial]:
        rows = self._session.rows(_BY_PINS, {"pins": list(spki_sha256)}) if sees_all(caller) and spki_sha256 else ()
        return [MATERIAL.read(row) for row in rows]

    def is_kept(self, caller: Caller, spki_sha256: str) -> bool:
        wanted = {"pin": spki_sha256}
        known = sees_all(caller) and (self._session.row(_KNOWN, wanted) or self._session.row(_GIVEN_AWAY, wanted))
        return bool(known)

    def add_material(self, caller: Caller, material: KeyMaterial) -> bool:
        caller.require(Role.SYSTEM)
        place = {"wanted": material.key_id, "kind": material.key_type, "place": material.slot}
        if material.slot is not Slot.PREVIOUS and self._session.row(_TAKEN, place):
            return False
        self._session.run(_ADD_MATERIAL, MATERIAL.write(material))
        return True

    def demote(self, caller: Caller, key_id: str) -> int:
        caller.require(Role.OPERATOR)
        return self._session.run(_DEMOTE, {"wanted": key_id, "now": self._session.clock.now()})

    def rise(self, caller: Caller, material: KeyMaterial, *, now: datetime) -> None:
        caller.require(Role.OPERATOR)
        slots.rise(self._session, material, now)

    def forget(self, caller: Caller, material: KeyMaterial) -> bool:
        caller.require(Role.OPERATOR)
        return self._session.run(_FORGET, {"wanted": material.id}) == 1

    def holders(self, caller: Caller, line: Line) -> list[str]:
        if not sees_all(caller):
            return []
        wanted = {"owner": line.follower_id or "", "line": "" if line.follower_id else line.name}
        return [row.id for row in self._session.rows(HOLDERS, wanted)]

    def sealed(self, caller: Caller, follower_id: str) -> list[SealedKey]:
        if not may_touch(caller, follower_id):
            return []
        return [_SEALED.read(row) for row in self._session.rows(_OF_FOLLOWER, {"wanted": follower_id})]

    def keep_sealed(self, caller: Caller, sealed: SealedKey) -> None:
        _own(caller, sealed.follower_id)
        place = {"follower": sealed.follower_id, "line": sealed.line_id, "kind": sealed.key_type}
        self._session.run(_DROP_SEALED, place | {"number": sealed.version, "oldest": sealed.version - KEPT_VERSIONS})
        self._session.run(_KEEP_SEALED, _SEALED.write(sealed))

    def give(self, caller: Caller, copy: KeyCopy) -> bool:
        _own(caller, copy.follower_id)
        former = self._session.row(_GIVEN, {"wanted": copy.follower_id, "pin": copy.spki_sha256})
        if former is not None and former.deleted is None:
            return False
        self._session.run(_GIVE.on(self._session), _COPY.write(copy))
        return True

    def copies(self, caller: Caller, spki_sha256: Sequence[str]) -> list[KeyCopy]:
        rows = self._session.rows(_COPIES_OF, {"pins": list(spki_sha256)}) if sees_all(caller) else ()
        return [_COPY.read(row) for row in rows]

    def copies_at(self, caller: Caller, follower_id: str) -> list[KeyCopy]:
        if not may_touch(caller, follower_id):
            return []
        return [_COPY.read(row) for row in self._session.rows(_COPIES_AT, {"wanted": follower_id})]

    def seen(self, caller: Caller, follower_id: str, spki_sha256: str, *, now: datetime) -> None:
        _own(caller, follower_id)
        self._session.run(_SEEN, {"wanted": follower_id, "pin": spki_sha256, "now": now})

    def deleted(self, caller: Caller, follower_id: str, spki_sha256: str, *, now: datetime) -> bool:
        _own(caller, follower_id)
        return self._session.run(_DELETED, {"wanted": follower_id, "pin": spki_sha256, "now": now}) == 1


def _own(caller: Caller, follower_id: str) -> None:
    """For what a follower causes by itself, and what the master does for it."""
    if sees_all(caller):
        caller.require(Role.OPERATOR)
    elif not may_touch(caller, follower_id):
        raise NotFound("follower", follower_id)
