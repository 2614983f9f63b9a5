"""Careful file work: by directory descriptor, no link followed, owner and mode before content, everything synced."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

MOST_BYTES = 16_777_216
FOLDER_MODE = 0o755  # services reach their files through it; what is secret has a mode of its own

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at a name: a regular file with its content and ownership, or a link with its target."""

    data: bytes = field(default=b"", repr=False)
    uid: int = -1
    gid: int = -1
    mode: int = 0
    link: str | None = None


@contextmanager
def folder(path: str | Path, dir_fd: int | None = None, *, follow: bool = True) -> Iterator[int]:
    """A descriptor of a directory, for the time of a `with`."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    fd = os.open(path, flags, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def make_folder(name: str, dir_fd: int, mode: int = FOLDER_MODE) -> None:
    """A new directory of exactly that mode, whatever the umask."""
    os.mkdir(name, 0o700, dir_fd=dir_fd)
    with folder(name, dir_fd, follow=False) as made:
        os.fchmod(made, mode)


def ensure_folder(name: str, dir_fd: int, mode: int = FOLDER_MODE) -> None:
    with suppress(FileExistsError):
        make_folder(name, dir_fd, mode)
        os.fsync(dir_fd)


def write(name: str, dir_fd: int, data: bytes, *, uid: int = -1, gid: int = -1, mode: int = 0o600) -> None:
    """A new file; raises FileExistsError rather than touch what stands there. Owner and mode come before content."""
    fd = os.open(name, _CREATE, 0o600, dir_fd=dir_fd)
    with os.fdopen(fd, "wb") as file:
        if (uid, gid) != (-1, -1):
            os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
        file.write(data)
        file.flush()
        os.fsync(fd)


def replace(name: str, dir_fd: int, data: bytes, *, mode: int = 0o600) -> None:
    """The whole file at once, synced with its directory."""
    with _beside(name, dir_fd) as new:
        write(new, dir_fd, data, mode=mode)
        os.rename(new, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    os.fsync(dir_fd)


def replace_link(name: str, dir_fd: int, target: str) -> None:
    """One rename: a reader finds the former link or this one. The directory is not synced."""
    with _beside(name, dir_fd) as new:
        os.symlink(target, new, dir_fd=dir_fd)
        os.rename(new, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


@contextmanager
def _beside(name: str, dir_fd: int) -> Iterator[str]:
    """The name under which something is made ready; free at first, and free again when that fails."""
    new = f".{name}.new"
    remove(new, dir_fd)
    try:
        yield new
    except OSError:
        with suppress(OSError):
            remove(new, dir_fd)
        raise


def remove(name: str, dir_fd: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=dir_fd)


def remove_tree(name: str, dir_fd: int) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(name, dir_fd=dir_fd)


def sweep(path: Path, stray: re.Pattern[str]) -> None:
    """Remove what has such a name; a directory without any is not touched (it may be read-only, or missing)."""
    with suppress(FileNotFoundError):
        names = [found.name for found in path.iterdir() if stray.fullmatch(found.name)]
        if names:
            with folder(path) as opened:
                for name in names:
                    _remove_any(name, opened)


def _remove_any(name: str, dir_fd: int) -> None:
    is_folder = stat.S_ISDIR(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    (remove_tree if is_folder else remove)(name, dir_fd)


def exists(name: str, dir_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def look(name: str, dir_fd: int | None = None) -> Found | None:
    """What stands there, None for nothing.

    Raises IsADirectoryError for a directory, OSError (EFBIG) for a file over MOST_BYTES, (ENXIO) for a device or pipe.
    """
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            return Found(link=os.readlink(name, dir_fd=dir_fd))
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return _read(name, dir_fd)
    except FileNotFoundError:
        return None


def _read(name: str, dir_fd: int | None) -> Found:
    fd = os.open(name, _READ, dir_fd=dir_fd)
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return Found(data, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
