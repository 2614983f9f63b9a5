"""`certline status`: how the fleet does, with a bar per line that shows renewal and expiry."""

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import click

from certline_master.cli.asking import Asked, asks_master, columns, many, shown_time, time_of
from certline_master.cli.failures import FAILED, one_line
from certline_master.cli.hosts import skew_text
from certline_master.cli.lines import all_lines, whose
from certline_master.cli.timeline import bar
from certline_master.domain.survival import NAMES, Budget, in_words

WIDE, NARROW = 30, 12  # cells of a bar


@click.command()
@click.option("--check", is_flag=True, help="Exit 4 when something is wrong: for monitoring.")
@asks_master
def status(asked: Asked, *, check: bool) -> None:
    """Show how the fleet does: each line's certificate, what fails, what its host does not use, when followers were
    last seen, and how long all would last if the master, the CA or the DNS stopped now.

    With --quiet only what is wrong is shown.
    """
    found = asked.client.get("/v1/status")
    lines = all_lines(asked.client)
    wrong = is_wrong(found, lines)
    if not asked.quiet or wrong:
        if asked.output == "text" and sys.stdout.isatty() and not asked.quiet:
            _draw(found, lines)
        else:
            asked.show(found | {"lines": lines}, status_lines(found, lines, quiet=asked.quiet))
    if check and wrong:
        raise click.exceptions.Exit(FAILED)


def is_wrong(found: dict[str, Any], lines: list[dict[str, Any]]) -> bool:
    """Whether somebody should look."""
    low = any(one["low"] for one in found["survival"])
    return found["ready"] is not None or low or any(map(_mark, lines))


def status_lines(found: dict[str, Any], lines: list[dict[str, Any]], *, quiet: bool) -> Iterator[str]:
    """As text, from the answers of GET /v1/status and GET /v1/lines."""
    shown = [line for line in lines if _mark(line) or not quiet]
    yield from _head(found)
    if shown:
        yield from columns([_row(line) for line in shown])
    if not quiet and found["followers"]:
        yield from columns([_seen(follower) for follower in found["followers"]])


def _head(found: dict[str, Any]) -> Iterator[str]:
    counts = found["counts"]
    yield f"certline {found['version']}: " + (f"NOT READY: {found['ready']}" if found["ready"] else "ready")
    yield (
        f"{many(counts['lines'], 'line')}, {counts['lines_live']} with a certificate, {counts['failing']} failing,"
        f" {counts['not_deployed']} not deployed; {many(counts['orders_live'], 'order')} under way;"
        f" {many(counts['followers'], 'follower')}"
    )
    yield from survival_lines(found["survival"])


def survival_lines(budgets: list[dict[str, Any]]) -> Iterator[str]:
    """How long until something breaks, for each of the three that may stop."""
    for one in budgets:
        said = in_words(Budget(**one | {"until": time_of(one["until"])}))
        yield f"if the {NAMES[one['what']]} stops: {said}{' SHORT' if one['low'] else ''}"


def _mark(line: dict[str, Any]) -> str:
    """What is wrong with a line, in a word; "" when nothing is."""
    if line["failing"]:
        return "FAILING"
    return "NOT DEPLOYED" if line["not_deployed"] else "PAUSED" if line["paused"] else ""


def _row(line: dict[str, Any]) -> tuple[str, ...]:
    expiry = f"expires {shown_time(line['not_after'])}" if line["not_after"] else "no certificate"
    return _mark(line) or "line", line["name"], whose(line), expiry, line["standing"]


def _seen(follower: dict[str, Any]) -> tuple[str, ...]:
    skew = skew_text(follower["skew_seconds"])
    seen = f"last seen {shown_time(follower['last_seen'])}"
    return "follower", follower["name"], follower["state"], f"{seen}; {skew}" if skew else seen


def _draw(found: dict[str, Any], lines: list[dict[str, Any]]) -> None:
    """For a terminal. rich is imported here because it takes its time."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console, now = Console(highlight=False), time_of(found["time"])
    for text in _head(found):
        console.print(one_line(text), markup=False)
    table, cells = Table(box=None, pad_edge=False), WIDE if console.width >= 110 else NARROW
    for title in ("line", "follower", "time left", "expires"):
        table.add_column(title, no_wrap=True)
    table.add_column("standing")
    horizon = _horizon(now, lines)
    for line in lines:
        drawn = bar(now, time_of(line["renews"]), time_of(line["not_after"]), horizon, cells)
        expires = shown_time(line["not_after"]) if line["not_after"] else "-"
        row = (line["name"], whose(line), drawn, expires, line["standing"])
        colour = "red" if _mark(line) else "green"
        table.add_row(*(Text(one_line(cell), style=colour if cell is drawn else "") for cell in row))
    if lines:
        console.print(table)
    for text in columns([_seen(follower) for follower in found["followers"]]) if found["followers"] else ():
        console.print(text, markup=False)


def _horizon(now: datetime | None, lines: list[dict[str, Any]]) -> timedelta:
    """From now to the last expiry, so that all bars have one scale."""
    ends = [moment for line in lines if (moment := time_of(line["not_after"])) is not None]
    return max((end - now for end in ends), default=timedelta(0)) if now else timedelta(0)
