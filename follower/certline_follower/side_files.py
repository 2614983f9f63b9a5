"""The operator's own files that outputs are made of: read, and what tells one state of them from another."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from certline_follower import files
from certline_follower.contents import SideFiles
from certline_follower.settings import LineSettings, Settings


def read(settings: Settings) -> SideFiles:
    """One that is missing or cannot be read is not there: the outputs that need it are left out."""
    outputs = [output for line in settings.lines for output in line.outputs]
    roots = _contents(output.root_file for output in outputs)
    passwords = _contents(output.password_file for output in outputs)
    return SideFiles(roots, {path: text.rstrip(b"\r\n") for path, text in passwords.items()})


def marks(settings: Settings, side: SideFiles) -> dict[str, str]:
    """Line -> what tells its side files from others; none for a line without any."""
    found = {line.name: _mark(line, side) for line in settings.lines}
    return {name: mark for name, mark in found.items() if mark}


def _contents(paths: Iterable[Path | None]) -> dict[Path, bytes]:
    found: dict[Path, bytes] = {}
    for path in {one for one in paths if one is not None}:
        with suppress(OSError):
            there = files.look(str(path.resolve()))
            if there is not None:
                found[path] = there.data
    return found


def _mark(line: LineSettings, side: SideFiles) -> str:
    used = {path for output in line.outputs for path in (output.root_file, output.password_file) if path is not None}
    return hashlib.sha256(repr([_told(path, side) for path in sorted(used)]).encode()).hexdigest() if used else ""


def _told(path: Path, side: SideFiles) -> tuple[str, str]:
    found: Mapping[Path, bytes] = {**side.roots, **side.passwords}
    return str(path), hashlib.sha256(found[path]).hexdigest() if path in found else ""
