"""`certline signing-key`: the key that signs what followers install."""

import click

from certline_master.cli.asking import Asked, asks_master


@click.group("signing-key")
def signing_key() -> None:
    """The key that signs what followers install: rotate."""


@signing_key.command()
@click.option("--force", is_flag=True, help="Also where followers do not know the next key yet: they are cut off.")
@asks_master
def rotate(asked: Asked, *, force: bool) -> None:
    """Sign with the next key from now on, and announce another.

    A follower that asked since the last rotation goes on; one that slept across two has to be enrolled anew.
    """
    done = asked.client.post("/v1/signing-key/rotate", {"force": force})
    lines = [f"signing with {done['present']}"]
    lines += [f"cut off until it is enrolled anew: {name}" for name in done["cut_off"]]
    asked.show(done, lines)
