"""The commands `renew` and `rollover`."""

import argparse
from contextlib import closing
from pathlib import Path
from typing import Any

from certline_follower import asking, commands, control, settings
from certline_follower.ending import FAILED, REFUSED, USAGE, Failed, show
from certline_follower.settings import Settings
from certline_follower.showing import one_line


def command(options: argparse.Namespace, file: Path, what: str) -> int:
    """By the running daemon where there is one, which goes on with it at once; else here, for the next run."""
    loaded = settings.load(file)
    _check(loaded, options.line, what)
    try:
        data = control.ask(loaded.state_dir, (options.line,), options.timeout, what)
    except TimeoutError:
        raise Failed(f"the daemon did not answer within {options.timeout:g} s: see its log", FAILED) from None
    goes_on = data is not None
    if data is None:
        data = _here(options, loaded, what)
    if data["failures"] or data.get("asked") != what:
        why = data["failures"] or ["the running follower is older than this command: restart it"]
        raise Failed(why[0], int(data["exit_code"]) or FAILED)
    after = "the daemon goes on" if goes_on else "the next run gets it: certline-follower sync"
    show(options, data, [one_line(f"{options.line}: {data['standing']}"), after])
    return int(data["exit_code"])


def _check(loaded: Settings, name: str, what: str) -> None:
    line = next((one for one in loaded.lines if one.name == name), None)
    if line is None:
        known = ", ".join(one.name for one in loaded.lines) or "none"
        raise Failed(f"no line {name!r} in {loaded.file} (lines there: {known})", USAGE)
    if what == asking.ROLLOVER and line.key_file is not None:
        raise Failed(f"the key of line {name} is made elsewhere: put another into {line.key_file}", REFUSED)


def _here(options: argparse.Namespace, loaded: Settings, what: str) -> dict[str, Any]:
    with commands.only_run(loaded, wait=False):
        host = commands.open_host(loaded, options)
        with closing(host.client):
            return asking.asked(host, what, (options.line,))
