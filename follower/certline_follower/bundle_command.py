"""`apply-bundle`: a bundle from the master in, a receipt for it out; imported only when it runs."""

import argparse
import sys
from contextlib import closing
from pathlib import Path

from certline_follower import carried, settings
from certline_follower.carried import Applied
from certline_follower.commands import only_run, open_host, step_data, step_text
from certline_follower.ending import FAILED, NOTHING, REFUSED, USAGE, Failed, show
from certline_follower.planning import words
from certline_follower.private_files import write_private
from certline_follower.showing import one_line
from certline_shared import bundles


def apply_bundle(options: argparse.Namespace, file: Path) -> int:
    """Check it, use it, write the receipt."""
    loaded = settings.load(file)
    bundle = bundles.read_bundle(_read(options.file))
    with only_run(loaded, wait=False):
        host = open_host(loaded, options)
        with closing(host.client):
            applied = carried.apply(host, bundle)
    if options.receipt:
        _write(Path(options.receipt), applied.receipt)
    return _told(options, applied)


def _read(source: str) -> bytes:
    """Raises Failed."""
    most = bundles.MOST_BUNDLE_BYTES + 1
    try:
        if source == "-":
            return sys.stdin.buffer.read(most)
        with Path(source).open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise Failed(f"{source}: {error.strerror}", USAGE) from None


def _write(path: Path, receipt: bytes) -> None:
    """Raises Failed; the bundle is in use all the same, and applying it again makes another receipt."""
    try:
        write_private(path, receipt + b"\n")
    except OSError as error:
        text = f"the bundle was applied, but its receipt not written: {path}: {error.strerror}; apply it again"
        raise Failed(text, FAILED) from None


def _told(options: argparse.Namespace, applied: Applied) -> int:
    outcome = applied.outcome
    done = [step for step in outcome.done if words(step) not in ("report", "prune")]
    code = FAILED if outcome.failures or outcome.held_back else REFUSED if outcome.refused else NOTHING
    notes = [*outcome.warnings, *applied.notes, *outcome.notes, *_what_to_carry(options, applied)]
    data = {
        "changed": outcome.changed,
        "done": [step_data(step) for step in outcome.done],
        "failures": outcome.failures,
        "notes": notes,
        "wished": list(applied.wished),
        "receipt": options.receipt,
        "exit_code": code,
    }
    if options.output == "json" or done:
        show(options, data, [step_text(step) for step in done])
    for trouble in dict.fromkeys([*outcome.failures, *notes]):
        print(f"certline-follower: {one_line(trouble)}", file=sys.stderr)  # noqa: T201 this is the command line
    return code


def _what_to_carry(options: argparse.Namespace, applied: Applied) -> list[str]:
    if not applied.wished:
        return []
    names = ", ".join(applied.wished)
    if options.receipt:
        return [f"carry {options.receipt} to the master: it asks for {names} (certline bundle receipt FILE)"]
    return [f"the master must hear that this host asks for {names}: apply the bundle again with --receipt FILE"]
