"""The commands that talk to the master; imported only when one of them runs."""

import argparse
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from certline_follower import daemon, opening, settings, syncing
from certline_follower.ending import AWAY, BUSY, CHANGED, NOTHING, USAGE, Failed, show
from certline_follower.host import Host
from certline_follower.lock import RunLock
from certline_follower.master_client import AGENT, Credentials, MasterClient
from certline_follower.planning import Step, words
from certline_follower.settings import Settings
from certline_follower.showing import one_line
from certline_follower.turn import Outcome, preview, recover
from certline_shared import logs
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock

MOST_TOKEN = 8_192  # characters


def enroll(options: argparse.Namespace, file: Path) -> int:
    """Read the token, make the keys, ask the master, save the identity."""
    from certline_follower.enrolment import enrol
    from certline_shared import enrolment

    loaded = settings.load(file)
    text = enrolment.from_text(_token(options.token_file))
    context = opening.tls(text.trust, text.tls_pins, loaded.trust_ca_file)
    chance, clock = SystemChance(), SystemClock()

    with only_run(loaded, wait=False), ExitStack() as open_clients:

        def connect(keyid: str, key: bytes) -> MasterClient:
            client = MasterClient(text.origin, context, Credentials(keyid, key, ()), clock=clock, chance=chance)
            return open_clients.enter_context(closing(client))

        made = enrol(
            text,
            loaded.state_dir,
            connect=connect,
            clock=clock,
            chance=chance,
            agent=AGENT,
            replace=options.replace,
        )
    data = {"follower": made.follower, "follower_id": made.follower_id, "origin": made.origin}
    show(options, data, [f"enrolled with {made.origin} as {made.follower}"])
    return NOTHING


def _token(source: str) -> str:
    """From a file or standard input, never from an argument (the process list shows those)."""
    if source == "-":
        if sys.stdin.isatty():
            print("paste the enrolment string, then Ctrl-D:", file=sys.stderr)  # noqa: T201 this is the command line
        return sys.stdin.read(MOST_TOKEN)
    try:
        with Path(source).open(encoding="utf-8", errors="replace") as file:
            return file.read(MOST_TOKEN)
    except OSError as error:
        raise Failed(f"--token-file {source}: {error.strerror}", USAGE) from None


@contextmanager
def only_run(loaded: Settings, *, wait: bool) -> Iterator[None]:
    """The one run at a time."""
    loaded.state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
    with RunLock(loaded.state_dir) as lock:
        if not lock.acquire(wait):
            raise Failed(f"another run is active in {loaded.state_dir}; sync waits for it with --wait", BUSY)
        yield


def run(_options: argparse.Namespace, file: Path) -> int:
    """The daemon."""
    logs.set_up(sys.stderr, style="plain" if sys.stderr.isatty() else "json")
    signals = daemon.Signals()
    signals.listen()
    with only_run(settings.load(file), wait=False):
        daemon.run(lambda: _open(settings.load(file)), signals)
    return NOTHING


def _open(loaded: Settings, *, read_only: bool = False) -> Host:
    return opening.open_host(loaded, SystemClock(), SystemChance(), read_only=read_only)


def sync(options: argparse.Namespace, file: Path) -> int:
    """One run; silent when there was nothing to do."""
    loaded = settings.load(file)
    if options.splay:
        SystemClock().pause(SystemChance().uniform(*options.splay), threading.Event())
    with only_run(loaded, wait=options.wait):
        host = _open(loaded)
        with closing(host.client):
            synced = syncing.sync(host, options.timeout)
    return _told(options, synced)


def _told(options: argparse.Namespace, synced: syncing.Synced) -> int:
    code = synced.exit_code
    if code == CHANGED and options.changed_is_zero:
        code = NOTHING
    done = [step for step in synced.done if words(step) not in ("report", "prune")]
    data = {
        "changed": synced.changed,
        "done": [step_data(step) for step in synced.done],
        "failures": synced.failures,
        "notes": [*synced.notes, *synced.last.notes],
        "away": str(synced.last.away) if synced.last.away else None,
        "exit_code": code,
    }
    if options.output == "json" or done:
        show(options, data, [step_text(step) for step in done])
    for trouble in _troubles(synced.last, synced.failures, [*synced.notes, *synced.last.notes]):
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
    host = _open(settings.load(file), read_only=True)
    with closing(host.client):
        notes = recover(host)
        planned, away = preview(host)
    notes += [*planned.notes, *([str(away)] if away else [])]
    look = planned.next_look.isoformat() if planned.next_look else None
    data = {"steps": [step_data(step) for step in planned.steps], "notes": notes, "next_look": look}
    lines = [step_text(step) for step in planned.steps] or ["nothing to do"]
    show(options, data, [*lines, *(f"note: {one_line(note)}" for note in notes)])
    return AWAY if away else NOTHING
