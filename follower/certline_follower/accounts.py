"""This host's users and groups: looking names up, and whether this process may give files to them."""

import grp
import os
import pwd

from certline_follower.faults import InstallFault
from certline_follower.toml_reading import Table


def check(table: Table, owner: str | None, group: str | None) -> None:
    """Raises SettingsError for an owner or group that is unknown here, or that we may not give a file to."""
    try:
        uid, gid = user_id(owner), group_id(group)
    except InstallFault as fault:
        raise table.fault("owner" if owner and not _is_user(owner) else "group", str(fault)) from None
    if os.geteuid() == 0:
        return
    if uid not in (-1, os.geteuid()):
        raise table.fault("owner", f"only root can give a file to {owner!r}: run as root, or leave owner out")
    if gid not in (-1, os.getegid(), *os.getgroups()):
        raise table.fault("group", f"this user is not in the group {group!r}: add it, run as root, or leave group out")


def user_id(name: str | None) -> int:
    """The uid, -1 for None (chown's "leave it"). Raises InstallFault for an unknown user."""
    if name is None:
        return -1
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise InstallFault(f"there is no user {name!r} on this host: create it, or correct owner") from None


def group_id(name: str | None) -> int:
    """The gid, -1 for None (chown's "leave it"). Raises InstallFault for an unknown group."""
    if name is None:
        return -1
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise InstallFault(f"there is no group {name!r} on this host: create it, or correct group") from None


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
