"""`forget LINE`: nothing of a line that left the file stays on this host, kept generations included."""

import argparse
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from certline_follower import copies, opening, settings
from certline_follower.commands import only_run
from certline_follower.ending import NOTHING, REFUSED, USAGE, Failed, show
from certline_follower.host import Host
from certline_follower.turn import recover
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.names import BadName, check_object_name


def command(options: argparse.Namespace, file: Path) -> int:
    """Forget it, and say what went."""
    try:
        check_object_name(options.line, "line")  # it becomes part of a path
    except BadName as error:
        raise Failed(str(error), USAGE) from None
    loaded = settings.load(file)
    with only_run(loaded, wait=False):
        host = opening.open_host(loaded, SystemClock(), SystemChance())
        with closing(host.client):
            recover(host)
            gone = forget(host, options.line)
    data = {"line": options.line, "generations": gone, "changed": bool(gone)}
    listed = ", ".join(map(str, gone))
    show(options, data, [f"line {options.line} is forgotten" + (f"; generations removed: {listed}" if gone else "")])
    return NOTHING


def forget(host: Host, line: str) -> list[int]:
    """The generations that were removed for it; the master is told with the next report.

    Raises Failed for a line that the file has or that is live; InstallFault, OSError, StateError.
    """
    if any(one.name == line for one in host.settings.lines):
        raise Failed(f"line {line} is in {host.settings.file}: take it out there first", REFUSED)
    if host.state.installed(line) is not None:
        raise Failed(f"line {line} is still in what is live here: run sync first, so that it leaves", REFUSED)
    gone = host.installer.discard_with(line)
    host.material.forget(line)
    state = copies.counted(host)
    former = None if state.former and state.former.generation in gone else state.former
    lines = {name: held for name, held in state.lines.items() if name != line}
    host.save(replace(state, former=former, lines=lines))
    return gone
