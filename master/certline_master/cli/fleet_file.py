"""The fleet file: strict YAML to the API's `desired` body, each fault told by file, line and field."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from certline_master.cli import yaml_reader
from certline_master.cli.effective_lines import DEFAULTS, SETTINGS, line_body, line_faults
from certline_master.cli.failures import WRONG, CommandFailed
from certline_master.cli.fleet_shape import Around, FleetPart, KeyPart, ZonePart, json_schema
from certline_master.cli.yaml_reader import Document, YamlFault, escaped
from certline_shared.names import BadName, normalise

__all__ = ["FleetFile", "json_schema", "read"]

MOST_BYTES = 10_000_000

Fault = tuple[int, str, str]  # line, JSON pointer, what was wrong and what to do


@dataclass(frozen=True, slots=True, repr=False)
class FleetFile:
    """A fleet file that was read: `desired` is the API's body, secrets resolved, so it is never shown."""

    path: Path
    desired: dict[str, Any]
    document: Document

    def refusal(self, problem: Mapping[str, Any]) -> str | None:
        """The master's faults (a problem document's `errors`) told by this file's lines; None when it lists none."""
        faults = [self._placed(str(one["field"]), str(one["detail"])) for one in problem.get("errors", ())]
        return _told(self.path, faults) if faults else None

    def warnings(self, plan: Mapping[str, Any]) -> list[str]:
        """What an answer of the master warns of, told by this file's lines."""
        faults = (self._placed(str(one["field"]), str(one["detail"])) for one in plan.get("warnings", ()))
        return [f"{self.path}:{line}: warning: {_dotted(place)}{detail}" for line, place, detail in sorted(faults)]

    def _placed(self, pointer: str, detail: str) -> Fault:
        pointer = pointer.removeprefix("/desired").replace("/options/", "/", 1)
        section, _, rest = pointer.removeprefix("/").partition("/")
        name, _, member = rest.partition("/")
        place = f"/{section}/{escaped(self._spelled(section, name))}"
        return (
            self._inside(section, place, member, detail) if name else (self.document.line_of(pointer), pointer, detail)
        )

    def _inside(self, section: str, place: str, member: str, detail: str) -> Fault:
        """What the file has under another name, or flatter, than the API."""
        if (section, member) == ("issuers", "ca_certificates"):
            member = "ca_file"
        if (section, member) == ("http", "solver"):
            member = ""
        if (section, member) == ("zones", "settings"):
            setting, colon, said = detail.partition(": ")
            member, detail = (setting, said) if colon and f"{place}/{setting}" in self.document.lines else ("", detail)
        if section == "lines" and self._inherits(place, member.partition("/")[0]):
            place = "/defaults"
        if section == "zones":
            member = member.removeprefix("settings/")
        pointer = f"{place}/{member}" if member else place
        return self.document.line_of(pointer), pointer, detail

    def _inherits(self, place: str, member: str) -> bool:
        line = self.desired["lines"].get(place.removeprefix("/lines/"), {})
        inherited: dict[str, str] = line.get("options", {}).get("inherited", {})
        return inherited.get(member) == DEFAULTS

    def _spelled(self, section: str, name: str) -> str:
        """How the file spells a name that the master has in its normal form."""
        name = name.replace("~1", "/").replace("~0", "~")
        written = self.desired.get(section, {})
        return name if name in written else next((other for other in written if _same(other, name)), name)


def _same(one: str, other: str) -> bool:
    try:
        return normalise(one) == normalise(other)
    except BadName:
        return False


def read(path: Path, environ: Mapping[str, str] | None = None) -> FleetFile:
    """Raises CommandFailed with every fault, one a line."""
    try:
        document = yaml_reader.read(_text(path))
    except YamlFault as fault:
        raise CommandFailed(f"{path}:{fault.line}: {fault}", WRONG) from None
    faults: list[Fault] = [(line, pointer, text) for pointer, line, text in document.faults]
    data = {} if document.data is None else _without_empty_sections(document.data)
    faults += [(document.line_of(place), place, _EMPTY) for place in _empty(data, "")]
    around = Around(path.absolute().parent, os.environ if environ is None else environ)
    try:
        fleet = FleetPart.model_validate(data, context=around)
    except ValidationError as fault:
        faults += _of_shape(fault, document, {place for _, place, _ in faults})
    else:
        faults += [(document.line_of(place), place, text) for place, text in line_faults(fleet)]
    if faults:
        raise CommandFailed(_told(path, faults), WRONG)
    return FleetFile(path, _desired(fleet), document)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) <= MOST_BYTES:
            return content.decode("utf-8-sig")
    except OSError as fault:
        raise CommandFailed(f"{path}: cannot be read: {fault.strerror}", WRONG) from None
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise CommandFailed(f"{path}:{line}: this is not UTF-8 text: save the file as UTF-8", WRONG) from None
    raise CommandFailed(f"{path}: has more than {MOST_BYTES} bytes", WRONG)


_EMPTY = "is empty: write a value, or remove it"


def _without_empty_sections(data: Any) -> Any:
    """`lines:` with everything below commented out is no line, and `web-1:` a follower without grants.

    `null` at a setting of lines switches off what stands further out.
    """
    if not isinstance(data, dict):
        return data
    data = {
        section: {} if part is None and section in FleetPart.model_fields else part for section, part in data.items()
    }
    for section in ("followers", "keys"):
        if isinstance(data.get(section), dict):
            data[section] = {name: {} if one is None else one for name, one in data[section].items()}
    return data


def _empty(value: Any, pointer: str) -> Iterator[str]:
    if value is None and not _switches_off(pointer):
        yield pointer
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for key, item in inside:
        yield from _empty(item, f"{pointer}/{escaped(str(key))}")


def _switches_off(pointer: str) -> bool:
    section, _, member = pointer.removeprefix("/").rpartition("/")
    depth = {"defaults": 0, "lines": 1, "keys": 1}.get(section.partition("/")[0])
    return member in SETTINGS and section.count("/") == depth


def _of_shape(error: ValidationError, document: Document, told: set[str]) -> Iterator[Fault]:
    for entry in error.errors(include_url=False, include_context=False, include_input=False):
        pointer = "".join(f"/{escaped(str(part))}" for part in entry["loc"])
        if pointer not in told:
            yield document.line_of(pointer), pointer, _said(entry["type"], entry["msg"], entry["loc"])


_SAYINGS = {
    "missing": "is missing: add it",
    "string_type": 'must be text: write it in quotes, as "1.20"',
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "list_type": "must be a list: write [a, b], or one a line after a dash",
    "dict_type": "must be a mapping of names to values",
    "model_type": "must be a mapping of names to values",
    "too_short": "is an empty list: write at least one",
}


def _said(kind: str, message: str, place: tuple[int | str, ...]) -> str:
    if kind == "extra_forbidden":
        return f"there is no such member here: correct or remove it ({_members(place)})"
    return _SAYINGS.get(kind, message.removeprefix("Value error, ").replace("Input should", "must"))


def _members(place: tuple[int | str, ...]) -> str:
    """The members of the object that this place is in."""
    schema = json_schema()
    part = schema
    for step in place[:-1]:
        part = part["properties"].get(step) if "properties" in part else part["additionalProperties"]
        part = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    return "known: " + ", ".join(part["properties"])


def _told(path: Path, faults: Iterable[Fault]) -> str:
    return "\n".join(f"{path}:{line}: {_dotted(pointer)}{detail}" for line, pointer, detail in sorted(faults))


def _dotted(pointer: str) -> str:
    """`/lines/shop/names/0` as `lines.shop.names.0: `."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    return f"{'.'.join(parts)}: " if parts else ""


def _desired(fleet: FleetPart) -> dict[str, Any]:
    """The API's body. What the file leaves out is wished to be absent, a zone's secret too."""
    return {
        "issuers": {name: _issuer(issuer.model_dump(mode="json")) for name, issuer in fleet.issuers.items()},
        "zones": {name: _zone(zone) for name, zone in fleet.zones.items()},
        "http": {name: {"solver": solver} for name, solver in fleet.http.items()},
        "followers": {
            name: follower.model_dump(mode="json", exclude_defaults=True) for name, follower in fleet.followers.items()
        },
        "groups": {name: group.model_dump(mode="json", exclude_defaults=True) for name, group in fleet.groups.items()},
        "keys": {name: _key(key) for name, key in fleet.keys.items()},
        "lines": {name: line_body(fleet, name, line) for name, line in fleet.lines.items()},
    }


def _issuer(part: dict[str, Any]) -> dict[str, Any]:
    return _given({"ca_certificates" if member == "ca_file" else member: value for member, value in part.items()})


def _key(key: KeyPart) -> dict[str, Any]:
    own = {"key_types", "policy", "max_age", "auto", "pin_days"}
    return key.model_dump(mode="json", include=own, exclude_defaults=True)


def _zone(zone: ZonePart) -> dict[str, Any]:
    return {"solver": zone.solver, "settings": zone.model_extra or {}, "secret": zone.secret}


def _given(part: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in part.items() if value != ""}
