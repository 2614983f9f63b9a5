"""The command `rehearse`, which is `sync --test` too."""

import argparse
import sys
from pathlib import Path

from certline_follower import rehearsing, settings
from certline_follower.ending import BUSY, FAILED, NOTHING, USAGE, Failed, show
from certline_follower.rehearsal_settings import folder_of
from certline_follower.rehearsing import LineResult, Result
from certline_follower.settings import Settings
from certline_follower.showing import one_line
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock


def command(options: argparse.Namespace, file: Path) -> int:
    """Rehearse lines, all where none is named; 0 where everything went well."""
    loaded = settings.load(file)
    lines = _lines(options, loaded)
    with rehearsing.prepared(loaded, lines, SystemClock(), SystemChance(), passphrases(options)) as host:
        if host is None:
            raise Failed(f"another rehearsal is under way in {folder_of(loaded)}: wait for its end", BUSY)
        result = rehearsing.rehearse(host, options.timeout)
    _shown(options, result)
    return NOTHING if result.well else FAILED


def passphrases(options: argparse.Namespace) -> Path | None:
    return Path(options.passphrase_file) if options.passphrase_file else None


def _lines(options: argparse.Namespace, loaded: Settings) -> tuple[str, ...]:
    known = tuple(line.name for line in loaded.lines)
    unknown = [name for name in getattr(options, "line", ()) if name not in known]
    if unknown or not known:
        named = ", ".join(known) or "none"
        what = f"no line {unknown[0]!r}" if unknown else "no line"
        raise Failed(f"{what} in {loaded.file} (lines there: {named})", USAGE)
    return tuple(getattr(options, "line", ())) or known


def _shown(options: argparse.Namespace, result: Result) -> None:
    width = max(len(one.line) for one in result.lines)
    table = [one_line(f"{one.line:<{width}}  {_ended(one)}") for one in result.lines]
    ran = [one_line(f"ran: {', '.join(result.ran)}")] if result.ran else []
    show(options, _data(result), [*table, *ran, f"files: {result.files}"])
    for trouble in result.troubles:
        print(f"certline-follower: {one_line(trouble)}", file=sys.stderr)  # noqa: T201 this is the command line


def _ended(one: LineResult) -> str:
    if one.well:
        return f"well: {one.state}"
    so_far = f"{one.state}, not {one.goal}" if one.state else "not installed"
    return f"failed: {so_far}{f': {one.error}' if one.error else ''}"


def _data(result: Result) -> dict[str, object]:
    return {
        "well": result.well,
        "lines": {
            one.line: {
                "well": one.well, "state": one.state, "goal": one.goal, "error": one.error, "seen": dict(one.seen),
            }
            for one in result.lines
        },
        "troubles": list(result.troubles),
        "ran": list(result.ran),
        "files": str(result.files),
        "exit_code": NOTHING if result.well else FAILED,
    }  # fmt: skip
