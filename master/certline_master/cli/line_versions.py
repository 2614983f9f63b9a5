"""`certline line revoke`, `rollback` and `rollover`: what an operator does with a line's versions."""

from collections.abc import Iterator
from typing import Any

import click

from certline_master.cli.asking import Asked, asks_master, shown_time
from certline_master.cli.lines import line, safe

_REASONS = ("unspecified", "key-compromise", "affiliation-changed", "superseded", "cessation")


@line.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--reason", type=click.Choice(_REASONS), default="unspecified", show_default=True)
@asks_master
def revoke(asked: Asked, names: tuple[str, ...], reason: str) -> None:
    """Have what is live of these lines revoked at the CA. The next version, ordered at once, is for a new key.

    Hosts keep the files until they have that version. With key-compromise every certificate of the line that is still
    valid for the key is revoked.
    """
    for name in names:
        asked.client.get(f"/v1/lines/{safe(name)}")  # all are there, before the first is revoked
    found = [asked.client.post(f"/v1/lines/{safe(name)}/revoke", {"reason": reason}) for name in names]
    asked.show(found, (text for one in found for text in _revoked(one)))


def _revoked(one: dict[str, Any]) -> Iterator[str]:
    yield f"{one['line']}: {one['text']}"
    for certificate in one["certificates"]:
        error = f": {certificate['error']}" if certificate["error"] else ""
        which = f"version {certificate['version']}, serial {certificate['serial']}"
        yield f"  {which}, valid until {shown_time(certificate['not_after'])}: {certificate['state']}{error}"


@line.command()
@click.argument("name")
@click.option("--to", type=click.IntRange(min=1), help="The version; without it the one before the live one.")
@asks_master
def rollback(asked: Asked, name: str, to: int | None) -> None:
    """Make an older version live again, on all hosts at once; it must be neither revoked nor expired.

    What is live is retired; the next renewal comes when half of what the older one has left is over.
    """
    found = asked.client.post(f"/v1/lines/{safe(name)}/rollback", {"to": to})
    asked.show(found, [f"{name}: {found['text']}"])


@line.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Even while clients may keep pins without the next key.")
@asks_master
def rollover(asked: Asked, name: str, *, force: bool) -> None:
    """Have the next version issued for the line's next key. Refused while clients may keep pins without it."""
    found = asked.client.post(f"/v1/lines/{safe(name)}/rollover", {"force": force})
    asked.show(found, [f"{name}: {found['standing']}"])
