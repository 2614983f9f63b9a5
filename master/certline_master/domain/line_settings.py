"""A line's settings as they count, and where each is written. Pure."""

from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from certline_master.domain.model import Issuer, Line, LineOptions, Owner
from certline_master.domain.naming import common_name_of
from certline_shared.keys import KeyType

_NOT_SETTINGS = ("requests", "inherited")
_USUAL = Line("", "", Owner.FILE, None, ())


@dataclass(frozen=True, slots=True)
class LineSetting:
    """`origin`: `line`, `key`, `defaults` (of the fleet file), `off` (the line's null), `issuer`, or `certline`."""

    name: str
    value: Any  # null: nothing is set
    origin: str


def line_settings(line: Line, issuer: Issuer | None) -> tuple[LineSetting, ...]:
    """All of them, the line's own members first."""
    members = {
        "custody": str(line.custody),
        "issuer": issuer.name if issuer else None,
        "profile": line.profile or (issuer.profile if issuer else None),
        "key_types": _plain(line.key_types),
        "rollout": _plain(line.rollout),
    }
    options = {item.name: getattr(line.options, item.name) for item in fields(LineOptions)}
    options["common_name"] = common_name_of(line)
    members |= {name: _plain(value) for name, value in options.items() if name not in _NOT_SETTINGS}
    return tuple(LineSetting(name, value, _origin(name, line)) for name, value in members.items())


def _origin(name: str, line: Line) -> str:
    written = line.options.inherited.get(name)
    if written:
        return written
    if name in ("issuer", "profile"):
        said = line.issuer_id if name == "issuer" else line.profile
        return "line" if said else "certline" if name == "issuer" else "issuer"
    holder, usual = (line, _USUAL) if hasattr(_USUAL, name) else (line.options, _USUAL.options)
    return "line" if getattr(holder, name) != getattr(usual, name) else "certline"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, KeyType):
        return str(value)
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
