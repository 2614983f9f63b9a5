"""`certline bundle`: what is carried to a host without a connection, and what is carried back."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from certline_master.cli.asking import Asked, asks_master, many
from certline_master.cli.failures import REFUSED, WRONG, CommandFailed
from certline_shared import codec
from certline_shared.bundles import MOST_RECEIPT_BYTES

Answer = dict[str, Any]


@click.group()
def bundle() -> None:
    """Hosts without a connection: create a bundle for one, take its receipt."""


@bundle.command()
@click.argument("follower")
@click.option("--to", "path", metavar="FILE", help="Write it there (default: standard output).")
@asks_master
def create(asked: Asked, follower: str, path: str | None) -> None:
    """Make a bundle for a follower: its signed manifest and all that it lists, keys sealed to it.

    Only that host can open the keys in it. It is good for 30 days, and not after a newer one was used.
    """
    made = asked.client.post(f"/v1/followers/{quote(follower, safe='')}/bundle")
    text = codec.canonical(made).decode()
    if path is None:
        click.echo(text)
        return
    _write(Path(path), text)
    if not asked.quiet or asked.output == "json":
        listed = [{"line": one["line"], "version": one["version"]} for one in made["versions"]]
        words = f"{path}: {many(len(listed), 'line')}; on the host: certline-follower apply-bundle {path}"
        asked.show({"file": path, "follower": follower, "versions": listed}, [words])


def _write(path: Path, text: str) -> None:
    """Whole or not at all. Raises CommandFailed."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text + "\n", encoding="utf-8")
        beside.replace(path)
    except OSError as fault:
        beside.unlink(missing_ok=True)
        raise CommandFailed(f"{path}: cannot be written: {fault.strerror}", WRONG) from None


@bundle.command()
@click.argument("file", type=click.File("rb"))
@asks_master
def receipt(asked: Asked, file: Any) -> None:
    """Take the receipt that a host wrote: what it says counts as if it had come by the network."""
    body = _read(file)
    name = _whose(asked, body)
    taken = asked.client.post(f"/v1/followers/{quote(name, safe='')}/receipt", body)
    asked.show(taken, _story(taken))
    refused = [f"line {one['line']} is refused: {one['refused']}" for one in taken["wishes"] if one["refused"]]
    if refused:
        raise CommandFailed("\n".join(refused), REFUSED)


def _read(file: Any) -> Answer:
    """Raises CommandFailed."""
    try:
        body = codec.parse(file.read(MOST_RECEIPT_BYTES + 1), most_bytes=MOST_RECEIPT_BYTES)
    except codec.BadMessage as fault:
        raise CommandFailed(f"{file.name}: is no receipt: {fault}", WRONG) from None
    if not isinstance(body, dict) or not isinstance(body.get("keyid"), str):
        raise CommandFailed(f"{file.name}: is no receipt of certline-follower apply-bundle", WRONG)
    return body


def _whose(asked: Asked, body: Answer) -> str:
    """By the id in it; the master checks the signature. Raises CommandFailed."""
    for one in asked.client.get("/v1/followers"):
        if one["id"] == body["keyid"]:
            return str(one["name"])
    raise CommandFailed("the receipt is of no follower of this master", REFUSED)


def _story(taken: Answer) -> Iterator[str]:
    told = many(taken["deployments"], "deployment")
    yield f"{taken['follower']} followed manifest {taken['manifest_serial']} and told of {told}"
    for one in taken["wishes"]:
        if not one["refused"]:
            yield f"{one['line']}: {one['state']}"
