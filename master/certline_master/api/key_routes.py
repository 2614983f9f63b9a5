"""Keys as people see them: what there is, what a rollover would say, and where copies are. Never a private key."""

import base64
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter

from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.domain import line_keys
from certline_master.domain.access import Caller
from certline_master.domain.custody import KeyCopy
from certline_master.domain.line_keys import NamedKey
from certline_master.domain.model import Custody, HeldKey, KeyOptions, Owner
from certline_master.domain.placement import live_version
from certline_master.domain.ports import Records
from certline_master.domain.rollover import outlook

router = APIRouter(prefix="/v1/keys", tags=["keys"])

_PIN = "0a1b…64 hex digits"
_PRIVATE_KEY = {
    "key_type": "ecdsa-p256", "slot": "current", "spki_sha256": _PIN, "pin_sha256": "Chs…44 characters",
    "created": "2026-11-20T12:00:00Z", "since": "2026-11-20T12:00:00Z",
}  # fmt: skip
_KEY = {
    "name": "shop", "owner": "file", "custody": "master", "lines": ["shop"], "keys": [_PRIVATE_KEY],
    "policy": "keep", "max_age": "400d", "auto": False, "pin_days": 30,
    "rollover": "possible; due 2027-12-25 12:00 UTC",
}  # fmt: skip
_COPY = {
    "follower": "web-1", "state": "active", "line": "shop", "key_type": "ecdsa-p256", "slot": "current",
    "spki_sha256": _PIN, "released": "2026-11-20T12:00:02Z", "seen": "2026-11-20T12:05:00Z", "deleted": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PrivateKeyView:
    """`slot`: `current` is what new certificates are for, `next` what they are for after a rollover, `previous` what
    former ones were for. `pin_sha256`: the pin in base64 (RFC 7469). `created`: since when its pin is known here and
    shown; `since`: when it came into its slot; both null where nobody wrote that down.
    """

    key_type: str
    slot: str
    spki_sha256: str
    pin_sha256: str
    created: datetime | None
    since: datetime | None

    @classmethod
    def of(cls, held: HeldKey) -> "PrivateKeyView":
        pin = base64.b64encode(bytes.fromhex(held.spki_sha256)).decode("ascii")
        return cls(held.key_type, held.slot, held.spki_sha256, pin, held.published, held.since)


@dataclass(frozen=True, slots=True)
class KeyView:
    name: str
    owner: str
    custody: str  # follower | master: who keeps it
    lines: tuple[str, ...]  # that use it
    keys: tuple[PrivateKeyView, ...]  # the newest first
    policy: str
    max_age: str | None
    auto: bool
    pin_days: int | None
    rollover: str  # what a rollover would say now


@dataclass(frozen=True, slots=True)
class CopyView:
    """`seen`: when the host last said that it has the key; `deleted`: when it first said that it has it no more."""

    follower: str
    state: str | None  # of the follower; null: it is gone here
    line: str
    key_type: str
    slot: str  # `forgotten`: the master has deleted it
    spki_sha256: str
    released: datetime
    seen: datetime | None
    deleted: datetime | None


@dataclass(frozen=True, slots=True)
class KeyPlaces:
    name: str
    copies: tuple[CopyView, ...]  # the oldest first


@router.get("", summary="All keys that the master keeps, or that are declared", **shown([_KEY]))
def keys(services: Here, caller: By) -> list[KeyView]:
    now = services.clock.now()
    with services.store.read() as records:
        return [_view(records, caller, one, now) for one in line_keys.every(records, caller)]


@router.get("/{name}", summary="One key, with its pins in each slot; a host's own by its line's name", **shown(_KEY))
def key(name: ObjectName, services: Here, caller: By) -> KeyView:
    with services.store.read() as records:
        return _view(records, caller, line_keys.find(records, caller, name), services.clock.now())


@router.get("/{name}/where", summary="Where copies of a key are", **shown({"name": "shop", "copies": [_COPY]}))
def where(name: ObjectName, services: Here, caller: By) -> KeyPlaces:
    """A key that the master has forgotten is still told of."""
    with services.store.read() as records:
        found = line_keys.find(records, caller, name)
        slots = {held.spki_sha256: str(held.slot) for held in line_keys.held(records, caller, found)}
        used = {
            certificate.spki_sha256
            for one in found.lines
            for version in records.versions.all(caller, one.line.id)
            for certificate in version.certificates
        }
        copies = records.keys.copies(caller, sorted(used | set(slots)))
        states = {one.id: str(one.state) for one in records.followers.all(caller)}
    return KeyPlaces(name, tuple(_copy(copy, slots, states) for copy in copies))


def _view(records: Records, caller: Caller, found: NamedKey, now: datetime) -> KeyView:
    held = sorted(line_keys.held(records, caller, found), key=_newest_first)
    options = found.key.options if found.key else KeyOptions()
    first = found.lines[0] if found.lines else None
    custody = first.line.custody if first else Custody.MASTER
    return KeyView(
        name=found.name,
        owner=found.key.owner if found.key else first.line.owner if first else Owner.API,
        custody=custody,
        lines=tuple(one.line.name for one in found.lines),
        keys=tuple(PrivateKeyView.of(one) for one in held),
        policy=options.policy,
        max_age=options.max_age,
        auto=options.auto,
        pin_days=options.pin_days,
        rollover=outlook(first, live_version(first), now) if first else "no line uses it",
    )


def _newest_first(held: HeldKey) -> tuple[float, str, str]:
    made = held.published or held.since
    return (-made.timestamp() if made else 0.0, held.key_type, held.slot)


def _copy(copy: KeyCopy, slots: dict[str, str], states: dict[str, str]) -> CopyView:
    return CopyView(
        follower=copy.follower,
        state=states.get(copy.follower_id),
        line=copy.line,
        key_type=copy.key_type,
        slot=slots.get(copy.spki_sha256, "forgotten"),
        spki_sha256=copy.spki_sha256,
        released=copy.released,
        seen=copy.seen,
        deleted=copy.deleted,
    )
