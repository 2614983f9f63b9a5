"""A host that was stolen: the plan before anything is done, and the worklist until all is."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click

from certline_master.cli.asking import Asked, asks_master, many, on_terminal, shown_time
from certline_master.cli.failures import REFUSED, CommandFailed

Answer = dict[str, Any]


def clear_up(asked: Asked, name: str, *, yes: bool, now: bool) -> None:
    """Show what is exposed, ask, and do it. Raises CommandFailed."""
    route = f"/v1/followers/{quote(name, safe='')}/stolen"
    if not yes:
        for text in _told(asked.client.post(f"{route}?dry_run=true", {"now": now}), now=now):
            asked.note(text)
        if on_terminal() and not click.confirm(f"Revoke {name} and do this?", err=True):
            raise CommandFailed("nothing was done", REFUSED)
    done = asked.client.post(route, {"now": now})
    asked.show(done, [f"{name} is {done['state']}", *_lines(done), _how_far(done)])


@click.command()
@click.argument("name")
@asks_master
def worklist(asked: Asked, name: str) -> None:
    """Show what is left to do after a host was stolen; of one that was not: what would be exposed."""
    found = asked.client.get(f"/v1/followers/{quote(name, safe='')}/worklist")
    asked.show(found, [f"{name} is {found['state']}", *_keys(found), *_lines(found), _how_far(found)])


def _told(plan: Answer, *, now: bool) -> Iterator[str]:
    yield f"{plan['follower']} was given {many(len(plan['keys']), 'key')} of this master:"
    yield from _keys(plan)
    yield from _lines(plan)
    if not plan["lines"]:
        yield "  no certificate that is still valid has a key that it had"
        return
    when = "at once" if now else "once the other hosts use a new one, or after 24 hours; of lines of its own at once"
    yield f"certificates are revoked with the reason keyCompromise {when}"


def _keys(found: Answer) -> Iterator[str]:
    for one in found["keys"]:
        gone = f", deleted {shown_time(one['deleted'])}" if one["deleted"] else ""
        released = shown_time(one["released"])
        yield f"  key       {one['key_type']} of line {one['line']}, {one['spki_sha256'][:16]}, given {released}{gone}"


def _lines(found: Answer) -> Iterator[str]:
    for line in found["lines"]:
        yield f"  line      {line['line']}: {line['text']}"
        for other in line["others"]:
            version = f"version {other['version']}" if other["version"] else "no version"
            yield f"    host    {other['follower']} uses {version}{'' if other['moved_on'] else ', has to follow'}"
        yield from (f"    revoke  {_certificate(one)}" for one in line["certificates"])


def _certificate(one: Answer) -> str:
    more = {
        "waits": f"waits for the other hosts, until {shown_time(one['deadline'])} at the longest",
        "revoked": f"revoked {shown_time(one['ended'])}",
        "failed": f"failed: {one['error']}",
        "intended": f"asked for{': ' + one['error'] if one['error'] else ''}",
    }
    word = more.get(one["revocation"], one["revocation"])
    return f"version {one['version']}, serial {one['serial']}, valid until {shown_time(one['not_after'])}: {word}"


def _how_far(found: Answer) -> str:
    if found["state"] != "revoked":
        return "nothing of this is done: `follower revoke --stolen` does it"
    return "all is done" if found["done"] else "not all is done yet: `follower worklist` shows how far it is"
