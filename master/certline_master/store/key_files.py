"""The KEK in a file of its own, and how another one takes its place: at every instant each key is in some file."""

import os
from collections.abc import Collection
from pathlib import Path

from certline_master.domain.errors import Invalid
from certline_master.files import write_whole
from certline_master.store.kek import Kek, new_kek, parse_kek, read_kek
from certline_master.store.keyring import FORMER, NEW
from certline_shared.chance import Chance
from certline_shared.failpoints import failpoint

_MOST_FILES, _MOST_BYTES = 1_000, 4_096


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def make(path: Path, chance: Chance) -> Kek:
    """A fresh key in a file that was not there. Raises OSError."""
    kek = new_kek(chance)
    write_whole(path, kek.text.encode() + b"\n", mode=0o600)
    return kek


def next_kek(path: Path, chance: Chance) -> Kek:
    """The key that is to follow, made beside the present one; the one that is there already after a kill.

    Raises OSError, and Invalid for a file that is no key's.
    """
    coming = beside(path, NEW)
    kek = read_kek(f"file:{coming}") if coming.exists() else make(coming, chance)
    failpoint("kek.new-made")
    return kek


def swap(path: Path) -> None:
    """The present one becomes the former, the next one the present. Safe to repeat after a kill. Raises OSError."""
    if not beside(path, NEW).exists():
        return
    former = beside(path, FORMER)
    if not former.exists():
        os.link(path, former)
        _sync(path.parent)
    failpoint("kek.former-kept")
    beside(path, NEW).rename(path)
    failpoint("kek.swapped")
    _sync(path.parent)


def drop_former(path: Path) -> bool:
    """Tells whether there was one. Raises OSError."""
    former = beside(path, FORMER)
    if not former.exists():
        return False
    former.unlink()
    _sync(path.parent)
    return True


def found_in(folder: Path, keks: Collection[Kek]) -> Path | None:
    """A file in the folder that holds one of these keys, under whatever name."""
    for path in sorted(folder.iterdir())[:_MOST_FILES]:
        if path.is_file() and not path.is_symlink() and path.stat().st_size <= _MOST_BYTES and _holds(path, keks):
            return path
    return None


def _holds(path: Path, keks: Collection[Kek]) -> bool:
    try:
        return parse_kek(path.read_bytes(), path.name) in keks
    except (Invalid, OSError):
        return False


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
