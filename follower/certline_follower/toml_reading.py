"""A TOML file read field by field, so that each mistake is told with its file, line and field."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from certline_follower.faults import SettingsError

Trail = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_PARTS = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_PARTS})\s*\]")
_KEY = re.compile(rf"\s*({_PARTS})\s*=")
_WHERE = re.compile(r" \(at (?:line (?P<line>\d+), column \d+|end of document)\)$")
_KINDS = ((bool, "true or false"), (int, "a number"), (float, "a number"), (str, "a string"), (list, "a list"))


@dataclass(frozen=True, slots=True)
class _Document:
    file: Path
    places: Mapping[Trail, int]

    def fault(self, trail: Trail, text: str) -> SettingsError:
        """The error for one field, with the line of the nearest thing that has one."""
        while trail and trail not in self.places:
            trail = trail[:-1]
        line = self.places.get(trail)
        return _fault(self.file, line, text)


class Table:
    """One table of the file; each field is asked for by its kind."""

    def __init__(self, document: _Document, trail: Trail, label: str, values: Mapping[str, object]) -> None:
        self._document = document
        self._trail = trail
        self._values = values
        self.label = label
        self.is_stand_in = False  # what is in it was not written in the file

    def only(self, *known: str) -> None:
        """Raises SettingsError when the table has another key than these."""
        for name in self._values:
            if name not in known:
                from difflib import get_close_matches  # late: only for a mistake

                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
                raise self.fault(name, f"unknown key; {hint}")

    def fault(self, field: str, text: str) -> SettingsError:
        """The error for a field of this table; `text` says what is wrong and what to do."""
        field_label = ", ".join(part for part in (self.label, field) if part)
        return self._document.fault((*self._trail, field), f"{field_label}: {text}")

    def text(self, field: str) -> str | None:
        value = self._values.get(field)
        if value is None:
            return None
        if not isinstance(value, str):
            raise self.fault(field, f'expected a string, found {_kind(value)}: write it in quotes, {field} = "..."')
        if not value or "\0" in value:
            raise self.fault(field, "is empty or has a NUL character: write a value, or leave the key out")
        return value

    def needed_text(self, field: str, example: str) -> str:
        value = self.text(field)
        if value is None:
            raise self.fault(field, f'is missing: write, for example, {field} = "{example}"')
        return value

    def choice(self, field: str, allowed: Sequence[str]) -> str | None:
        value = self.text(field)
        if value is not None and value not in allowed:
            raise self.fault(field, f"{value!r} is unknown: choose one of {', '.join(allowed)}")
        return value

    def flag(self, field: str, *, default: bool) -> bool:
        value = self._values.get(field, default)
        if not isinstance(value, bool):
            raise self.fault(field, f"expected true or false, found {_kind(value)}: write {field} = true")
        return value

    def number(self, field: str, default: float, low: float, high: float) -> float:
        value = self._values.get(field, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fault(field, f"expected a number, found {_kind(value)}: write {field} = {default:g}")
        if not low <= value <= high:
            raise self.fault(field, f"{value:g} is out of range: choose {low:g} to {high:g}")
        return value

    def whole(self, field: str, default: int, low: int, high: int) -> int:
        value = self.number(field, default, low, high)
        if not isinstance(value, int):
            raise self.fault(field, f"{value:g} is not a whole number: write {field} = {default}")
        return value

    def texts(self, field: str, example: str) -> tuple[str, ...] | None:
        """A list of strings, or None when it is not there; `example` is shown when it is something else."""
        value = self._values.get(field)
        if value is None:
            return None
        if not isinstance(value, list):
            raise self.fault(field, f"expected a list of strings, found {_kind(value)}: write {field} = {example}")
        for item in value:
            if not isinstance(item, str):
                raise self.fault(field, f"{item!r} in the list is not a string: write {field} = {example}")
        return tuple(value)

    def table(self, field: str) -> "Table":
        """The table of that name, an empty one when it is not there."""
        label = f"{self.label}.{field}" if self.label else field
        value = self._values.get(field, {})
        if not isinstance(value, dict):
            raise self.fault(field, f"expected a table, found {_kind(value)}: write [{label}] and its keys below")
        return Table(self._document, (*self._trail, field), label, value)

    def tables(self, field: str) -> "list[Table]":
        """The array of tables of that name; each is labelled by its number."""
        value = self._values.get(field, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            header = ".".join(part for part in (self.label.partition(" ")[0], field) if part)
            raise self.fault(field, f"expected tables: write [[{header}]] for each, and its keys below")
        return [self._numbered(field, index, item) for index, item in enumerate(value)]

    def _numbered(self, field: str, index: int, values: Mapping[str, object]) -> "Table":
        label = ", ".join(part for part in (self.label, f"{field} {index + 1}") if part)
        return Table(self._document, (*self._trail, field, index), label, values)

    def over(self, defaults: Mapping[str, object]) -> "Table":
        """The same table, with these values where it has none."""
        return Table(self._document, self._trail, self.label, {**defaults, **self._values})

    def instead(self, field: str, label: str, values: Mapping[str, object]) -> "Table":
        """A table that a field of this one stands for: mistakes in it are told where that field is."""
        found = Table(self._document, (*self._trail, field), label, values)
        found.is_stand_in = True
        return found

    def fields(self) -> tuple[str, ...]:
        return tuple(self._values)

    def raw(self, field: str) -> object:
        """The value as it stands, for messages."""
        return self._values.get(field)


def read(file: Path) -> Table:
    """The file's top table. Raises SettingsError when it cannot be read or is not TOML."""
    try:
        text = file.read_bytes().decode() + "\n"  # else tomllib tells no line for the last one
        values = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: is not UTF-8 text: save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(file, text, str(error)) from None
    except RecursionError:
        raise SettingsError(f"{file}: is nested too deeply: remove the extra brackets") from None
    return Table(_Document(file, _places(text)), (), "", values)


def _not_toml(file: Path, text: str, message: str) -> SettingsError:
    where = _WHERE.search(message)
    what = _WHERE.sub("", message)
    if where is None or where["line"] is None:
        return _fault(file, None, f"not valid TOML: {what} at the end of the file: correct it")
    number = int(where["line"])
    line = text.split("\n")[number - 1]
    key = _KEY.match(line)
    field = f"{key[1]}: " if key else ""
    if "overwrite" in what or "twice" in what:
        return _fault(file, number, f"{field}stands twice ({what}): remove one of the two")
    if re.match(r"\s*mode\s*=\s*0", line):
        return _fault(file, number, f'{field}a mode is a string: write mode = "0640"')
    return _fault(file, number, f"{field}not valid TOML: {what}: correct this line")


def _fault(file: Path, line: int | None, text: str) -> SettingsError:
    return SettingsError(f"{file}: {text}" if line is None else f"{file}, line {line}: {text}")


def _kind(value: object) -> str:
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "a table or a date")


def _places(text: str) -> dict[Trail, int]:
    """Where tables and keys stand, by their trail, for messages only: tomllib does not tell."""
    places: dict[Trail, int] = {}
    counts: dict[Trail, int] = {}
    here: Trail = ()
    for number, line in enumerate(text.split("\n"), 1):
        if header := _HEADER.match(line):
            here = _enter(_split(header[2]), header[1] == "[[", counts)
            places.setdefault(here, number)
        elif key := _KEY.match(line):
            places.setdefault((*here, *_split(key[1])), number)
    return places


def _enter(parts: list[str], is_array: bool, counts: dict[Trail, int]) -> Trail:
    trail: Trail = ()
    for depth, part in enumerate(parts, 1):
        trail = (*trail, part)
        if is_array and depth == len(parts):
            counts[trail] = counts.get(trail, 0) + 1
        if trail in counts:
            trail = (*trail, counts[trail] - 1)
    return trail


def _split(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(_PART, dotted)]
