"""`certline plan` and `certline apply`: from the fleet file to the master, and never more than what was shown."""

from pathlib import Path
from typing import Any

import click

from certline_master.cli import fleet_file
from certline_master.cli.asking import Asked, asks_master, on_terminal
from certline_master.cli.client import ProblemFailed
from certline_master.cli.failures import REFUSED, WOULD_CHANGE, WRONG, CommandFailed
from certline_master.cli.fleet_file import FleetFile
from certline_master.cli.fleet_showing import plan_lines, summary

_file = click.option(
    "--file", "-f", "path", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The fleet file."
)


@click.command()
@_file
@asks_master
def plan(asked: Asked, path: Path) -> None:
    """Show what the fleet file would change, and the orders that this would cause; nothing is done."""
    found = _plan(asked, fleet_file.read(path))
    if found["changes"] or not asked.quiet:
        asked.show(found, plan_lines(found))


@click.command()
@_file
@click.option("--check", is_flag=True, help="Only show it: exit 10 when there is something to do, else 0.")
@click.option("--force", is_flag=True, help="Delete more than a fifth of what the file owns.")
@click.option("--yes", "-y", is_flag=True, help="Ask nothing: do what the plan shows, and agree to terms of service.")
@asks_master
def apply(asked: Asked, path: Path, *, check: bool, force: bool, yes: bool) -> None:
    """Make the fleet as the file says: plan, show, ask (on a terminal), do exactly what was shown.

    Terms of service of a CA without an account yet are shown on a terminal; else they are accepted, and said.
    """
    wished = fleet_file.read(path)
    found = _plan(asked, wished)
    if not found["changes"]:
        if not asked.quiet:
            asked.show(found, ["nothing to do"])
        return
    if check:
        asked.show(found, plan_lines(found))
        click.get_current_context().exit(WOULD_CHANGE)
    if asked.output == "text":
        asked.show(found, plan_lines(found))
    if found["guard"] and not force:
        raise CommandFailed(str(found["guard"]), REFUSED)
    _agree(asked, found, asks=on_terminal() and not yes)
    done = _ask(asked, "/v1/fleet/apply", {"desired": wished.desired, "hash": found["hash"], "force": force}, wished)
    asked.show(done, [f"done: {summary(done)}"])


def _plan(asked: Asked, wished: FleetFile) -> dict[str, Any]:
    """Its warnings are always said, on stderr."""
    found = _ask(asked, "/v1/fleet/plan", {"desired": wished.desired}, wished)
    for warning in wished.warnings(found):
        asked.note(warning)
    return found


def _ask(asked: Asked, route: str, body: dict[str, Any], wished: FleetFile) -> dict[str, Any]:
    """The master's answer; its faults are told by the file's lines."""
    try:
        answer: dict[str, Any] = asked.client.post(route, body)
    except ProblemFailed as refused:
        told = wished.refusal(refused.problem)
        if told is None:
            raise
        raise CommandFailed(told, WRONG) from None
    return answer


def _agree(asked: Asked, found: dict[str, Any], *, asks: bool) -> None:
    issuers = any(change["kind"] == "issuer" and change["action"] != "delete" for change in found["changes"])
    for terms in found["terms"] if issuers else ():
        if asks and not click.confirm(f"Do you agree to the CA's terms of service at {terms}?", err=True):
            raise CommandFailed("nothing was done: the terms of service were not agreed to", REFUSED)
        if not asks:
            asked.note(f"certline: the terms of service at {terms} are accepted")
    if asks and not click.confirm("Do this?", err=True):
        raise CommandFailed("nothing was done", REFUSED)
