"""`certline follower grant|groups|networks` and `certline group`: what followers may have, and from where they ask."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import click

from certline_master.cli.asking import Asked, asks_master, columns, on_terminal
from certline_master.cli.client import ProblemFailed
from certline_master.cli.failures import REFUSED, WRONG, CommandFailed
from certline_master.cli.followers import follower
from certline_master.domain.networks import BadNetwork, networks_of
from certline_shared.names import BadName, display, normalise

Granted = dict[str, set[str]]  # "request" and "pull" -> names

_names = click.argument("dns_names", metavar="[DNS-NAME]...", nargs=-1)
_request = click.option("--request", "requests", metavar="DNS-NAME", multiple=True, help="The same; repeatable.")
_pull = click.option(
    "--pull", "pulls", metavar="LINE", multiple=True, help="A line whose key the master keeps; repeatable."
)
_remove = click.option("--remove", is_flag=True, help="Take these grants away instead.")


def _grants(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments that name grants."""
    return _names(_request(_pull(_remove(command))))


@follower.command()
@click.argument("name")
@_grants
@asks_master
def grant(
    asked: Asked, name: str, dns_names: tuple[str, ...], *, requests: tuple[str, ...], pulls: tuple[str, ...],
    remove: bool,
) -> None:  # fmt: skip
    """Let a follower ask for these names or pull these lines too, or no longer.

    What is installed on its host stays there.
    """
    route = f"/v1/followers/{quote(name, safe='')}"
    found = asked.client.get(route)
    _change(asked, route, found, _meant((*dns_names, *requests), pulls), remove=remove)


@follower.command()
@click.argument("name")
@click.argument("groups", metavar="GROUP...", nargs=-1, required=True)
@click.option("--remove", is_flag=True, help="Take it out of these groups instead.")
@asks_master
def groups(asked: Asked, name: str, groups: tuple[str, ...], *, remove: bool) -> None:
    """Put a follower into groups: it has their grants beside its own."""
    route = f"/v1/followers/{quote(name, safe='')}"
    found = asked.client.get(route)
    wanted = sorted(set(found["groups"]) - set(groups) if remove else set(found["groups"]) | set(groups))
    if wanted == sorted(found["groups"]):
        _say_nothing(asked)
        return
    done = asked.client.put(route, desired_follower(found) | {"groups": wanted})
    asked.show(done, [f"{name} is in: {', '.join(wanted) or 'no group'}"])


@follower.command()
@click.argument("name")
@click.argument("networks", metavar="[CIDR]...", nargs=-1)
@click.option("--anywhere", is_flag=True, help="Take its requests from anywhere again.")
@asks_master
def networks(asked: Asked, name: str, networks: tuple[str, ...], *, anywhere: bool) -> None:
    """Take a follower's requests only from these networks, in place of those set before."""
    if bool(networks) is anywhere:
        raise CommandFailed("name the networks (10.2.0.0/16), or write --anywhere", WRONG)
    try:
        wanted = list(networks_of(networks))
    except BadNetwork as fault:
        raise CommandFailed(str(fault), WRONG) from None
    route = f"/v1/followers/{quote(name, safe='')}"
    found = asked.client.get(route)
    if wanted == found["networks"]:
        _say_nothing(asked)
        return
    done = asked.client.put(route, desired_follower(found) | {"networks": wanted})
    asked.show(done, [f"requests of {name} are taken from: {', '.join(wanted) or 'anywhere'}"])


def desired_follower(found: Mapping[str, Any]) -> dict[str, Any]:
    """What to PUT for a follower to stay as it was found."""
    return {name: found[name] for name in ("grants", "groups", "networks", "lock_clones")}


@click.group()
def group() -> None:
    """Groups of followers that share grants: list, show, grant, delete."""


@group.command("list")
@asks_master
def list_(asked: Asked) -> None:
    """List all groups."""
    found = asked.client.get("/v1/groups")
    if found or not asked.quiet or asked.output == "json":
        rows = [(one["name"], ", ".join(one["followers"]) or "-") for one in found]
        asked.show(found, columns([("GROUP", "FOLLOWERS"), *rows]))


@group.command()
@click.argument("name")
@asks_master
def show(asked: Asked, name: str) -> None:
    """Show one group: its grants and who is in it."""
    found = asked.client.get(_group_route(name))
    lines = [f"  may {kind:<10}{display(one)}" for kind, names in sorted(found["grants"].items()) for one in names]
    asked.show(found, [found["name"], *lines, *(f"  {'follower':<14}{one}" for one in found["followers"])])


@group.command("grant")
@click.argument("name")
@_grants
@asks_master
def grant_group(
    asked: Asked, name: str, dns_names: tuple[str, ...], *, requests: tuple[str, ...], pulls: tuple[str, ...],
    remove: bool,
) -> None:  # fmt: skip
    """Grant this to all followers of a group, which is made if it is not there; or no longer."""
    try:
        found = asked.client.get(_group_route(name))
    except ProblemFailed as refused:
        if refused.status != 404 or remove:
            raise
        found = {"name": name, "grants": {}}
    _change(asked, _group_route(name), found, _meant((*dns_names, *requests), pulls), remove=remove)


@group.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@asks_master
def delete(asked: Asked, name: str, *, yes: bool) -> None:
    """Delete a group; refused while a follower is in it."""
    if not yes and on_terminal() and not click.confirm(f"Delete the group {name}?", err=True):
        raise CommandFailed("nothing was done", REFUSED)
    done = asked.client.delete(_group_route(name))
    asked.show(done, [f"{change['kind']} {change['name']} is deleted" for change in done["changes"]])


def _group_route(name: str) -> str:
    return f"/v1/groups/{quote(name, safe='')}"


def _meant(names: Sequence[str], lines: Sequence[str]) -> Granted:
    if not (names or lines):
        raise CommandFailed("name what is granted: DNS names, or lines with --pull", WRONG)
    try:
        return {"request": {normalise(text) for text in names}, "pull": set(lines)}
    except BadName as fault:
        raise CommandFailed(str(fault), WRONG) from None


def _change(asked: Asked, route: str, found: Mapping[str, Any], meant: Granted, *, remove: bool) -> None:
    """PUT the object with grants added or taken away, all else as it was found."""
    held = {kind: set(found["grants"].get(kind, ())) for kind in meant}
    wanted = {kind: held[kind] - meant[kind] if remove else held[kind] | meant[kind] for kind in meant}
    if wanted == held:
        _say_nothing(asked)
        return
    rest = desired_follower(found) if "networks" in found else {}
    done = asked.client.put(route, rest | {"grants": {kind: sorted(names) for kind, names in wanted.items() if names}})
    said = [f"{found['name']} may request: {_listed(sorted(wanted['request']))}"]
    if wanted["pull"] or held["pull"]:
        said.append(f"{found['name']} may pull: {', '.join(sorted(wanted['pull'])) or 'nothing'}")
    asked.show(done, said)


def _say_nothing(asked: Asked) -> None:
    if not asked.quiet:
        asked.show({"changes": [], "orders": []}, ["nothing to do"])


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(display, names)) or "nothing"
