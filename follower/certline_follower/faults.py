"""What can go wrong on the host, as errors with a text for the operator."""

import errno
import os
from pathlib import Path


class SettingsError(ValueError):
    """A settings file that cannot be used; the text names the file, the line, the field, what is wrong, what to do."""


class InstallFault(Exception):
    """Something that could not be installed; the text names the output, the path, what was wrong and what to do."""


_ADVICE = {
    errno.EROFS: "the file system is read-only: mount it writable, or put the file elsewhere",
    errno.ENOSPC: "the disk is full (or out of inodes): free some space",
    errno.EDQUOT: "the disk quota is used up: free some space, or raise the quota",
    errno.EACCES: "permission denied: let this user write there, or run as root",
    errno.EPERM: "not permitted: let this user write there, or run as root",
    errno.ENOTDIR: "a part of the path is no directory: correct the path",
    errno.ELOOP: "a symbolic link stands where none may be: remove it",
    errno.EISDIR: "a directory stands there: remove it, or choose another path",
    errno.EIO: "the disk reported an error: check the disk",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter one",
}


def fault_of(error: OSError, doing: str, path: Path) -> InstallFault:
    """The fault for an OSError met while `doing` ("output ...", "writing the generation") at `path`."""
    why = _ADVICE.get(error.errno or 0)
    if error.errno == errno.ENOENT:
        why = f"the directory {path.parent} is missing: create it"
    elif why is None:
        why = os.strerror(error.errno) if error.errno else str(error)
    return InstallFault(f"{doing} {path}: {why}")
