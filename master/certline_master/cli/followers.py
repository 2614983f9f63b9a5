"""`certline follower`: enrolled hosts, the string that enrols a new one, their grants, and their end."""

import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click

from certline_master.cli.asking import Asked, asks_master, columns, on_terminal, shown_time
from certline_master.cli.client import ProblemFailed
from certline_master.cli.failures import REFUSED, WRONG, CommandFailed
from certline_master.cli.hosts import host_table, skew_text
from certline_master.cli.lost_hosts import clear_up, worklist
from certline_master.domain.durations import seconds_of
from certline_shared import introduction
from certline_shared.carried import MOST_CHARACTERS


class Duration(click.ParamType[int]):
    """`90s`, `30m`, `12h` or `2d`, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return seconds_of(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_ttl = click.option(
    "--ttl", type=Duration(), default="30m", show_default=True, metavar="TIME", help="How long the string is good: 30m."
)

_origin = click.option("--origin", metavar="URL", help="By which of the master's origins the host reaches it.")


@click.group()
def follower() -> None:
    """Followers: create, token, list, show, grant, revoke, delete."""


@follower.command()
@click.argument("name")
@click.option("--grant", "grants", metavar="DNS-NAME", multiple=True, help="A name it may ask for; repeatable.")
@click.option("--keys", metavar="STRING", help="What `certline-follower keygen` printed; - is standard input.")
@_ttl
@_origin
@asks_master
def create(asked: Asked, name: str, grants: tuple[str, ...], *, keys: str | None, ttl: int, origin: str | None) -> None:
    """Make a follower, and print the one-time enrolment string for its host (on stdout, and nothing else).

    With --keys the host is let in at once, and what is printed is its join string, which holds no secret.
    """
    _check_free(asked, name)
    given = None if keys is None else keys_given(keys)
    asked.client.put(_route(name), {"grants": {"request": list(grants)}})
    if given is not None:
        made = asked.client.post(f"{_route(name)}/keys", {"keys": given, "origin": origin})
        asked.show(made, [made["join"]])
        return
    _make_token(asked, name, {"ttl_seconds": ttl, "origin": origin})


@follower.command()
@click.argument("name")
@click.option("--replace", is_flag=True, help="For a rebuilt host, which takes the place of the enrolled one.")
@_ttl
@_origin
@asks_master
def token(asked: Asked, name: str, ttl: int, origin: str | None, *, replace: bool) -> None:
    """Print a one-time enrolment string for a follower that exists (on stdout, and nothing else)."""
    _make_token(asked, name, {"ttl_seconds": ttl, "origin": origin, "replace": replace})


def keys_given(text: str) -> str:
    """A host's public keys, before anything is made for them. Raises CommandFailed."""
    given = sys.stdin.read(MOST_CHARACTERS) if text == "-" else text
    try:
        introduction.keys_of(given)
    except introduction.BadString as fault:
        raise CommandFailed(f"--keys: {fault}", WRONG) from None
    return given.strip()


def _make_token(asked: Asked, name: str, body: dict[str, Any]) -> None:
    made = asked.client.post(f"{_route(name)}/token", body)
    if asked.output == "text" and not asked.quiet:
        asked.note(f"good once, until {shown_time(made['expires'])}: on the host, `certline-follower enroll` reads it")
    asked.show(made, [made["enrolment"]])


def _check_free(asked: Asked, name: str) -> None:
    """Raises CommandFailed when there is a follower of that name, with what can be done instead."""
    try:
        found = asked.client.get(_route(name))
    except ProblemFailed as refused:
        if refused.status == 404:
            return
        raise
    if found["state"] == "revoked":
        first = f"`certline follower delete {name}`" if found["owner"] == "api" else "remove it from the fleet file"
        raise CommandFailed(f"the follower {name} is revoked for good: choose another name, or first {first}", REFUSED)
    again = " --replace" if found["state"] == "active" else ""
    command = f"`certline follower token {name}{again}`"
    text = f"there is a follower {name} already: {command} makes an enrolment string for it"
    raise CommandFailed(text, REFUSED)


def _route(name: str) -> str:
    return f"/v1/followers/{quote(name, safe='')}"


@follower.command("list")
@asks_master
def list_(asked: Asked) -> None:
    """List all followers."""
    found = asked.client.get("/v1/followers")
    if found or not asked.quiet or asked.output == "json":
        heading = ("FOLLOWER", "STATE", "LAST SEEN", "LINES", "DEPLOYED", "LATE", "AGENT")
        asked.show(found, columns([heading, *map(_row, found)]))


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    counts = (str(one[count]) for count in ("lines", "deployed", "late"))
    return one["name"], one["state"], shown_time(one["last_seen"]), *counts, one["agent"] or "-"


@follower.command()
@click.argument("name")
@asks_master
def show(asked: Asked, name: str) -> None:
    """Show one follower: its grants, and how far it is with each of its lines."""
    found = asked.client.get(_route(name))
    asked.show(found, _story(found))


def _story(found: dict[str, Any]) -> Iterator[str]:
    yield found["name"]
    for label, value in (
        ("state", found["state"] + (f": {found['state_reason']}" if found["state_reason"] else "")),
        ("owner", found["owner"]),
        ("created", shown_time(found["created"])),
        ("enrolled", shown_time(found["enrolled"])),
        ("last seen", shown_time(found["last_seen"])),
        ("agent", found["agent"] or "-"),
    ):
        yield f"  {label:<10}{value}"
    for kind, names in found["grants"].items():
        yield from (f"  {'may ' + kind:<14}{name}" for name in names)
    for kind, names in found["group_grants"].items():
        yield from (f"  {'may ' + kind:<14}{name} (by its groups)" for name in names)
    for label, some in (("groups", found["groups"]), ("only from", found["networks"])):
        if some:
            yield f"  {label:<10}{', '.join(some)}"
    if found["survives_until"]:
        yield f"  {'survives':<10}until {shown_time(found['survives_until'])}, if the master stops now"
    if (skew := skew_text(found["skew_seconds"])) is not None:
        yield f"  {'clock':<10}{skew}"
    yield from host_table(found["standings"], "line")


@follower.command()
@click.argument("name")
@click.option("--stolen", is_flag=True, help="Its keys are lost: replace them, revoke their certificates.")
@click.option("--now", is_flag=True, help="With --stolen: revoke at once, not when the other hosts have moved on.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@asks_master
def revoke(asked: Asked, name: str, *, stolen: bool, now: bool, yes: bool) -> None:
    """Revoke a follower for good, from its next request on; what is installed on its host stays there.

    With --stolen the keys that it was given are replaced, certificates issued anew for the other hosts, and those of
    the lost keys revoked; what that means is shown first.
    """
    if stolen:
        clear_up(asked, name, yes=yes, now=now)
        return
    if now:
        raise CommandFailed("--now is for --stolen: without that no certificate is revoked", WRONG)
    if not yes and on_terminal() and not click.confirm(f"Revoke {name} for good?", err=True):
        raise CommandFailed("nothing was done", REFUSED)
    found = asked.client.post(f"{_route(name)}/revoke")
    asked.show(found, [f"{found['name']} is {found['state']}"])


@follower.command()
@click.argument("name")
@click.option("--reason", metavar="TEXT", help="Why; its host is told.")
@asks_master
def suspend(asked: Asked, name: str, reason: str | None) -> None:
    """Give a follower nothing new until it is resumed; what is installed on its host stays in use."""
    found = asked.client.post(f"{_route(name)}/suspend", {"reason": reason})
    asked.show(found, [f"{found['name']} is {found['state']}"])


@follower.command()
@click.argument("name")
@asks_master
def resume(asked: Asked, name: str) -> None:
    """Let a suspended follower go on."""
    found = asked.client.post(f"{_route(name)}/resume")
    asked.show(found, [f"{found['name']} is {found['state']}"])


@follower.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@asks_master
def delete(asked: Asked, name: str, *, yes: bool) -> None:
    """Delete a follower and the lines it asked for; refused while an operator's line is for it.

    What is installed on its host stays there.
    """
    if not yes and on_terminal() and not click.confirm(f"Delete {name} and the lines it asked for?", err=True):
        raise CommandFailed("nothing was done", REFUSED)
    done = asked.client.delete(_route(name))
    asked.show(done, [f"{change['kind']} {change['name']} is deleted" for change in done["changes"]])


follower.add_command(worklist)
