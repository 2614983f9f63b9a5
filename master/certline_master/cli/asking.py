"""What all commands that ask the master share: where it is, how answers are shown, and when to be silent."""

import functools
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Concatenate, Literal, ParamSpec

import click

from certline_master.cli.client import AdminClient, find_profile
from certline_master.cli.failures import one_line

P = ParamSpec("P")

_OPTIONS = (
    click.option("--url", metavar="URL", help="The master (default: CERTLINE_URL, else the profile `init` wrote)."),
    click.option("--token-file", metavar="FILE", help="File with an admin token (CERTLINE_TOKEN_FILE)."),
    click.option("--ca-file", metavar="FILE", help="CA certificates to trust for the master (CERTLINE_CA_FILE)."),
    click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True),
    click.option("--quiet", "-q", is_flag=True, help="Say nothing when nothing happened."),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """How a command shows what it found."""

    output: Literal["text", "json"]
    quiet: bool

    def show(self, data: Any, lines: Iterable[str]) -> None:
        """The data as JSON, or its text line by line."""
        if self.output == "json":
            click.echo(json.dumps(data, indent=2, ensure_ascii=False))
            return
        for line in lines:
            click.echo(one_line(line))

    def note(self, text: str) -> None:
        """Something beside the answer: on stderr, so that JSON stays JSON."""
        click.echo(one_line(text), err=True)


@dataclass(frozen=True, slots=True)
class Asked(Shown):
    """The master to ask, and how its answer is to be shown."""

    client: AdminClient


def asks_master(command: Callable[Concatenate[Asked, P], None]) -> Callable[..., None]:
    """A command that gets an Asked first, and has the options for it."""

    @functools.wraps(command)
    @click.pass_obj
    def run(
        config: str | None,
        /,
        *,
        url: str | None,
        token_file: str | None,
        ca_file: str | None,
        output: Literal["text", "json"],
        quiet: bool,
        **others: Any,
    ) -> None:
        profile = find_profile(url, token_file, ca_file, config)
        with AdminClient(profile) as client:
            command(Asked(output, quiet, client), **others)  # type: ignore[call-arg]  # click hands over by name

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), run)


def on_terminal() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def time_of(text: str | None) -> datetime | None:
    """A time of the API's answers."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def shown_time(text: str | None) -> str:
    """To the minute, as `2026-12-03 03:12 UTC`."""
    moment = time_of(text)
    return "never" if moment is None else f"{moment:%Y-%m-%d %H:%M} UTC"


def many(number: int, word: str) -> str:
    """`1 line`, `2 lines`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as lines with aligned columns; control characters would move them, so they are spelt out before."""
    clean = [tuple(one_line(cell) for cell in row) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*clean, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in clean]
