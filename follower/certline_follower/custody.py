"""Where a line's private key is born: on this host, or on the master, which then seals a copy to it. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from certline_follower.state import HeldLine, State
from certline_shared.manifest import Manifest, ManifestFile

MASTER = "master"  # a line's custody in the manifest


def sealed_name(key_type: str) -> str:
    """The logical name under which a sealed key travels."""
    return f"{key_type}/key.sealed"


def has_sealed(files: Iterable[ManifestFile], key_type: str) -> bool:
    """Whether a version is for a key that the master keeps."""
    return any(file.name == sealed_name(key_type) for file in files)


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
