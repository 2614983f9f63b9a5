"""The settings that services and hooks share: argument vectors, and as whom, where and how long they run."""

import os
import pwd
import re
import shlex
from pathlib import Path

from certline_follower import accounts
from certline_follower.faults import InstallFault
from certline_follower.toml_reading import Table
from certline_shared.running import AS_WE_ARE, Surroundings

KEYS = ("user", "group", "cwd", "env")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def surroundings(table: Table, usual: Surroundings = AS_WE_ARE) -> Surroundings:
    """The keys `user`, `group`, `cwd` and `env` of a table. Raises SettingsError."""
    user, group = table.text("user") or usual.user, table.text("group") or usual.group
    _check_user(table, table.text("user"))
    _check_group(table, table.text("group"))
    env = dict(usual.env) | dict(_env(table))
    return Surroundings(user, group, _cwd(table) or usual.cwd, tuple(sorted(env.items())))


def _check_user(table: Table, user: str | None) -> None:
    try:
        uid = accounts.user_id(user)
    except InstallFault as fault:
        raise table.fault("user", str(fault).replace("correct owner", "correct user")) from None
    if uid not in (-1, os.geteuid()) and os.geteuid() != 0:
        me = pwd.getpwuid(os.geteuid()).pw_name
        raise table.fault("user", f"only root can start programs as {user!r}: run as root, or leave user out ({me})")


def _check_group(table: Table, group: str | None) -> None:
    try:
        gid = accounts.group_id(group)
    except InstallFault as fault:
        raise table.fault("group", str(fault)) from None
    if gid not in (-1, os.getegid()) and os.geteuid() != 0:
        raise table.fault("group", f"only root can start programs in the group {group!r}: leave group out")


def _cwd(table: Table) -> str | None:
    cwd = table.text("cwd")
    if cwd is not None and not Path(cwd).is_absolute():
        raise table.fault("cwd", f"{cwd!r} is no whole path: write one that begins with /")
    return cwd


def _env(table: Table) -> list[tuple[str, str]]:
    found = table.table("env")
    for name in found.fields():
        if not _NAME.fullmatch(name) or name.startswith("CERTLINE_"):
            raise found.fault(name, "cannot be set: write letters, digits and _, and no name that begins CERTLINE_")
    return [(name, found.text(name) or "") for name in found.fields()]


def argv(table: Table, field: str) -> tuple[str, ...] | None:
    """An argument vector; a string is refused, because there is no shell to split it. Raises SettingsError."""
    given = table.raw(field)
    words = table.texts(field, as_vector(given) if isinstance(given, str) else '["PROGRAM", "ARGUMENT"]')
    if words is not None:
        check_words(table, field, words)
    return words


def check_words(table: Table, field: str, words: tuple[str, ...]) -> None:
    """Raises SettingsError for what is no command."""
    if not words or not words[0] or any("\0" in word for word in words):
        raise table.fault(
            field, "is empty or has a NUL character: write the program and its arguments, or leave it out"
        )


def as_vector(command: str) -> str:
    """A command line as the argument vector that was probably meant."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = ["PROGRAM", "ARGUMENT"]
    return "[" + ", ".join(f'"{word}"' for word in words) + "] (program and arguments apart: no shell is used)"


def check_section_name(table: Table, name: str) -> None:
    """Raises SettingsError for a name that cannot stand in a command's environment and in the log."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,62}", name):
        raise table.fault(name, "is no name for a section: write small letters, digits, dots, dashes or underscores")
