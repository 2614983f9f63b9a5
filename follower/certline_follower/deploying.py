"""`deploy`: check, reload and probe again, and try what is held back now, whatever its windows and pauses."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from certline_follower import pauses, planning, reports
from certline_follower.ending import AWAY, FAILED, NOTHING, USAGE
from certline_follower.host import Host
from certline_follower.state import Debt, State
from certline_follower.turn import Outcome, turn


def deployed(host: Host, names: Collection[str] = ()) -> dict[str, Any]:
    """Do it for these lines, or for all; what came of it, as `deploy` shows it. Raises StateError, InstallFault."""
    known = frozenset(line.name for line in host.settings.lines)
    if not known.issuperset(names):  # a daemon whose settings are older than the file
        listed = ", ".join(sorted(set(names) - known))
        why = f"the running follower does not know {listed} yet: have it read its settings anew (SIGHUP)"
        return {"failures": [why], "exit_code": USAGE}
    lines = frozenset(names) or known
    host.forced = lines
    try:
        host.save(_owing(host, pauses.asked_for(host.state, lines), lines))
        outcome = turn(host)
    finally:
        host.forced = frozenset()
    return _told(host, outcome, lines)


def _owing(host: Host, state: State, lines: Collection[str]) -> State:
    """All services of these lines are owed a check, a reload and a look, but where a newer version brings it anyhow."""
    live = state.live
    owed: dict[str, tuple[str, ...]] = {}
    for line in host.settings.lines:
        pulled, installed = state.line(line.name).pulled, state.installed(line.name)
        if line.name in lines and installed and (pulled is None or pulled.same(installed)):
            for service in line.services:
                owed[service] = (*owed.get(service, ()), line.name)
    debts = {name: Debt(live.generation if live else 0, named) for name, named in owed.items()}
    for name, debt in debts.items():
        former = state.debts.get(name)
        if former is not None:
            debts[name] = replace(former, lines=tuple(dict.fromkeys((*former.lines, *debt.lines))), retry=None)
    return replace(state, debts={**state.debts, **debts})


def _told(host: Host, outcome: Outcome, lines: Collection[str]) -> dict[str, Any]:
    states = dict(_states(host, lines))
    trouble = outcome.failures or any(one["error"] for one in states.values())
    return {
        "lines": states,
        "done": [{"text": planning.words(step), "reason": step.reason} for step in outcome.done],
        "failures": outcome.failures,
        "notes": [*outcome.warnings, *outcome.notes],
        "away": str(outcome.away) if outcome.away else None,
        "exit_code": FAILED if trouble else AWAY if outcome.away else NOTHING,
    }


def _states(host: Host, lines: Collection[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    offered = {line.name: line.version for line in host.manifest.lines} if host.manifest else {}
    for line in host.settings.lines:
        held = host.state.line(line.name)
        told = reports.deployment(host.settings, line, host.state, offered.get(line.name), held.wait)
        if line.name in lines:
            yield (
                line.name,
                {
                    "version": told.version if told else None,
                    "state": told.state if told else "wanted",
                    "goal": reports.goal_of(host.settings, line),
                    "error": told.error if told else None,
                    "retry_at": told.retry_at if told else None,
                    "seen": told.seen if told else {},
                },
            )
