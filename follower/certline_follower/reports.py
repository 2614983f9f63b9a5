"""How far each version has come on this host, for the master's eyes. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

from certline_follower.choosing import live_part, superseded
from certline_follower.service_settings import Service
from certline_follower.settings import LineSettings, Settings
from certline_follower.state import Debt, Retry, State, VersionRef, Wait
from certline_shared import codec
from certline_shared.messages import DeploymentReport

if TYPE_CHECKING:  # `status` reads no manifest, and needs no cryptography
    from certline_shared.manifest import Manifest

MOST_BYTES = 32_768  # of deployments in one report: half of what the master takes
SKEW_NEWS = 30  # seconds by which a clock's error must change to be told again


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the master how far each version is."""

    deployments: tuple[DeploymentReport, ...]
    reason: str
    copies: dict[str, tuple[str, ...]] | None = None  # keys from the master that are here, if that is news
    skew: int | None = None  # seconds, if that is news


def goal_of(settings: Settings, line: LineSettings) -> str:
    """The last step that this host has configured for the line."""
    if any(service.targets(line.name) for service in _used(settings, line)):
        return "served"
    return "reloaded" if line.services else "installed"


def unseen(settings: Settings, line: LineSettings, state: State) -> tuple[str, ...]:
    """The services at which what is installed of the line should be seen and was not yet."""
    probed, installed = state.line(line.name).probed, state.installed(line.name)
    wanted = [service for service in _used(settings, line) if installed and service.targets(line.name)]
    marks = {service.name: probe_mark(service, line.name, state) for service in wanted}
    right = {
        name for name, mark in marks.items() if name in probed and probed[name].right and probed[name].mark == mark
    }
    return tuple(name for name in marks if name not in right)


def probe_mark(service: Service, line: str, state: State) -> str:
    """What tells one thing to look for from another: what is installed of the line, and where it is looked for."""
    shown = live_part(state.live.tags.get(line)) or "" if state.live else ""
    return hashlib.sha256(f"{shown}\n{service.targets(line)!r}".encode()).hexdigest()[:16]


def deployment(
    settings: Settings, line: LineSettings, state: State, offered: int | None, wait: Wait | None
) -> DeploymentReport | None:
    """How far the line has come here; what holds the next version back, if something does. None: nowhere yet."""
    held, installed, goal = state.line(line.name), state.installed(line.name), goal_of(settings, line)

    def pulled(version: VersionRef, error: str | None, retry_at: str | None) -> DeploymentReport:
        return DeploymentReport(line.name, version.number, "pulled", error, goal=goal, retry_at=retry_at)

    back = held.held_back
    if back and not back.version.same(installed) and not superseded(back.version, offered):
        return pulled(back.version, back.retry.error, back.retry.due)
    if held.pulled and not held.pulled.same(installed) and not superseded(held.pulled, offered):
        if wait is not None:
            return pulled(held.pulled, None, wait.until)
        retry = _first(state.failed.values())
        return pulled(held.pulled, retry.error if retry else None, retry.due if retry else None)
    if installed is None:
        return None
    return _standing(settings, line, state, DeploymentReport(line.name, installed.number, "installed", goal=goal))


def _staged(
    settings: Settings, line: LineSettings, state: State, manifest: "Manifest | None"
) -> DeploymentReport | None:
    """That the version is here which is to take the live one's place."""
    here = state.line(line.name).staged
    offered = {one.name: one.staged for one in manifest.lines} if manifest else {}
    wanted = offered.get(line.name)
    if here is None or wanted is None or here.version.number != wanted.number:
        return None
    return DeploymentReport(line.name, wanted.number, "staged", goal=goal_of(settings, line))


def _standing(settings: Settings, line: LineSettings, state: State, told: DeploymentReport) -> DeploymentReport:
    """Of what is installed."""
    probed = state.line(line.name).probed
    owed = [state.debts[name] for name in line.services if name in state.debts]
    owed = [debt for debt in owed if line.name in debt.lines]
    hooks = [retry for one in state.happenings.values() if one.line == line.name for retry in one.failed.values()]
    retry = _first([*hooks, *(debt.retry for debt in owed if debt.retry)])
    seen = {
        where: shown
        for service in _used(settings, line)
        if (one := probed.get(service.name)) and one.mark == probe_mark(service, line.name, state)
        for where, shown in one.seen.items()
    }
    done = _done(line, owed, served=told.goal == "served" and not unseen(settings, line, state))
    error, due = (retry.error, retry.due) if retry else (None, None)
    return replace(told, state=done, error=error, retry_at=due, seen=seen)


def _first_of(news: tuple[DeploymentReport, ...]) -> tuple[DeploymentReport, ...]:
    """As many as one request takes, one at least; the others are the next report's."""
    sizes = accumulate(len(codec.write(one)) for one in news)
    return tuple(one for at, (one, size) in enumerate(zip(news, sizes, strict=True)) if at == 0 or size <= MOST_BYTES)


def _done(line: LineSettings, owed: Sequence[Debt], *, served: bool) -> str:
    if not line.services or not all(debt.reloaded for debt in owed):
        return "installed"
    return "served" if served and not owed else "reloaded"


def _first(retries: Iterable[Retry]) -> Retry | None:
    return min(retries, key=lambda retry: retry.due, default=None)


def _used(settings: Settings, line: LineSettings) -> list[Service]:
    return [settings.services[name] for name in line.services if name in settings.services]


def report_of(
    settings: Settings, state: State, manifest: "Manifest | None", waits: Mapping[str, Wait], skew: int | None
) -> tuple[Report, ...]:
    """What the master was not told yet, if anything."""
    offered = {line.name: line.version for line in manifest.lines} if manifest else {}
    known = [line for line in settings.lines if line.name in offered or state.line(line.name).pulled]
    now = [deployment(settings, line, state, offered.get(line.name), waits.get(line.name)) for line in known]
    told = tuple(one for one in now if one and one != state.line(one.line).reported)
    ahead = [_staged(settings, line, state, manifest) for line in known]
    news = _first_of((*told, *(one for one in ahead if one and one != state.line(one.line).told_staged)))
    words = [f"{one.line} version {one.version}: {one.state}{' with an error' if one.error else ''}" for one in news]
    copies = None if state.copies == state.told_copies else state.copies
    if copies or (copies is not None and state.told_copies):
        words.append("the keys from the master that are here")
    if skew is not None and (state.skew is None or abs(skew - state.skew) > SKEW_NEWS):
        words.append("how far this host's clock is off")
    else:
        skew = None
    return (Report(news, ", ".join(words), copies, skew),) if words else ()
