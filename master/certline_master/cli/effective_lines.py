"""Lines of the fleet file with what they inherit: the file's defaults, then the line's key, then the line itself."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from certline_master.cli.fleet_shape import FleetPart, LinePart, LineSettings
from certline_master.cli.yaml_reader import escaped
from certline_master.domain.model import Custody, LineOptions
from certline_shared.keys import CsrFacts, csr_from_pem, read_csr
from certline_shared.names import BadName, normalise

SETTINGS = frozenset(LineSettings.model_fields)
DEFAULTS, KEY, OFF = "defaults", "key", "off"
"""Where a setting of a line stands if not at the line, or that the line switches it off."""

_OPTIONS = frozenset(item.name for item in fields(LineOptions))


def line_faults(fleet: FleetPart) -> Iterator[tuple[str, str]]:
    """What a line still lacks with all that it inherits: JSON pointer, what to do."""
    for name, line in fleet.lines.items():
        custody = _effective(fleet, line)[0].get("custody")
        if not line.follower and custody != Custody.MASTER:
            text = "is missing: name the host that keeps the key, or write `custody: master`"
            yield f"/lines/{escaped(name)}/follower", text
        if not _names(name, line):
            yield f"/lines/{escaped(name)}/names", "is missing: add it"


def line_body(fleet: FleetPart, name: str, line: LinePart) -> dict[str, Any]:
    """The line as the API takes it."""
    members, inherited = _effective(fleet, line)
    given = [read_csr(csr_from_pem(text)) for text in line.csr]
    if given:
        said = _as_the_requests_say(given, line)
        members |= said
        inherited = {member: level for member, level in inherited.items() if member not in said}
    members = {member: value for member, value in members.items() if value not in (None, "", [], False)}
    if members.get("custody") == Custody.FOLLOWER:
        del members["custody"]
    own = {"follower": line.follower, "common_name": line.common_name, "csr": line.csr, "key": line.key}
    members |= {member: value for member, value in own.items() if value}
    options = {member: members.pop(member) for member in sorted(_OPTIONS & set(members))}
    if inherited:
        options["inherited"] = inherited
    return {"names": _names(name, line), **members, **({"options": options} if options else {})}


def _effective(fleet: FleetPart, line: LinePart) -> tuple[dict[str, Any], dict[str, str]]:
    """Each setting, and where it stands if not at the line."""
    values: dict[str, Any] = {}
    inherited: dict[str, str] = {}
    for level, part in _levels(fleet, line):
        written = part.model_dump(mode="json", exclude_unset=True, exclude_none=False)
        for member in SETTINGS & set(written):
            values[member] = _without_nothing(written[member])
            inherited[member] = level if written[member] is not None else OFF
    return values, {member: level for member, level in sorted(inherited.items()) if level}


def _levels(fleet: FleetPart, line: LinePart) -> "list[tuple[str, Any]]":
    """From the outermost to the line itself."""
    key = getattr(fleet, "keys", {}).get(getattr(line, "key", None) or "")
    return [(DEFAULTS, fleet.defaults), *([(KEY, key)] if key is not None else []), ("", line)]


def _without_nothing(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {member: one for member, one in value.items() if one not in (None, "")}


def _names(name: str, line: LinePart) -> list[str]:
    """As written, else those of the requests, else the common name, else the line's own name where it is one."""
    if line.names:
        return line.names
    if line.csr:
        return list(read_csr(csr_from_pem(line.csr[0])).names)
    return [line.common_name] if line.common_name else [name] if _is_name(name) else []


def _is_name(text: str) -> bool:
    try:
        normalise(text)
    except BadName:
        return False
    return True


def _as_the_requests_say(given: list[CsrFacts], line: LinePart) -> dict[str, Any]:
    """What the line itself does not say; a default of other lines is none of theirs."""
    said = {"key_types": [str(facts.key_type) for facts in given], "must_staple": given[0].must_staple}
    return {member: value for member, value in said.items() if member not in line.model_fields_set}
