"""Keys of the master as people see them: what there is, and where copies are. Never a private key."""

from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter

from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.domain.access import Caller
from certline_master.domain.custody import Key, KeyCopy, KeyMaterial
from certline_master.domain.ports import Records

router = APIRouter(prefix="/v1/keys", tags=["keys"])

_PIN = "0a1b…64 hex digits"
_PRIVATE_KEY = {"key_type": "ecdsa-p256", "slot": "current", "spki_sha256": _PIN, "created": "2026-11-20T12:00:00Z"}
_KEY = {"name": "shop", "owner": "file", "lines": ["shop"], "keys": [_PRIVATE_KEY]}
_COPY = {
    "follower": "web-1", "state": "active", "line": "shop", "key_type": "ecdsa-p256", "slot": "current",
    "spki_sha256": _PIN, "released": "2026-11-20T12:00:02Z", "seen": "2026-11-20T12:05:00Z", "deleted": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PrivateKeyView:
    """`slot`: `current` is what new certificates are for, `previous` what former ones were for."""

    key_type: str
    slot: str
    spki_sha256: str
    created: datetime

    @classmethod
    def of(cls, material: KeyMaterial) -> "PrivateKeyView":
        return cls(material.key_type, material.slot, material.spki_sha256, material.created)


@dataclass(frozen=True, slots=True)
class KeyView:
    name: str
    owner: str
    lines: tuple[str, ...]  # that use it
    keys: tuple[PrivateKeyView, ...]  # the newest first


@dataclass(frozen=True, slots=True)
class CopyView:
    """`seen`: when the host last said that it has the key; `deleted`: when it first said that it has it no more."""

    follower: str
    state: str | None  # of the follower; null: it is gone here
    line: str
    key_type: str
    slot: str
    spki_sha256: str
    released: datetime
    seen: datetime | None
    deleted: datetime | None


@dataclass(frozen=True, slots=True)
class KeyPlaces:
    name: str
    copies: tuple[CopyView, ...]  # the oldest first


@router.get("", summary="All keys that the master keeps", **shown([_KEY]))
def keys(services: Here, caller: By) -> list[KeyView]:
    with services.store.read() as records:
        return _views(records, caller, records.keys.all(caller))


@router.get("/{name}", summary="One key, with its pins in each slot", **shown(_KEY))
def key(name: ObjectName, services: Here, caller: By) -> KeyView:
    with services.store.read() as records:
        return _views(records, caller, [records.keys.get(caller, name)])[0]


@router.get("/{name}/where", summary="Where copies of a key are", **shown({"name": "shop", "copies": [_COPY]}))
def where(name: ObjectName, services: Here, caller: By) -> KeyPlaces:
    with services.store.read() as records:
        found = records.keys.get(caller, name)
        kept = {one.spki_sha256: one for one in records.keys.materials(caller, [found.id]).get(found.id, [])}
        copies = records.keys.copies(caller, sorted(kept))
        states = {one.id: str(one.state) for one in records.followers.all(caller)}
    return KeyPlaces(name, tuple(_copy(copy, kept, states) for copy in copies))


def _views(records: Records, caller: Caller, found: list[Key]) -> list[KeyView]:
    materials = records.keys.materials(caller, [one.id for one in found])
    lines = records.lines.all(caller, limit=1_000_000) if found else []
    return [
        KeyView(
            one.name,
            one.owner,
            tuple(line.name for line in lines if line.key_id == one.id),
            tuple(PrivateKeyView.of(material) for material in materials.get(one.id, [])),
        )
        for one in found
    ]


def _copy(copy: KeyCopy, kept: dict[str, KeyMaterial], states: dict[str, str]) -> CopyView:
    return CopyView(
        follower=copy.follower,
        state=states.get(copy.follower_id),
        line=copy.line,
        key_type=copy.key_type,
        slot=kept[copy.spki_sha256].slot,
        spki_sha256=copy.spki_sha256,
        released=copy.released,
        seen=copy.seen,
        deleted=copy.deleted,
    )
