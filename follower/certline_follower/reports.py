"""How far each version has come on this host, for the master's eyes. Pure."""

from dataclasses import dataclass

from certline_follower.settings import LineSettings, Settings
from certline_follower.state import State
from certline_shared.manifest import Manifest
from certline_shared.messages import DeploymentReport


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the master how far each version is."""

    deployments: tuple[DeploymentReport, ...]
    reason: str
    copies: dict[str, tuple[str, ...]] | None = None  # keys from the master that are here, if that is news


def deployment(line: LineSettings, state: State, manifest: Manifest | None) -> DeploymentReport | None:
    """How far the line has come here; what holds the next version back, if something does."""
    held, installed = state.line(line.name), state.installed(line.name)
    if held.held_back and not held.held_back.version.same(installed):
        back = held.held_back
        return DeploymentReport(line.name, back.version.number, "pulled", back.retry.error)
    if held.pulled and not held.pulled.same(installed):
        errors = [retry.error for retry in state.failed.values()]
        return DeploymentReport(line.name, held.pulled.number, "pulled", errors[0] if errors else None)
    if installed is None or not _offers(manifest, line.name):
        return None
    owed = [state.debts[service] for service in line.services if service in state.debts]
    owed = [debt for debt in owed if line.name in debt.lines]
    errors = [debt.retry.error for debt in owed if debt.retry]
    done = "reloaded" if line.services and not owed else "installed"
    return DeploymentReport(line.name, installed.number, done, errors[0] if errors else None)


def _offers(manifest: Manifest | None, name: str) -> bool:
    return manifest is not None and any(line.name == name for line in manifest.lines)


def report_of(settings: Settings, state: State, manifest: Manifest | None) -> tuple[Report, ...]:
    """What the master was not told yet, if anything."""
    now = [deployment(line, state, manifest) for line in settings.lines]
    news = tuple(one for one in now if one and one != state.line(one.line).reported)
    words = [f"{one.line} version {one.version}: {one.state}{' with an error' if one.error else ''}" for one in news]
    copies = None if state.copies == state.told_copies else state.copies
    if copies or (copies is not None and state.told_copies):
        words.append("the keys from the master that are here")
    elif not news:
        return ()
    return (Report(news, ", ".join(words), copies),)
