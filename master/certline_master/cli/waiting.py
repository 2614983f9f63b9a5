"""Waiting for a line's next version, with a progress line on a terminal."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from certline_master.cli.client import AdminClient
from certline_master.cli.failures import FAILED, CommandFailed, one_line
from certline_shared.clock import Clock, SystemClock

LOOK_SECONDS = 0.5


def wait_for_version(
    client: AdminClient,
    route: str,
    before: dict[str, Any],
    *,
    force: bool,
    seconds: float,
    clock: Clock | None = None,
) -> dict[str, Any] | None:
    """The line's next version, live or staged; None when none is due. Raises CommandFailed: failed, or time is up."""
    clock = clock or SystemClock()
    deadline, never = clock.monotonic() + seconds, threading.Event()
    former = max((version["number"] for version in before["versions"]), default=0)
    with _progress() as tell:
        while True:
            found = client.get(route)
            version = next((one for one in found["versions"] if one["number"] > former), None)
            if version and version["state"] in {"live", "staged"}:
                return dict(version)
            if version and version["failure"]:
                raise CommandFailed(f"version {version['number']} failed: {version['failure']['detail']}", FAILED)
            if not version and not force and _is_settled(found):
                return None
            tell(_standing(found))
            if clock.monotonic() > deadline:
                raise CommandFailed(f"not issued within {seconds:g} s: {_standing(found)}", FAILED)
            clock.pause(LOOK_SECONDS, never)


def _is_settled(found: dict[str, Any]) -> bool:
    """The master watches what is live and sees no reason to issue."""
    line = found["line"]
    return line["version"] is not None and line["standing"].startswith(f"version {line['version']} is live")


def _standing(found: dict[str, Any]) -> str:
    orders = [order for order in found["orders"] if order["state"] not in ("issued", "failed")]
    if not orders:
        return str(found["line"]["standing"])
    waiting = orders[0]["waiting"]
    return f"order {orders[0]['state']}" + (f": {waiting}" if waiting else "")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What to tell the progress line; off a terminal nothing is shown."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status("asking the master") as spinner:
        yield lambda text: spinner.update(Text(one_line(text)))
