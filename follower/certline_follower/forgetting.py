"""`forget LINE`: nothing of a line that left the file stays on this host, kept generations included."""

import argparse
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from certline_follower import copies, opening, settings
from certline_follower.commands import only_run
from certline_follower.ending import NOTHING, REFUSED, USAGE, Failed, show
from certline_follower.host import Host
from certline_follower.recovering import recover
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
            known = options.line in host.state.lines or any(host.material.keys.found(options.line).values())
            gone = forget(host, options.line)
    data = {"line": options.line, "generations": gone, "changed": known or bool(gone)}
    removed = f"; generations removed: {', '.join(map(str, gone))}" if gone else ""
    there = f"line {options.line} is forgotten{removed}"
    show(options, data, [there if data["changed"] else f"nothing of line {options.line} is here"])
    return NOTHING


def forget(host: Host, line: str) -> list[int]:
    """The generations that were removed for it; the master is told with the next report.

    Raises Failed for a line that the file has or that is live, or whose key from the master lies where an output put
    it; InstallFault, OSError, StateError.
    """
    if any(one.name == line for one in host.settings.lines):
        raise Failed(f"line {line} is in {host.settings.file}: take it out there first", REFUSED)
    if host.state.installed(line) is not None:
        raise Failed(f"line {line} is still in what is live here: run sync first, so that it leaves", REFUSED)
    left = [str(one.path) for one in host.installer.leftovers() if one.line == line]
    if left:
        listed = ", ".join(left)
        raise Failed(f"the key of line {line} is still in {listed}: remove that first, then forget the line", REFUSED)
    gone = host.installer.discard_with(line)
    host.material.forget(line)
    state = copies.counted(host)
    former = None if state.former and state.former.generation in gone else state.former
    lines = {name: held for name, held in state.lines.items() if name != line}
    host.save(replace(state, former=former, lines=lines))
    return gone
