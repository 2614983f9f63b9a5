"""The commands that talk to the master; imported only when one of them runs."""

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from certline_follower import control, daemon, deploying, opening, settings, syncing
from certline_follower.ending import AWAY, BUSY, CHANGED, NOTHING, USAGE, Failed, show
from certline_follower.host import Host
from certline_follower.lock import RunLock
from certline_follower.planning import Step, words
from certline_follower.recovering import recover
from certline_follower.settings import Settings
from certline_follower.showing import one_line
from certline_follower.turn import Outcome, preview
from certline_follower.wishes import is_upkeep
from certline_shared import logs
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock


@contextmanager
def only_run(loaded: Settings, *, wait: bool) -> Iterator[None]:
    """The one run at a time."""
    loaded.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with RunLock(loaded.state_dir) as lock:
        if not lock.acquire(wait):
            advice = "stop it if it is the daemon, else wait (sync --wait does)"
            raise Failed(f"another run is active in {loaded.state_dir}: {advice}", BUSY)
        yield


def run(options: argparse.Namespace, file: Path) -> int:
    """The daemon."""
    logs.set_up(sys.stderr, style="plain" if sys.stderr.isatty() else "json")
    signals = daemon.Signals()
    signals.listen()
    with only_run(settings.load(file), wait=False):
        daemon.run(lambda: open_host(settings.load(file), options), signals)
    return NOTHING


def open_host(loaded: Settings, options: argparse.Namespace | None = None, *, read_only: bool = False) -> Host:
    found = getattr(options, "passphrase_file", None)
    passphrases = Path(found) if found else None
    return opening.open_host(loaded, SystemClock(), SystemChance(), read_only=read_only, passphrase_file=passphrases)


def sync(options: argparse.Namespace, file: Path) -> int:
    """One run; silent when there was nothing to do."""
    loaded = settings.load(file)
    if options.splay:
        SystemClock().pause(SystemChance().uniform(*options.splay), threading.Event())
    with only_run(loaded, wait=options.wait):
        host = open_host(loaded, options)
        host.quiet = options.no_hooks
        with closing(host.client):
            synced = syncing.sync(host, options.timeout)
    return _told(options, synced)


def deploy(options: argparse.Namespace, file: Path) -> int:
    """By the running daemon where there is one, else here."""
    loaded = settings.load(file)
    lines = tuple(dict.fromkeys(options.line))
    unknown = [name for name in lines if name not in {line.name for line in loaded.lines}]
    if unknown:
        known = ", ".join(line.name for line in loaded.lines) or "none"
        raise Failed(f"no line {unknown[0]!r} in {loaded.file} (lines there: {known})", USAGE)
    try:
        data = control.ask(loaded.state_dir, lines, options.timeout)
    except TimeoutError:
        raise Failed(
            f"the daemon did not end it within {options.timeout:g} s: see certline-follower status", 4
        ) from None
    if data is None:
        with only_run(loaded, wait=False):
            host = open_host(loaded, options)
            with closing(host.client):
                notes = recover(host)
                data = deploying.deployed(host, lines)
                data["notes"] = [*notes, *data["notes"]]
    return _deployed(options, data)


def _deployed(options: argparse.Namespace, data: dict[str, Any]) -> int:
    lines = data.get("lines", {})
    show(options, data, [one_line(f"{name}: {_standing(one)}") for name, one in lines.items()])
    for trouble in filter(None, dict.fromkeys([data.get("away"), *data["failures"], *data.get("notes", ())])):
        print(f"certline-follower: {one_line(trouble)}", file=sys.stderr)  # noqa: T201 this is the command line
    return int(data["exit_code"])


def _standing(line: dict[str, Any]) -> str:
    if line["version"] is None:
        return "no version yet"
    goal = "" if line["state"] == line["goal"] else f", not yet {line['goal']}"
    again = f"; tried again at {line['retry_at']}" if line["retry_at"] else ""
    return f"version {line['version']} is {line['state']}{goal}{again}"


def _told(options: argparse.Namespace, synced: syncing.Synced) -> int:
    code = synced.exit_code
    if code == CHANGED and options.changed_is_zero:
        code = NOTHING
    done = [step for step in synced.done if words(step) not in ("report", "prune") and not is_upkeep(step)]
    data = {
        "changed": synced.changed,
        "done": [step_data(step) for step in synced.done],
        "failures": synced.failures,
        "warnings": synced.warnings,
        "notes": [*synced.notes, *synced.last.notes],
        "away": str(synced.last.away) if synced.last.away else None,
        "exit_code": code,
    }
    if options.output == "json" or done:
        show(options, data, [step_text(step) for step in done])
    for trouble in _troubles(synced.last, synced.failures, [*synced.warnings, *synced.notes, *synced.last.notes]):
        print(f"certline-follower: {one_line(trouble)}", file=sys.stderr)  # noqa: T201 this is the command line
    return code


def _troubles(last: Outcome, failures: list[str], notes: list[str]) -> list[str]:
    away = [str(last.away)] if last.away else []
    return list(dict.fromkeys([*away, *failures, *notes]))


def step_text(step: Step) -> str:
    """A step in one line."""
    return one_line(f"{words(step)}: {step.reason}")


def step_data(step: Step) -> dict[str, object]:
    """The same for scripts."""
    named = {name: getattr(step, name) for name in ("line", "service", "changed") if hasattr(step, name)}
    return {"step": type(step).__name__.lower(), **named, "text": words(step), "reason": step.reason}


def plan(options: argparse.Namespace, file: Path) -> int:
    """Ask the master and show; nothing is written."""
    host = open_host(settings.load(file), read_only=True)
    with closing(host.client):
        notes = recover(host)
        planned, away = preview(host)
    notes += [*planned.notes, *([str(away)] if away else [])]
    look = planned.next_look.isoformat() if planned.next_look else None
    data = {"steps": [step_data(step) for step in planned.steps], "notes": notes, "next_look": look}
    lines = [step_text(step) for step in planned.steps] or ["nothing to do"]
    show(options, data, [*lines, *(f"note: {one_line(note)}" for note in notes)])
    return AWAY if away else NOTHING
