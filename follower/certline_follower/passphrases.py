"""The passphrases of encrypted keys: where each comes from, asked for only when a key is opened, and kept nowhere."""

import getpass
import os
import re
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal, TextIO

from certline_follower.toml_reading import Table

SourceKind = Literal["file", "env", "credential", "any"]
ENVIRONMENT = "CERTLINE_PASSPHRASE"
CREDENTIAL = "certline-passphrase"
ALTERNATIVES = (
    'passphrase = {file = "PATH"}, {env = "NAME"} or {credential = "NAME"}, or passphrase = true to have it looked for '
    f"in --passphrase-file, {ENVIRONMENT}, a prompt, standard input and systemd's credentials"
)
MOST_BYTES = 1_000  # OpenSSL reads no longer one


class NoPassphrase(ValueError):
    """A passphrase cannot be had; the text says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a line's passphrase comes from; `value`: the path or the name; `any`: the first place that has it."""

    kind: SourceKind
    value: str = ""


def source_of(table: Table, folder: Path) -> Source | None:
    """What a line's `passphrase` says; None: its keys are not encrypted. Raises SettingsError."""
    value = table.raw("passphrase")
    if value is None or value is False:
        return None
    if value is True:
        return Source("any")
    if not isinstance(value, dict):
        raise table.fault("passphrase", f"must not stand in this file: write {ALTERNATIVES}")
    inner = table.table("passphrase")
    inner.only("file", "env", "credential")
    found = [(kind, text) for kind in ("file", "env", "credential") if (text := inner.text(kind))]
    if len(found) != 1:
        raise table.fault("passphrase", f"needs one place to come from: write {ALTERNATIVES}")
    kind, text = found[0]
    if kind != "file" and not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", text):
        raise inner.fault(kind, f"{text!r} is no name: letters, digits, '_', '.' and '-'")
    return (
        Source("file", str(folder / text)) if kind == "file" else Source("env" if kind == "env" else "credential", text)
    )


@dataclass(slots=True)
class Passphrases:
    """Those of one run. `of` raises NoPassphrase, also for a file that others may read."""

    sources: Mapping[str, Source] = field(default_factory=dict)  # by line, in the order of the settings
    option_file: Path | None = None  # one line for each key, in that order
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    terminal: Callable[[str], str] = field(default=getpass.getpass)
    stdin: TextIO | None = field(default_factory=lambda: sys.stdin)
    _known: dict[str, bytes] = field(default_factory=dict, repr=False)

    def of(self, line: str) -> bytes | None:
        """None where the line's keys are not encrypted."""
        source = self.sources.get(line)
        if source is None:
            return None
        if line not in self._known:
            self._known[line] = self._checked(line, self._found(line, source))
        return self._known[line]

    def _found(self, line: str, source: Source) -> str:
        match source.kind:
            case "file":
                return _first_line(Path(source.value), line)
            case "env":
                found = self.environment.get(source.value)
                where = f"the variable {source.value} is not set"
            case "credential":
                found = self._credential(source.value, line)
                where = f"there is no credential {source.value}: give the unit LoadCredential= of that name"
            case _:
                found = self._any(line)
                where = f"write {ALTERNATIVES}"
        if found is None:
            raise NoPassphrase(f"the passphrase of line {line} cannot be had: {where}")
        return found

    def _any(self, line: str) -> str | None:
        """In this order."""
        found = self._of_option(line) if self.option_file else None
        for look in (self._of_environment, self._of_terminal, self._of_stdin):
            found = look(line) if found is None else found
        for name in (f"{CREDENTIAL}-{line}", CREDENTIAL):
            found = self._credential(name, line) if found is None else found
        return found

    def _of_option(self, line: str) -> str | None:
        texts = _lines_of(self.option_file, line) if self.option_file else []
        return self._in_order(line, texts)

    def _of_environment(self, line: str) -> str | None:
        own = f"{ENVIRONMENT}_{re.sub('[^A-Z0-9]', '_', line.upper())}"
        return self.environment.get(own, self.environment.get(ENVIRONMENT))

    def _of_terminal(self, line: str) -> str | None:
        if self.stdin is None or not self.stdin.isatty():
            return None
        return self.terminal(f"passphrase of the keys of line {line}: ") or None

    def _of_stdin(self, line: str) -> str | None:
        return self._in_order(line, [] if self.stdin is None else _all_lines(self.stdin))

    def _in_order(self, line: str, texts: Sequence[str]) -> str | None:
        asking = [name for name, source in self.sources.items() if source.kind == "any"]
        at = asking.index(line)
        return texts[at] if at < len(texts) and texts[at] else None

    def _credential(self, name: str, line: str) -> str | None:
        folder = self.environment.get("CREDENTIALS_DIRECTORY")
        path = Path(folder) / name if folder else None
        return _first_line(path, line) if path and path.is_file() else None

    @staticmethod
    def _checked(line: str, text: str) -> bytes:
        data = text.encode()
        if not 0 < len(data) <= MOST_BYTES:
            raise NoPassphrase(f"the passphrase of line {line} has {len(data)} bytes: use 1 to {MOST_BYTES}")
        return data


NO_PASSPHRASES = Passphrases()


@cache
def _all_lines(stream: TextIO) -> tuple[str, ...]:
    """Read once in a process, however often settings are read anew."""
    return () if stream.closed else tuple(stream.read().splitlines())


def _first_line(path: Path, line: str) -> str:
    return next(iter(_lines_of(path, line)), "")


def _lines_of(path: Path, line: str) -> list[str]:
    """Of a file that only its owner, and root, can read."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise NoPassphrase(
                f"{path}, which holds the passphrase of line {line}, is open to others: chmod 600 {path}"
            )
        return path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise NoPassphrase(f"{path}, which should hold the passphrase of line {line}, is no text") from None
    except OSError as error:
        why = error.strerror or "it cannot be read"
        raise NoPassphrase(f"the passphrase of line {line} cannot be read from {path}: {why}") from None
