"""`certline token`: admin tokens of people and scripts."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from certline_master.cli import local_tokens
from certline_master.cli.asking import Asked, Shown, asks_master, columns, on_terminal, shown_time
from certline_master.cli.failures import REFUSED, WRONG, CommandFailed
from certline_master.cli.followers import Duration

_to = click.option(
    "--to", type=click.Path(path_type=Path), metavar="FILE", help="Write the token there, for its owner only to read."
)


@click.group()
def token() -> None:
    """Admin tokens of people and scripts: create, list, rotate, revoke."""


@click.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator", "admin"]), required=True)
@click.option(
    "--expires", type=Duration(), metavar="TIME", help="How long it is good: 90d. (default: a year; never: --forever)"
)
@click.option("--forever", is_flag=True, help="It does not end by itself.")
@click.option("--network", "networks", metavar="CIDR", multiple=True, help="Good from there only; repeatable.")
@_to
@asks_master
def _by_api(
    asked: Asked, name: str, *, role: str, expires: int | None, forever: bool, networks: tuple[str, ...],
    to: Path | None,
) -> None:  # fmt: skip
    _refuse_both(expires, forever=forever)
    with _kept(to) as keep:
        body = {"role": role, "ttl_seconds": expires, "forever": forever, "networks": list(networks)}
        _hand_over(asked, asked.client.post(_route(name), body), keep)


@token.command(
    params=[
        *_by_api.params,
        click.Option(["--local"], is_flag=True, help="On the master's machine, in its database: no token is needed."),
    ]
)
@click.pass_context
def create(context: click.Context, /, *, local: bool, **wished: Any) -> None:
    """Make a token, and print it this once (on stdout, and nothing else).

    With --local it is made by whoever may read the master's settings and write its database: the way back in when the
    last admin token is lost.
    """
    if not local:
        context.invoke(_by_api, **wished)
        return
    _refuse_both(wished["expires"], forever=wished["forever"])
    with _kept(wished["to"]) as keep:
        made = local_tokens.make(
            context.obj,
            wished["name"],
            role=wished["role"],
            seconds=wished["expires"],
            forever=wished["forever"],
            networks=wished["networks"],
        )
        _hand_over(Shown(wished["output"], wished["quiet"]), made, keep)


def _refuse_both(expires: int | None, *, forever: bool) -> None:
    if forever and expires is not None:
        raise CommandFailed("--forever and --expires contradict each other: write one of them", WRONG)


@token.command()
@click.argument("name")
@click.option(
    "--overlap", type=Duration(), default="24h", show_default=True, metavar="TIME", help="How long both are good."
)
@_to
@asks_master
def rotate(asked: Asked, name: str, *, overlap: int, to: Path | None) -> None:
    """Make a new token in place of this one, which stays good for a while as NAME.before."""
    with _kept(to) as keep:
        _hand_over(asked, asked.client.post(f"{_route(name)}/rotate", {"overlap_seconds": overlap}), keep)


@token.command("list")
@asks_master
def list_(asked: Asked) -> None:
    """List the tokens that are not revoked; never their secrets."""
    found = asked.client.get("/v1/tokens")
    heading = ("TOKEN", "ROLE", "PREFIX", "CREATED", "EXPIRES", "LAST USED", "FROM")
    asked.show(found, columns([heading, *map(_row, found)]))


@token.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Even the last valid token of an admin.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@asks_master
def revoke(asked: Asked, name: str, *, force: bool, yes: bool) -> None:
    """Revoke a token, from its next use on."""
    if not yes and on_terminal() and not click.confirm(f"Revoke the token {name}?", err=True):
        raise CommandFailed("nothing was done", REFUSED)
    found = asked.client.post(f"{_route(name)}/revoke", {"force": force})
    asked.show(found, [f"{found['name']} is revoked"])


def _route(name: str) -> str:
    return f"/v1/tokens/{quote(name, safe='')}"


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    times = shown_time(one["created"]), shown_time(one["expires"]), shown_time(one["last_used"])
    return one["name"], one["role"], one["prefix"], *times, ", ".join(one["networks"]) or "anywhere"


class _kept:  # noqa: N801 read as a word of the `with` statement
    """The file that the token goes to, made before one is asked for: a token that nobody could keep is not made."""

    def __init__(self, path: Path | None) -> None:
        self._path, self._filled = path, False
        self._file: int | None = None

    def __enter__(self) -> "_kept":
        if self._path is not None:
            try:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                raise CommandFailed(f"{self._path} is there already: name a new file", WRONG) from None
            except OSError as fault:
                raise CommandFailed(f"{self._path}: cannot be written: {fault.strerror}", WRONG) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            if not self._filled and self._path is not None:
                self._path.unlink(missing_ok=True)

    @property
    def path(self) -> Path | None:
        return self._path

    def write(self, text: str) -> None:
        if self._file is None:
            raise RuntimeError("there is no file")
        os.write(self._file, f"{text}\n".encode())
        os.fsync(self._file)
        self._filled = True


def _hand_over(asked: Shown, made: dict[str, Any], keep: _kept) -> None:
    """On stdout, or in the file and nowhere else."""
    if keep.path is not None:
        keep.write(made.pop("token"))
        asked.show(made | {"file": str(keep.path)}, [f"the token {made['name']} is in {keep.path}"])
        return
    if asked.output == "text" and not asked.quiet:
        until = f"until {shown_time(made['expires'])}" if made["expires"] else "without an end"
        asked.note(f"good {until}, shown this once: keep it in a file that only its owner reads (CERTLINE_TOKEN_FILE)")
    asked.show(made, [made["token"]])
