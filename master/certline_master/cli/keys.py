"""`certline key`: the keys that the master keeps, and where copies of them are."""

from typing import Any
from urllib.parse import quote

import click

from certline_master.cli.asking import Asked, asks_master, columns, shown_time


@click.group()
def key() -> None:
    """Keys that the master keeps for several hosts: list, show, where. No command shows a private key."""


@key.command("list")
@asks_master
def list_(asked: Asked) -> None:
    """List all keys, and the lines that use them."""
    found = asked.client.get("/v1/keys")
    if found or not asked.quiet or asked.output == "json":
        rows = [(one["name"], " ".join(one["lines"]) or "-", _types(one), one["owner"]) for one in found]
        asked.show(found, columns([("KEY", "LINES", "KEY TYPES", "OWNER"), *rows]))


def _types(one: dict[str, Any]) -> str:
    return " ".join(sorted(made["key_type"] for made in one["keys"] if made["slot"] == "current")) or "-"


@key.command()
@click.argument("name")
@asks_master
def show(asked: Asked, name: str) -> None:
    """Show one key: the pins (SHA-256 of the public key) in each slot."""
    found = asked.client.get(_route(name))
    rows = [(one["slot"], one["key_type"], shown_time(one["created"]), one["spki_sha256"]) for one in found["keys"]]
    lines = [found["name"], f"  lines     {' '.join(found['lines']) or 'none'}", f"  owner     {found['owner']}"]
    asked.show(found, [*lines, *columns([("SLOT", "KEY TYPE", "MADE", "PIN"), *rows])])


@key.command()
@click.argument("name")
@asks_master
def where(asked: Asked, name: str) -> None:
    """Show which hosts were given the key, when each last said that it has it, and which have deleted it."""
    found = asked.client.get(f"{_route(name)}/where")
    if found["copies"] or not asked.quiet or asked.output == "json":
        rows = [_copy(one) for one in found["copies"]]
        head = ("FOLLOWER", "STATE", "KEY TYPE", "SLOT", "PIN", "RELEASED", "LAST SEEN THERE", "DELETED")
        asked.show(found, columns([head, *rows]))


def _copy(one: dict[str, Any]) -> tuple[str, ...]:
    times = shown_time(one["released"]), shown_time(one["seen"]), shown_time(one["deleted"])
    return one["follower"], one["state"] or "gone", one["key_type"], one["slot"], one["spki_sha256"][:16], *times


def _route(name: str) -> str:
    return f"/v1/keys/{quote(name, safe='@')}"
