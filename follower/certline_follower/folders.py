"""Folders that outputs lie in, made where they are missing; one that is there is never changed."""

import os
from pathlib import Path

from certline_follower import accounts, files
from certline_follower.output import Folder

_AROUND = 0o755


def make(folder: Folder) -> None:
    """Raises OSError, InstallFault for an owner or group that is unknown here."""
    ensure(folder.path, folder.mode, accounts.user_id(folder.owner), accounts.group_id(folder.group))


def ensure(path: Path, mode: int, uid: int = -1, gid: int = -1, *, around: int = _AROUND) -> None:
    """The folder, and those `around` it; owner and mode are set before anything lies in it. Raises OSError."""
    if path.is_dir():
        return
    ensure(path.parent, around, around=around)
    with files.folder(path.parent) as parent:
        files.make_folder(path.name, parent, 0o700)
        with files.folder(path.name, parent, follow=False) as made:
            if (uid, gid) != (-1, -1):
                os.fchown(made, uid, gid)
            os.fchmod(made, mode)
        os.fsync(parent)
