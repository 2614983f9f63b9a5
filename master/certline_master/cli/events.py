"""`certline event`: the audit records."""

import re
from typing import Any

import click

from certline_master.cli.asking import Asked, asks_master, shown_time
from certline_master.cli.failures import WRONG, CommandFailed, one_line


@click.group()
def event() -> None:
    """Audit records."""


@event.command("list")
@click.option("--subject", metavar="KIND:NAME", help="Only of this, as line:shop or follower:web-1.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@asks_master
def list_(asked: Asked, subject: str | None, limit: int) -> None:
    """List what happened, newest first."""
    if subject and not re.fullmatch(r"[a-z]+:.+", subject):
        raise CommandFailed(f"--subject {subject}: write KIND:NAME, as line:shop or follower:web-1", WRONG)
    params: dict[str, str | int] = {"limit": limit} | ({"subject": subject} if subject else {})
    found = asked.client.get("/v1/events", params)
    asked.show(found, event_rows(found))


def event_rows(events: list[dict[str, Any]]) -> list[str]:
    """One line for each record."""
    return [
        one_line(f"{shown_time(one['at'])}  {one['kind']}  {one['subject']}  {one['text']}  ({one['actor']})")
        for one in events
    ]
