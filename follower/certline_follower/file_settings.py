"""What a line of the settings file says of all its files: a preset, suffixes, parameters, the archive."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from certline_follower import patterns
from certline_follower.output import Archive, Output
from certline_follower.output_settings import Common, blamed, outputs_of, placed, read_mode
from certline_follower.parameters import CURVES, GROUPS, Curve, Group
from certline_follower.patterns import DATE, BadPattern
from certline_follower.presets import PRESETS, Preset
from certline_follower.toml_reading import Table
from certline_shared.key_types import KeyType

LINE_KEYS = (
    "output", "preset", "dir", "suffixes", "file_name", "owner", "group", "dh", "ec", "root_file", "date_format",
    "archive",
)  # fmt: skip
SUFFIXES = {"rsa": ".rsa", "ecdsa": ".ecdsa"}  # of files, by kind of key
OFF = "none"

Places = list[tuple[Output, Table]]
"""Outputs, each with the table to blame for it."""

_ARCHIVE_FIELDS = ("name", "date", "file", "count")
_NO_PRESET = Preset("", ())


def read(table: Table, name: str, folder: Path, key_types: tuple[KeyType, ...]) -> Places:
    """The outputs of a line. Raises SettingsError."""
    preset = _preset(table)
    common = _common(table, name, folder, key_types, preset)
    own = [one for each in table.tables("output") for one in outputs_of(each, common)]
    return [*_of_preset(table, preset, common), *own]


def read_archive(table: Table, name: str, folder: Path) -> Archive | None:
    """Raises SettingsError."""
    preset = _preset(table)
    if table.raw("archive") is None and not preset.archive:
        return None
    base = _base(table, preset, folder)
    default = {"path": f"{base}/{preset.archive['path']}"} if preset.archive else {}
    found = table.table("archive").over({**preset.archive, **default})
    found.only("path", "keep", "days", "folder_mode", "date_format")
    keep = found.whole("keep", 0, 0, 100_000) if found.raw("keep") is not None else None
    days = found.number("days", 400, 0.01, 100_000) if found.raw("days") is not None else None
    path = _archive_path(found, name=_file_name(table, name), folder=folder)
    return Archive(path if keep != 0 else None, read_mode(found, "folder_mode", 0o700), _date_format(found), keep, days)


def _archive_path(found: Table, name: str, folder: Path) -> Path | None:
    text = found.text("path")
    if text is None:
        return None
    with blamed(found, "path"):
        if "file" not in patterns.fields_of(text, _ARCHIVE_FIELDS):
            raise BadPattern(f"{text!r} would be one path for all files: write {{file}} where a file's name belongs")
    return placed(patterns.filled(text, {"name": name}), folder)


def _preset(table: Table) -> Preset:
    chosen = table.choice("preset", tuple(PRESETS))
    return PRESETS[chosen] if chosen else _NO_PRESET


def _common(table: Table, name: str, folder: Path, key_types: tuple[KeyType, ...], preset: Preset) -> Common:
    line = table.over(preset.line)
    dh, ec = (line.choice(one, (*known, OFF)) for one, known in (("dh", GROUPS), ("ec", CURVES)))
    return Common(
        name=_file_name(table, name),
        folder=folder,
        key_types=key_types,
        suffixes=_suffixes(table, preset),
        date_format=_date_format(line),
        owner=line.text("owner"),
        group=line.text("group"),
        dh=cast("Group", dh) if dh != OFF else None,
        ec=cast("Curve", ec) if ec != OFF else None,
        root_file=_root_file(table),
        is_encrypted=table.raw("passphrase") is not None,
    )


def _file_name(table: Table, name: str) -> str:
    return patterns.safe(table.text("file_name") or name)


def _root_file(table: Table) -> str | None:
    text = table.text("root_file")
    with blamed(table, "root_file"):
        patterns.fields_of(text or "", ("name", "key_type", "suffix"))
    return text


def _date_format(table: Table) -> str:
    text = table.text("date_format") or DATE
    with blamed(table, "date_format"):
        patterns.check_date_form(text)
    return text


def _suffixes(table: Table, preset: Preset) -> Mapping[str, str]:
    """By key type, or by kind of key; a suffix may be empty."""
    given, known = table.table("suffixes"), (*SUFFIXES, *KeyType)
    given.only(*known)
    own = {}
    for field in given.fields():
        text = given.raw(field)
        if not isinstance(text, str) or not re.fullmatch(r"[^/*{}\0]*", text):
            raise given.fault(field, 'expected a string that a file\'s name may hold: write, for example, ".rsa"')
        own[field] = text
    of_preset = {one: text for one, text in preset.suffixes.items() if one.partition("-")[0] not in own}
    return {**SUFFIXES, **of_preset, **own}


def _base(table: Table, preset: Preset, folder: Path) -> Path:
    if table.raw("dir") is not None and not preset.folder:
        raise table.fault("dir", f"is the folder of a preset: add preset (one of {', '.join(PRESETS)}), or remove it")
    return placed(table.text("dir") or preset.folder, folder)


def _of_preset(table: Table, preset: Preset, common: Common) -> Iterator[tuple[Output, Table]]:
    base = _base(table, preset, common.folder)
    for number, fields in enumerate(preset.outputs, 1):
        paths = {one: f"{base}/{fields[one]}" for one in ("path", "link") if one in fields}
        label = f"{table.label}, preset {table.raw('preset')}, file {number} ({fields['path']})"
        stand_in = table.instead("preset", label, {"as": "copy", **fields, **paths})
        yield from outputs_of(stand_in, common, {f"{base}/{path}": mode for path, mode in preset.folders.items()})


def check_places(file: Path, state_dir: Path, found: Places) -> None:
    """No path may be that of two files, or one of our own. Raises SettingsError naming both."""
    seen: dict[Path, str] = {file.resolve(): "this settings file"}
    for output, table in found:
        for field, path in (("path", output.path), ("link", output.link)):
            if path is None or (field == "link" and path == output.path):
                continue
            real = path.parent.resolve() / path.name
            if real in seen:
                raise table.fault(field, f"{path} is {seen[real]} too: choose another path")
            if real.is_relative_to(state_dir.resolve()):
                raise table.fault(field, f"{path} lies in state_dir: choose a path outside of it")
            seen[real] = f"the {field} of {table.label}"
