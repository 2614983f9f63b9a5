"""`certline event`: the audit records."""

import json
import re
import threading
from contextlib import suppress
from typing import Any

import click

from certline_master.cli.asking import Asked, asks_master, many, shown_time
from certline_master.cli.failures import REFUSED, WRONG, CommandFailed, one_line
from certline_shared.clock import SystemClock

PAGE = 1000
FOLLOW_EVERY = 2.0  # seconds


@click.group()
def event() -> None:
    """Audit records."""


@event.command("list")
@click.option("--subject", metavar="KIND:NAME", help="Only of this, as line:shop or follower:web-1.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--follow", is_flag=True, help="Go on showing records as they come, until interrupted.")
@asks_master
def list_(asked: Asked, subject: str | None, limit: int, *, follow: bool) -> None:
    """List what happened, newest first; with --follow oldest first."""
    params = _of(subject)
    found = asked.client.get("/v1/events", {"limit": limit, **params})
    if not follow:
        asked.show(found, event_rows(found))
        return
    found.reverse()
    with suppress(KeyboardInterrupt):
        _follow(asked, found, params)


def _follow(asked: Asked, found: list[dict[str, Any]], params: dict[str, str]) -> None:
    clock, never = SystemClock(), threading.Event()
    last = 0
    while True:
        for one in found:
            click.echo(_as_line(one) if asked.output == "json" else event_rows([one])[0])
            last = max(last, one["id"])
        if len(found) < PAGE:
            clock.pause(FOLLOW_EVERY, never)
        found = _page(asked, last, params)


@event.command("export")
@click.option("--subject", metavar="KIND:NAME", help="Only of this, as line:shop or follower:web-1.")
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="ID", help="Only records with a higher id.")
@asks_master
def export(asked: Asked, subject: str | None, after: int) -> None:
    """Write records to standard output as JSON, one a line, the oldest first."""
    params = _of(subject)
    while found := _page(asked, after, params):
        for one in found:
            click.echo(_as_line(one))
        after = found[-1]["id"]


@event.command("verify")
@asks_master
def verify(asked: Asked) -> None:
    """Check that no record was changed, removed or put in between.

    Exit codes: 0 all is as it was written; 3 it is not, and the problems are listed.
    """
    found = asked.client.get("/v1/events/verify")
    asked.show(found, verdict_lines(found))
    if found["problems"]:
        raise click.exceptions.Exit(REFUSED)


def verdict_lines(found: dict[str, Any]) -> list[str]:
    """The verdict in words."""
    sealed = f"sealed {many(found['seals'], 'time')}, last {shown_time(found['sealed_at'])}" if found["seals"] else ""
    lines = [
        f"{many(found['events'], 'record')} in {many(found['chains'], 'chain')}; {sealed or 'not sealed yet'}",
        f"{many(found['unsealed'], 'record')} since then",
    ]
    if found["unchained"]:
        lines.append(f"{many(found['unchained'], 'record')} from before records were chained: these cannot be checked")
    return [*lines, *(f"PROBLEM: {problem}" for problem in found["problems"] or ())] + (
        [] if found["problems"] else ["nothing was changed or removed"]
    )


def _of(subject: str | None) -> dict[str, str]:
    if subject and not re.fullmatch(r"[a-z-]+:.+", subject):
        raise CommandFailed(f"--subject {subject}: write KIND:NAME, as line:shop or follower:web-1", WRONG)
    return {"subject": subject} if subject else {}


def _page(asked: Asked, after: int, params: dict[str, str]) -> list[dict[str, Any]]:
    wanted: dict[str, str | int] = {"after": after, "limit": PAGE, "newest_first": "false", **params}
    found: list[dict[str, Any]] = asked.client.get("/v1/events", wanted)
    return found


def _as_line(one: dict[str, Any]) -> str:
    return json.dumps(one, sort_keys=True, ensure_ascii=False)


def event_rows(events: list[dict[str, Any]]) -> list[str]:
    """One line for each record."""
    return [
        one_line(f"{shown_time(one['at'])}  {one['kind']}  {one['subject']}  {one['text']}  ({one['actor']})")
        for one in events
    ]
