"""`certline line rehearse`: each host of a line tries all that a new version makes it do, with a test certificate."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from certline_master.cli import line_versions
from certline_master.cli.asking import Asked, asks_master, columns
from certline_master.cli.client import AdminClient
from certline_master.cli.failures import FAILED, REFUSED, WRONG, CommandFailed
from certline_master.cli.lines import line, safe
from certline_shared.clock import SystemClock

__all__ = ["line", "line_versions"]  # with the commands that it adds to `line`

LOOK_SECONDS = 0.5
_ENDED = ("rehearsal.passed", "rehearsal.failed")


@dataclass(frozen=True, slots=True)
class _Row:
    """How a rehearsal of a line on a host ended; `well` None: not yet."""

    line: str
    follower: str
    well: bool | None
    text: str


@line.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help="All lines.")
@click.option("--timeout", type=click.FloatRange(0, 86_400), default=600, show_default=True, help="Seconds to wait.")
@asks_master
def rehearse(asked: Asked, names: tuple[str, ...], *, everything: bool, timeout: float) -> None:
    """Have all hosts of these lines rehearse them, and show how that ended.

    The certificates are those of the issuer that has `test_of`; what is in use is not touched. Exit 4 when one failed
    or did not end in time.
    """
    if bool(names) == everything:
        raise CommandFailed("name the lines to rehearse, or give --all", WRONG)
    chosen = names or tuple(one["name"] for one in asked.client.get("/v1/lines"))
    begun, refused = _begun(asked.client, chosen)
    rows = [*_watched(asked.client, begun, timeout), *refused]
    asked.show([_data(row) for row in rows], columns([_cells(row) for row in rows]) if rows else ["no line"])
    if not all(row.well for row in rows):
        raise CommandFailed("not all rehearsals went well", FAILED)


def _begun(client: AdminClient, names: Sequence[str]) -> tuple[list[dict[str, Any]], list[_Row]]:
    """One that cannot be rehearsed does not hold back the others; one alone is refused."""
    begun, refused = [], []
    for name in names:
        try:
            begun.append(client.post(f"/v1/lines/{safe(name)}/rehearse", {}))
        except CommandFailed as failed:
            if failed.code != REFUSED or len(names) == 1:
                raise
            refused.append(_Row(name, "-", False, str(failed)))
    return begun, refused


def _watched(client: AdminClient, begun: Sequence[dict[str, Any]], seconds: float) -> list[_Row]:
    clock, never = SystemClock(), threading.Event()
    deadline = clock.monotonic() + seconds
    while True:
        rows = [row for one in begun for row in _rows(client, one)]
        if all(row.well is not None for row in rows) or clock.monotonic() > deadline:
            return rows
        clock.pause(LOOK_SECONDS, never)


def _rows(client: AdminClient, begun: dict[str, Any]) -> Iterator[_Row]:
    asked = {"subject": f"line:{begun['line']}", "after": begun["after"], "limit": 1000, "newest_first": "false"}
    found = [event for event in client.get("/v1/events", asked) if event["kind"] in _ENDED]
    ended = {event["data"]["follower"]: event for event in found}
    for follower in begun["followers"]:
        event = ended.get(follower)
        well = None if event is None else event["kind"] == _ENDED[0]
        yield _Row(begun["line"], follower, well, event["text"] if event else "its host has not told how it ended")


def _cells(row: _Row) -> tuple[str, ...]:
    said = {True: "well", False: "failed", None: "not ended"}[row.well]
    return row.line, row.follower, said, row.text


def _data(row: _Row) -> dict[str, Any]:
    return {"line": row.line, "follower": row.follower, "well": row.well, "text": row.text}
