"""Where a line's private key is born: on this host, or on the master, which then seals a copy to it. Pure."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, get_args

from certline_follower.state import HeldLine, State
from certline_shared.manifest import Manifest, ManifestFile

KeySlot = Literal["current", "next", "previous"]
SLOTS: tuple[KeySlot, ...] = get_args(KeySlot)
MASTER = "master"  # a line's custody in the manifest


def sealed_name(key_type: str) -> str:
    """The logical name under which a sealed key travels."""
    return f"{key_type}/key.sealed"


def has_sealed(files: Iterable[ManifestFile], key_type: str) -> bool:
    """Whether a version is for a key that the master keeps."""
    return any(file.name == sealed_name(key_type) for file in files)


def pins_of(held: HeldLine, key_type: str) -> dict[KeySlot, str]:
    """The keys of that type that are on this host, by slot."""
    slots: dict[KeySlot, dict[str, str]] = {
        "current": held.keys, "next": held.next_keys, "previous": held.previous_keys
    }  # fmt: skip
    return {slot: pins[key_type] for slot, pins in slots.items() if key_type in pins}


def slot_of(held: HeldLine, key_type: str, pin: str | None) -> KeySlot | None:
    """Where the key with that pin lies on this host."""
    return next((slot for slot, found in pins_of(held, key_type).items() if found == pin), None)


def with_key(held: HeldLine, key_type: str, slot: KeySlot, pin: str) -> HeldLine:
    """With a key that is on disk now."""
    if slot == "next":
        return replace(held, next_keys={**held.next_keys, key_type: pin})
    return replace(held, keys={**held.keys, key_type: pin})


def promoted(held: HeldLine, key_type: str) -> HeldLine:
    """With the next key of that type as the current one, in what was asked too."""
    keys, upcoming, former = dict(held.keys), dict(held.next_keys), dict(held.previous_keys)
    if key_type in keys:
        former[key_type] = keys[key_type]
    keys[key_type] = upcoming.pop(key_type)
    asked = held.asked
    if asked and asked.next_keys.get(key_type) == keys[key_type]:
        left = {kind: pin for kind, pin in asked.next_keys.items() if kind != key_type}
        asked = replace(asked, keys={**asked.keys, key_type: keys[key_type]}, next_keys=left)
    return replace(held, keys=keys, next_keys=upcoming, previous_keys=former, asked=asked)


def is_spent(held: HeldLine, key_type: str) -> bool:
    """Whether the own key on disk is from before the master kept the line's key."""
    return key_type in held.keys and held.keys[key_type] == held.spent.get(key_type)


def own_keys_spent(state: State, manifest: Manifest) -> State:
    """The state where no own key of a line counts whose key the master keeps: a line that comes back gets a new one."""
    for line in manifest.lines:
        held = state.line(line.name)
        if line.custody == MASTER and (held.asked or held.refusal or held.keys != held.spent):
            state = state.with_line(line.name, replace(held, spent=held.keys, asked=None, refusal=None))
    return state
