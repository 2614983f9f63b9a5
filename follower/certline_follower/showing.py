"""What `status` and `plan` show, as plain data and as text; reads the state, imports neither httpx nor cryptography."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from certline_follower.generation import LineFacts, LinesFacts
from certline_follower.kept import Kept
from certline_follower.pauses import ended_by_settings
from certline_follower.reports import SKEW_NEWS as WRONG
from certline_follower.reports import deployment, goal_of
from certline_follower.settings import LineSettings, Settings
from certline_follower.state import CONTACT, HeldLine, Keeper, State
from certline_shared import codec
from certline_shared.names import display

Shown = dict[str, Any]


def status(settings: Settings) -> Shown:
    """The state of this host under these settings, by its own records. Raises StateError for a newer version's."""
    state_dir = settings.state_dir
    keeper = Keeper(state_dir, read_only=True)
    note = keeper.load()
    state, offered, facts = ended_by_settings(keeper.state, settings), _offered(keeper.state), _installed(keeper)
    wanted = [line.name for line in settings.lines]
    names = [*wanted, *(name for name in sorted(state.lines) if name not in wanted)]
    lines = [_line(state, name, offered.get(name, {}), facts.get(name, ()), in_file=name in wanted) for name in names]
    for line in settings.lines:
        lines[names.index(line.name)] |= _deployment(settings, line, state, offered.get(line.name, {}))
    services = {name: debt.retry.error if debt.retry else "owed" for name, debt in state.debts.items()}
    return {
        "enrolled": (state_dir / "identity.json").exists(),
        "last_contact": _time_of(state_dir / CONTACT),
        "generation": keeper.state.live.generation if keeper.state.live else None,
        "lines": lines,
        "services_owed": services,
        "clock_ahead": keeper.state.skew,
        "notes": [note] if note else [],
    }


def _offered(state: State) -> dict[str, Any]:
    """The lines of the kept manifest, unchecked: for show only."""
    try:
        signed = json.loads(state.manifest or b"{}")
        manifest = json.loads(codec.from_base64url(signed.get("manifest", "")) or b"{}")
        return {line["name"]: line for line in manifest.get("lines", ())}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def _installed(keeper: Keeper) -> LinesFacts:
    """What the live generation says of its certificates."""
    live = keeper.state.live
    found = Kept(keeper.path.parent).installed(live.generation) if live else None
    return found.facts if found else {}


def _line(state: State, name: str, offered: Shown, types: Sequence[LineFacts], *, in_file: bool) -> Shown:
    """`names` and `not_after` are of what is installed, the names of what is offered where nothing is."""
    held, installed = state.line(name), state.installed(name)
    until = min((one.not_after for one in types if one.not_after), default=None)
    if installed and installed.number == offered.get("version"):
        until = until or offered.get("not_after")
    return {
        "line": name,
        "installed": installed.number if installed else None,
        "names": list(types[0].names) if types else offered.get("names", []),
        "key_types": [one.key_type for one in types],
        "not_after": until,
        "wanted": offered.get("version"),
        "wanted_not_after": offered.get("not_after"),
        "standing": _standing(state, name) if in_file else "no longer in the file",
        "error": _error(held) or offered.get("error"),
    }


def _deployment(settings: Settings, line: LineSettings, state: State, offered: Shown) -> Shown:
    """How far the version is that is on its way, or installed; `goal`: the last step that this host has configured."""
    number, wait = offered.get("version"), state.line(line.name).wait
    told = deployment(settings, line, state, number if isinstance(number, int) else None, wait)
    return {
        "version": told.version if told else None,
        "state": told.state if told else "wanted",
        "goal": goal_of(settings, line),
        "held_back": told.error or (wait.why if wait and told.state == "pulled" else None) if told else None,
        "retry_at": told.retry_at if told else None,
        "seen": told.seen if told else {},
    }


def _standing(state: State, name: str) -> str:
    held = state.line(name)
    if held.refusal:
        return "refused"
    if held.held_back and not held.held_back.version.same(state.installed(name)):
        return "an older version is installed, the newer one is held back" if state.installed(name) else "held back"
    if state.installed(name):
        owed = any(name in debt.lines for debt in state.debts.values())
        return "installed, a reload is owed" if owed else "installed"
    return "asked for" if held.asked else "not asked for yet"


def _error(held: HeldLine) -> str | None:
    if held.refusal:
        return held.refusal.retry.error
    return held.held_back.retry.error if held.held_back else None


def _time_of(path: Path) -> str | None:
    try:
        return datetime.fromtimestamp(int(path.stat().st_mtime), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OSError:
        return None


def status_text(shown: Shown) -> Iterator[str]:
    """Line by line, for people."""
    if not shown["enrolled"]:
        yield "not enrolled: run certline-follower enroll with a token"
    yield f"master last heard: {shown['last_contact'] or 'never'}; generation: {shown['generation'] or 'none'}"
    for line in shown["lines"]:
        version = f"version {line['installed']}" if line["installed"] else "no version"
        until = f", valid until {line['not_after']}" if line["not_after"] else ""
        names = f" ({', '.join(map(display, line['names']))})" if line["names"] else ""
        yield f"{line['line']}{names}: {line['standing']}, {version}{until}{_offer(line)}"
        if line.get("version"):
            again = f"; next try at {line['retry_at']}" if line["retry_at"] else ""
            why = f": {one_line(line['held_back'])}" if line["held_back"] else ""
            goal = "" if line["state"] == line["goal"] else f", to be {line['goal']}"
            yield f"  version {line['version']} is {line['state']}{goal}{why}{again}"
            yield from (f"  seen at {where}: {fingerprint[:16]}" for where, fingerprint in line["seen"].items())
        if line["error"] and line["error"] != line.get("held_back"):
            yield f"  {one_line(line['error'])}"
    for service, why in shown["services_owed"].items():
        yield f"service {service} is owed a reload: {one_line(why)}"
    ahead = shown["clock_ahead"]
    if ahead is not None and abs(ahead) > WRONG:
        yield f"this host's clock is {abs(ahead)} s {'ahead of' if ahead > 0 else 'behind'} the master's"
    yield from shown["notes"]


def _offer(line: Shown) -> str:
    if line["wanted"] in (None, line["installed"]):
        return ""
    until = f", valid until {line['wanted_not_after']}" if line["wanted_not_after"] else ""
    return f"; the master offers version {line['wanted']}{until}"


def one_line(text: str) -> str:
    """A text with its control characters and line ends spelt as spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def settings_data(settings: Any) -> Shown:
    """The settings as plain data; dataclasses as objects, paths as text."""
    return {name: _plain(getattr(settings, name)) for name in settings.__dataclass_fields__}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return settings_data(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)
