"""`certline follower pending`, `approve` and `reject`: hosts that introduced themselves."""

from typing import Any
from urllib.parse import quote

import click

from certline_master.cli.asking import Asked, asks_master, columns, shown_time
from certline_master.cli.client import ProblemFailed
from certline_master.cli.failures import REFUSED, WRONG, CommandFailed
from certline_master.cli.followers import follower
from certline_master.cli.grants import desired_follower
from certline_shared import introduction
from certline_shared.names import BadName, normalise

__all__ = ["follower"]


@follower.command()
@asks_master
def pending(asked: Asked) -> None:
    """List hosts that wait to be approved; the fingerprints are as they look from here."""
    found = asked.client.get("/v1/introductions")
    if found or not asked.quiet or asked.output == "json":
        rows = [(one["name"], one["fingerprint"], one["address"], shown_time(one["expires"])) for one in found]
        asked.show(found, columns([("NAME", "FINGERPRINT", "ADDRESS", "UNTIL"), *rows]))


@follower.command()
@click.argument("fingerprint")
@click.option("--name", help="The follower that it becomes (default: the name it asks for).")
@click.option("--grant", "grants", metavar="DNS-NAME", multiple=True, help="A name it may ask for; repeatable.")
@asks_master
def approve(asked: Asked, fingerprint: str, name: str | None, grants: tuple[str, ...]) -> None:
    """Let in the host that shows this FINGERPRINT: type all ten groups that stand on the host."""
    try:
        print_, _ = introduction.typed(fingerprint)
        wanted = {normalise(text) for text in grants}
    except (introduction.BadString, BadName) as fault:
        raise CommandFailed(str(fault), WRONG) from None
    waiting = _waiting(asked, print_)
    held = _may_get(asked, name or waiting["name"]) if wanted else set()
    done = asked.client.post("/v1/introductions/approve", {"fingerprint": fingerprint, "name": name})
    if wanted:
        route = f"/v1/followers/{done['follower']}"
        found = desired_follower(asked.client.get(route))
        asked.client.put(route, found | {"grants": found["grants"] | {"request": sorted(wanted | held)}})
    asked.show(done, [f"{done['follower']} is approved"])


def _waiting(asked: Asked, print_: str) -> dict[str, Any]:
    for one in asked.client.get("/v1/introductions"):
        if one["fingerprint"] == print_:
            return dict(one)
    raise CommandFailed(
        "no host that waits has this fingerprint here: if it still shows it, somebody is in between, and it must not "
        "be approved; `certline follower pending` lists what was heard",
        REFUSED,
    )


def _may_get(asked: Asked, name: str) -> set[str]:
    """What it was granted already. Raises CommandFailed where grants have to be made elsewhere."""
    try:
        found = asked.client.get(f"/v1/followers/{name}")
    except ProblemFailed as refused:
        if refused.status == 404:
            return set()
        raise
    if found["owner"] == "file":
        raise CommandFailed(f"the follower {name} belongs to the fleet file: write its grants there", REFUSED)
    return set(found["grants"].get("request", ()))


@follower.command()
@click.argument("fingerprint")
@asks_master
def reject(asked: Asked, fingerprint: str) -> None:
    """Send a host away that waits; it may introduce itself again."""
    asked.client.post("/v1/introductions/reject", {"fingerprint": fingerprint})
    asked.show({"rejected": fingerprint}, ["the host is sent away"])


@follower.command("lock-clones")
@click.argument("name")
@click.option("--off", is_flag=True, help="Only tell, as by default.")
@asks_master
def lock_clones(asked: Asked, name: str, *, off: bool) -> None:
    """Suspend a follower at the first sign that another host has its identity, instead of only telling."""
    route = f"/v1/followers/{quote(name, safe='')}"
    found = asked.client.get(route)
    done = asked.client.put(route, desired_follower(found) | {"lock_clones": not off})
    asked.show(done, [f"a possible clone of {name} is {'told' if off else 'told, and suspends it'}"])
