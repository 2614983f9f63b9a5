"""Which pauses end before their time: all when somebody asks, else those of what changed in the settings. Pure."""

import hashlib
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from certline_follower.settings import Settings
from certline_follower.state import HeldLine, Retry, State
from certline_shared.messages import time_text

_LONG_AGO = time_text(datetime(1970, 1, 1, tzinfo=UTC))  # come by any clock, be it ahead or behind


def all_ended(state: State) -> State:
    """Everything that failed or was refused is due; what is blamed for a failure is not (see asked_for)."""
    lines = {name: _refusal_due(_version_due(line, blamed=False)) for name, line in state.lines.items()}
    return _all_due(replace(state, lines=lines), set(state.debts), blamed=False)


def asked_for(state: State, names: Collection[str]) -> State:
    """What an operator wants tried now for these lines: versions held back, installations and reloads that failed."""
    lines = {name: _version_due(line) if name in names else line for name, line in state.lines.items()}
    owed = {name for name, debt in state.debts.items() if set(debt.lines) & set(names)}
    return _all_due(replace(state, lines=lines), owed)


def ended_by_settings(state: State, settings: Settings) -> State:
    """The state under these settings: what failed under others is due, a wish that was refused is forgotten."""
    tags = _tags(settings)
    changed = {part for part in {*tags, *state.settings} if tags.get(part) != state.settings.get(part)}
    if not changed:
        return state
    lines = {
        name: _wish_forgotten(_version_due(line)) if f"line {name}" in changed else line
        for name, line in state.lines.items()
    }
    services = {name for name in state.debts if f"service {name}" in changed}
    return _all_due(replace(state, settings=tags, lines=lines), services)


def _all_due(state: State, services: set[str], *, blamed: bool = True) -> State:
    """The installations that failed, and the reloads of these services."""
    debts = {
        name: replace(debt, retry=_due(debt.retry)) if name in services and debt.retry else debt
        for name, debt in state.debts.items()
    }
    failed = {tag: _due(retry) if blamed or not retry.blamed else retry for tag, retry in state.failed.items()}
    told = {
        key: replace(one, failed={tag: _due(retry) for tag, retry in one.failed.items()}) if one.failed else one
        for key, one in state.happenings.items()
    }
    return replace(state, debts=debts, failed=failed, happenings=told)


def _tags(settings: Settings) -> dict[str, str]:
    """What tells one way of writing each part from another; a line has its services' commands in it."""
    services = {name: repr(service) for name, service in settings.services.items()}
    parts = {f"service {name}": text for name, text in services.items()} | {"hooks": repr(settings.hooks)}
    for line in settings.lines:
        parts[f"line {line.name}"] = f"{line!r} {[services[name] for name in line.services]}"
    return {part: hashlib.sha256(text.encode()).hexdigest()[:16] for part, text in parts.items()}


def _version_due(line: HeldLine, *, blamed: bool = True) -> HeldLine:
    held = line.held_back
    if held is None or (held.retry.blamed and not blamed):
        return line
    return replace(line, held_back=replace(held, retry=_due(held.retry)))


def _refusal_due(line: HeldLine) -> HeldLine:
    refusal = line.refusal
    return replace(line, refusal=replace(refusal, retry=_due(refusal.retry))) if refusal else line


def _wish_forgotten(line: HeldLine) -> HeldLine:
    """With what was asked before it, or a return to that would not be asked again."""
    return replace(line, asked=None, refusal=None) if line.refusal else line


def _due(retry: Retry) -> Retry:
    return replace(retry, due=_LONG_AGO)
