"""One `[[line.output]]` of the settings file: an output for each path that it leads to."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from certline_follower import accounts, parts, patterns
from certline_follower.output import PASSING_FIELDS, Folder, Output, OutputMode
from certline_follower.parameters import CURVES, GROUPS, Curve, Group
from certline_follower.parts import CONTAINERS, OUTPUT_KINDS, PARTS, OutputKind, Part
from certline_follower.patterns import BadPattern
from certline_follower.toml_reading import Table
from certline_shared.key_types import KeyType

_KEYS = (
    "kind", "parts", "path", "as", "owner", "group", "mode", "key_type", "stage", "link", "folder_mode",
    "password_file", "server",
)  # fmt: skip
_PATH_FIELDS = ("name", "key_type", "suffix", "server", "date", "version", "ct_log_name")
_TYPE_FIELDS = {"key_type", "suffix"}


@dataclass(frozen=True, slots=True)
class Common:
    """What holds for all outputs of a line where they do not say otherwise."""

    name: str
    folder: Path  # relative paths count from it
    key_types: tuple[KeyType, ...]
    suffixes: Mapping[str, str]
    date_format: str
    owner: str | None
    group: str | None
    dh: Group | None
    ec: Curve | None
    root_file: str | None
    is_encrypted: bool  # its keys have a passphrase


def outputs_of(table: Table, common: Common, folders: Mapping[str, str] | None = None) -> list[tuple[Output, Table]]:
    """One for each key type, where the path tells them apart; else one, of the type it names or the line's first."""
    _refuse_clear_password(table)
    table.only(*_KEYS)
    used = {*_fields(table, "path", _PATH_FIELDS), *_fields(table, "link", (*_PATH_FIELDS, "dns_name"))}
    wanted = table.choice("key_type", list(KeyType))
    if wanted is not None and wanted not in common.key_types:
        made = ", ".join(common.key_types)
        raise table.fault("key_type", f"the line makes {made} keys: choose one of these, or add it to the line's")
    several = common.key_types if used & _TYPE_FIELDS else common.key_types[:1]
    types = (KeyType(wanted),) if wanted else several
    return [(_output(table, common, key_type, folders or {}), table) for key_type in types]


def _refuse_clear_password(table: Table) -> None:
    for field in ("password", "passphrase"):
        if table.raw(field) is not None:
            raise table.fault(field, 'must not stand in this file: put it into one of its own, password_file = "PATH"')


def _fields(table: Table, field: str, known: tuple[str, ...]) -> tuple[str, ...]:
    text = table.needed_text("path", "/etc/nginx/tls/shop.pem") if field == "path" else table.text(field) or ""
    if text.endswith("/"):
        raise table.fault(field, f"{text!r} is a directory: add the file's name")
    with blamed(table, field):
        found = patterns.fields_of(text, known)
    if "ct_log_name" in found:
        raise table.fault(field, f"{text!r}: only a file of a certificate log has a {{ct_log_name}}: leave it out")
    if "server" in found and table.text("server") is None:
        raise table.fault(field, f'{text!r} has {{server}}, which nothing here tells: write server = "nginx" beside it')
    return found


def _output(table: Table, common: Common, key_type: KeyType, folders: Mapping[str, str]) -> Output:
    kind, order = _content(table)
    values = _values(common, key_type, table.text("server"))
    path = placed(patterns.filled(table.needed_text("path", "shop.pem"), values), common.folder)
    link = placed(patterns.filled(table.text("link") or "", values), common.folder) if table.text("link") else None
    is_passing = bool(PASSING_FIELDS & set(patterns.fields_in(str(path))))
    mode = cast("OutputMode", table.choice("as", get_args(OutputMode)) or ("copy" if link or is_passing else "link"))
    owner, group = table.text("owner") or common.owner, table.text("group") or common.group
    accounts.check(table, owner, group)
    all_parts = parts.order_of(kind, order)
    _check_parameters(table, common, kind, all_parts)
    output = Output(
        kind=kind,
        path=path,
        mode=mode,
        owner=owner,
        group=group,
        permissions=_permissions(table, bears_key=parts.bears_key(all_parts)),
        key_type=key_type,
        parts=order,
        stage=table.flag("stage", default=False),
        link=link,
        date_format=common.date_format,
        password_file=_password_file(table, kind, common.folder, is_encrypted=common.is_encrypted),
        dh=common.dh if "dh" in all_parts else None,
        ec=common.ec if "ec" in all_parts else None,
        root_file=_root_of(common, values) if "root" in all_parts else None,
    )
    return replace(output, folders=_folders(table, folders, values, output))


def _content(table: Table) -> tuple[OutputKind, tuple[Part, ...]]:
    """Where parts are set, the kind only says what the file is, for hooks."""
    order, kinds = table.texts("parts", '["certificate", "chain"]'), [one for one in OUTPUT_KINDS if one != "parts"]
    if order is None:
        table.needed_text("kind", "fullchain")
        return cast("OutputKind", table.choice("kind", kinds)), ()
    kind = cast("OutputKind", table.choice("kind", kinds) or "parts")
    for one in order:
        if one not in PARTS:
            raise table.fault("parts", f"{one!r} is unknown: choose among {', '.join(PARTS)}")
    if not order or len(set(order)) < len(order):
        raise table.fault("parts", 'is empty or has one twice: write, for example, parts = ["certificate", "dh"]')
    if kind in CONTAINERS:
        raise table.fault("parts", f"{kind} has parts of its own: remove them, or choose another kind")
    return kind, cast("tuple[Part, ...]", order)


def _check_parameters(table: Table, common: Common, kind: OutputKind, order: tuple[Part, ...]) -> None:
    """Only where the file itself asks for them: a preset goes without."""
    if table.is_stand_in:
        return
    if kind == "params" and common.dh is None and common.ec is None:
        raise table.fault("kind", 'there are no parameters: give the line dh = "ffdhe2048", or ec = "secp384r1"')
    for part, value, known in (("dh", common.dh, GROUPS), ("ec", common.ec, CURVES)):
        if kind != "params" and part in order and value is None:
            raise table.fault("parts", f"there is no {part} to write: give the line {part} = one of {', '.join(known)}")


def _values(common: Common, key_type: KeyType, server: str | None) -> dict[str, str]:
    """Of the fields that are known when the file is read; {key_type} is the kind of key, as in acmebot."""
    kind = key_type.partition("-")[0]
    suffix = common.suffixes.get(key_type, common.suffixes[kind])
    return {"name": common.name, "key_type": kind, "suffix": suffix, **({"server": server} if server else {})}


def _root_of(common: Common, values: Mapping[str, str]) -> Path | None:
    return placed(patterns.filled(common.root_file, values), common.folder) if common.root_file else None


def _folders(table: Table, folders: Mapping[str, str], values: Mapping[str, str], output: Output) -> tuple[Folder, ...]:
    """Those of the preset that the output lies in, outermost first; and its own, when a mode is set for it."""
    places = [one for one in (output.path, output.link) if one is not None]
    around = {folder for one in places for folder in one.parents}
    filled = {Path(patterns.filled(pattern, values)): int(mode, 8) for pattern, mode in folders.items()}
    if table.raw("folder_mode") is not None:
        filled |= {one.parent: read_mode(table, "folder_mode", 0o755) for one in places}
    wanted = sorted((one, mode) for one, mode in filled.items() if one in around)
    return tuple(Folder(one, mode, output.owner, output.group) for one, mode in wanted)


def _password_file(table: Table, kind: OutputKind, folder: Path, *, is_encrypted: bool) -> Path | None:
    text = table.text("password_file")
    if text is None and kind == "pkcs12-legacy":
        raise table.fault("password_file", "is missing: a container of the old kind cannot go without a password")
    if text is None and kind == "pkcs12" and is_encrypted:
        raise table.fault("password_file", "is missing: the line's keys are encrypted, in a container too")
    if text is None:
        return None
    if kind not in CONTAINERS:
        raise table.fault("password_file", f"only {' and '.join(CONTAINERS)} take a password: leave it out")
    path = placed(text, folder)
    if not path.is_file():
        raise table.fault("password_file", f"{path} is no file: write the password into it, mode 0600")
    if path.stat().st_mode & 0o007:
        raise table.fault("password_file", f"{path} can be read by every user: give it mode 0600")
    return path


def _permissions(table: Table, *, bears_key: bool) -> int:
    mode = read_mode(table, "mode", 0o600 if bears_key else 0o644)
    if bears_key and mode & 0o007:
        text = table.text("mode")
        raise table.fault("mode", f'{text} would show the private key to every user: write mode = "0640" and a group')
    return mode


def read_mode(table: Table, field: str, default: int) -> int:
    text = table.text(field)
    if text is None:
        return default
    if not 3 <= len(text) <= 4 or text.strip("01234567") or int(text, 8) > 0o777:
        what = "file" if field == "mode" else "folder"
        raise table.fault(field, f'{text!r} is no {what} mode: write three octal digits, as {field} = "0640"')
    return int(text, 8)


def placed(text: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / text))


@contextmanager
def blamed(table: Table, field: str) -> Iterator[None]:
    """A pattern that cannot be used becomes the error of that field."""
    try:
        yield
    except BadPattern as error:
        raise table.fault(field, str(error)) from None
