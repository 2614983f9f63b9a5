"""`certline key`: keys with their pins in each slot, where copies of them are, and what becomes of them."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import click

from certline_master.cli.asking import Asked, asks_master, columns, shown_time
from certline_master.cli.failures import REFUSED, CommandFailed
from certline_master.cli.lines import all_lines

_REASONS = ("unspecified", "key-compromise", "affiliation-changed", "superseded", "cessation")


@click.group()
def key() -> None:
    """Keys: list, show, where, rollover, revoke, forget. No command shows a private key.

    A key under `keys:` has a name of its own; a line that names none has a key that bears the line's name.
    """


@key.command("list")
@asks_master
def list_(asked: Asked) -> None:
    """List the keys that the master keeps, or that have a policy, and the lines that use them."""
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
    """Show one key: the pins (SHA-256 of the public key) in each slot, their age, and what a rollover would say."""
    found = asked.client.get(_route(name))
    asked.show(found, _story(found))


def _story(found: dict[str, Any]) -> Iterator[str]:
    yield found["name"]
    yield f"  lines     {' '.join(found['lines']) or 'none'}"
    yield f"  owner     {found['owner']}"
    yield f"  custody   {found['custody']}"
    yield f"  policy    {_policy(found)}"
    yield f"  rollover  {found['rollover']}"
    rows = [
        (one["slot"], one["key_type"], _time(one["since"]), _time(one["created"]), one["spki_sha256"])
        for one in found["keys"]
    ]
    yield from columns([("SLOT", "KEY TYPE", "IN IT SINCE", "PUBLISHED", "PIN"), *rows])
    yield from (f"pin-sha256  {one['slot']} {one['key_type']}  {one['pin_sha256']}" for one in found["keys"])


def _policy(found: dict[str, Any]) -> str:
    said = ["a new key at each renewal" if found["policy"] == "new" else "kept over renewals"]
    if found["max_age"]:
        said.append(f"{'rolled over' if found['auto'] else 'told of'} after {found['max_age']}")
    if found["pin_days"]:
        said.append(f"clients may keep pins for {found['pin_days']} days")
    return "; ".join(said)


def _time(text: str | None) -> str:
    return shown_time(text) if text else "-"


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


@key.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--all", "every", is_flag=True, help="The keys of all lines.")
@click.option("--force", is_flag=True, help="Even while clients may keep pins without the next key.")
@asks_master
def rollover(asked: Asked, names: tuple[str, ...], *, every: bool, force: bool) -> None:
    """Have the next key used in all lines of a key. Refused while clients may keep pins without it.

    One that is refused stops no other; exit 3 then.
    """
    if bool(names) is every:
        raise click.UsageError("name the keys to roll over, or say --all")
    done, refused = [], []
    for name in names or _all_keys(asked):
        try:
            done.append(asked.client.post(f"{_route(name)}/rollover", {"force": force}))
        except CommandFailed as fault:
            if fault.code != REFUSED:
                raise
            refused.append(str(fault))
    asked.show(done, (text for one in done for text in _standings(one)))
    if refused:
        raise CommandFailed("\n".join(refused), REFUSED)


def _all_keys(asked: Asked) -> list[str]:
    return sorted({one["key"] for one in all_lines(asked.client) if one["version"] is not None})


def _standings(one: dict[str, Any]) -> Iterator[str]:
    yield from (f"{one['name']}: {line['line']}: {line['standing']}" for line in one["lines"])


@key.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--reason", type=click.Choice(_REASONS), default="unspecified", show_default=True)
@asks_master
def revoke(asked: Asked, names: tuple[str, ...], reason: str) -> None:
    """Have the certificates of all lines of these keys revoked at the CA. The next ones are for another key.

    Hosts keep the files until they have the next version.
    """
    for name in names:
        asked.client.get(_route(name))  # all are there, before the first is revoked
    found = [asked.client.post(f"{_route(name)}/revoke", {"reason": reason}) for name in names]
    asked.show(found, (f"{one['name']}: {one['text']}" for one in found))


@key.command()
@click.argument("name")
@click.option("--previous", is_flag=True, required=True, help="The former keys, not the present one.")
@asks_master
def forget(asked: Asked, name: str, *, previous: bool) -> None:  # noqa: ARG001 said so that nobody is surprised
    """Delete the former keys on the master, and their pins: nothing goes back to versions with them any more."""
    found = asked.client.post(f"{_route(name)}/forget", {"slot": "previous"})
    gone = len(found["forgotten"])
    if gone or not asked.quiet or asked.output == "json":
        asked.show(found, [f"{name}: {gone} former key{'s' if gone != 1 else ''} forgotten"])


def _route(name: str) -> str:
    return f"/v1/keys/{quote(name, safe='@')}"
