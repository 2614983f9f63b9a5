"""The follower's own small files, written whole or not at all, for this user only."""

import os
from pathlib import Path

_FILE = 0o600
_FOLDER = 0o700
_STATE_DIR = 0o755  # services reach the live generation through it


def private_folder(path: Path) -> Path:
    """The folder, made if need be, for this user only; its parents too where they lack. Raises OSError."""
    path.parent.mkdir(mode=_STATE_DIR, parents=True, exist_ok=True)
    path.mkdir(mode=_FOLDER, exist_ok=True)
    return path


def write_private(path: Path, data: bytes) -> None:
    """Put data in place of the file: mode 0600 before content, synced before the rename and after. Raises OSError."""
    path.parent.mkdir(mode=_STATE_DIR, parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)  # left by a kill; one run at a time holds the lock
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames in the folder last. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
