"""`certline backup`, `certline restore` and `certline epoch raise`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import click

from certline_master.cli.asking import columns, many, shown_time
from certline_master.cli.failures import REFUSED, CommandFailed
from certline_master.cli.local_faults import local_faults
from certline_master.cli.local_store import local_store
from certline_master.cli.main import settings_path
from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Invalid
from certline_master.domain.going_back import HOLD
from certline_master.settings import Settings, load
from certline_master.store import backup_file
from certline_master.store.backing_up import back_up
from certline_master.store.backup_file import BadBackup, Manifest
from certline_master.store.kek import Kek
from certline_master.store.key_files import found_in
from certline_master.store.keyring import KekSource, Keyring
from certline_master.store.records import sql
from certline_master.store.restoring import Restoring, with_key_of_backup
from certline_master.store.returning import Returned, after_going_back
from certline_master.wiring import kek_source
from certline_shared import __version__
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock

Output = Literal["text", "json"]
_OUTPUT = click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
_HOLD = click.option(
    "--hold",
    type=click.IntRange(0, 10_080),
    default=int(HOLD.total_seconds() // 60),
    show_default=True,
    metavar="MINUTES",
    help="How long no new order is opened, so that hosts can show what was issued meanwhile.",
)


class FileOrVerb(click.Group):
    """`backup FILE` is `backup create FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["create", *args]
        return super().parse_args(ctx, args)


@click.group(cls=FileOrVerb, subcommand_metavar="FILE|DIR | verify FILE")
def backup() -> None:
    """Back up the database, also beside a running master: `backup FILE`, `backup DIR`; `backup verify FILE`.

    The key encryption key is never part of it, and must not lie beside it.
    """


@backup.command("create", hidden=True)
@click.argument("target", metavar="FILE|DIR", type=click.Path(path_type=Path))
@_OUTPUT
@click.option("--quiet", "-q", is_flag=True, help="Say nothing when all went well.")
@click.pass_obj
def create(config: str | None, *, target: Path, output: Output, quiet: bool) -> None:
    """Write everything into one file, verified, readable to its owner alone.

    In a DIR it is called certline-TIME.tar.gz. An older file is never written over.
    """
    with local_store(config) as (settings, store), _of_backup():
        ring = kek_source(settings).keyring()
        now = SystemClock().now()
        path = target / f"certline-{now:%Y%m%dT%H%M%SZ}.tar.gz" if target.is_dir() else target
        _refuse_beside_key(settings, path.absolute().parent, ring)
        try:
            made = back_up(store, path, ring.present, release=__version__, clock=SystemClock())
        except FileExistsError:
            raise CommandFailed(f"{path} is there already: name another file, or a folder", REFUSED) from None
    if output == "json":
        click.echo(json.dumps({"file": str(path), **_shown(made, proved=ring.present is not None)}, indent=2))
    elif not quiet:
        click.echo(
            f"{path}: {many(made.rows, 'row')}, {path.stat().st_size} bytes, for the key {', '.join(made.facts.keks)}"
        )
    if ring.present is None:
        click.echo(f"certline: made without the key, so nothing proves later who made it ({ring.why_sealed})", err=True)


def _refuse_beside_key(settings: Settings, folder: Path, ring: Keyring) -> None:
    """Who takes the folder away must not have taken both."""
    path = kek_source(settings).file
    inside = path is not None and path.resolve().is_relative_to(folder.resolve())
    found = path if inside else found_in(folder, ring.all())
    if found is not None:
        text = f"the key encryption key lies in {found}, beside the backup: who gets that folder gets every secret"
        raise CommandFailed(f"{text}; write the backup elsewhere, or move the key", REFUSED)


@backup.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@_OUTPUT
@click.pass_obj
def verify(config: str | None, *, file: Path, output: Output) -> None:
    """Check that a backup is whole, and with the key at hand that nobody changed it."""
    with local_faults(), _of_backup():
        manifest, proved = backup_file.verify(file, _keys_at_hand(config))
    if output == "json":
        click.echo(json.dumps({"file": str(file), **_shown(manifest, proved=proved)}, indent=2))
        return
    facts = manifest.facts
    click.echo(f"{file}: whole; {many(manifest.rows, 'row')} of {facts.made}, by certline {facts.certline}")
    click.echo(f"  installation  {facts.instance}, epoch {facts.epoch}")
    click.echo(f"  needs the key {', '.join(facts.keks)}")
    click.echo(f"  {'proved by that key' if proved else 'not proved: the key is not at hand, or it was made without'}")


def _keys_at_hand(config: str | None) -> tuple[Kek, ...]:
    """A backup can be checked where there is no master too."""
    try:
        return kek_source(load(settings_path(config))).keyring().all()
    except (CommandFailed, Invalid):
        return ()


def _shown(manifest: Manifest, *, proved: bool) -> dict[str, object]:
    facts = {name: value for name, value in asdict(manifest.facts).items() if name != "tables"}
    counts: dict[str, int] = {}
    for part in manifest.parts:
        counts[part.table] = counts.get(part.table, 0) + part.rows
    return facts | {"rows": counts, "proved": proved}


@contextmanager
def _of_backup() -> Iterator[None]:
    """A backup that is no good is refused (exit code 3), not a fault in the settings."""
    try:
        yield
    except BadBackup as fault:
        raise CommandFailed(f"{fault.faults[0].field}: {fault.faults[0].detail}", REFUSED) from fault


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--force", is_flag=True, help="SQLite: keep the database that is there aside, and replace it.")
@click.option("--backup-kek", metavar="SOURCE", help="The key that the backup needs, where it is not the settings'.")
@click.option("--unproved", is_flag=True, help="Take a backup that was made without the key.")
@_HOLD
@_OUTPUT
@click.pass_obj
def restore(
    config: str | None, *, file: Path, force: bool, backup_kek: str | None, unproved: bool, hold: int, output: Output
) -> None:
    """Put a backup into an empty database, SQLite or Postgres, whichever it came from; `serve` has to be stopped.

    The epoch is raised, so that followers accept the older state once. Whatever was revoked after the backup is in
    force again: look through what is listed.
    """
    with local_faults():
        settings = load(settings_path(config))
    with local_faults(settings.file), _of_backup():
        ring = kek_source(settings).keyring()
        if backup_kek is not None:
            ring = with_key_of_backup(ring, Keyring(KekSource(backup_kek).read()))
        doing = Restoring(file, ring, SystemClock(), SystemChance(), timedelta(minutes=hold))
        manifest = doing.check(unproved=unproved)
        done = doing.into(settings.store.url, manifest, force=force)
    _tell(done, output, f"the backup of {manifest.facts.made} is restored; now start `certline serve`")


@click.group()
def epoch() -> None:
    """The epoch, which tells followers that this master went back in time."""


@epoch.command("raise")
@_HOLD
@_OUTPUT
@click.pass_obj
def raise_(config: str | None, *, hold: int, output: Output) -> None:
    """For a database that went back in time by other means than `restore` (a snapshot of the machine): the same after
    it. Then restart `certline serve` on every master.
    """
    with local_store(config) as (_, store):
        now = SystemClock().now()
        done = store.write(
            lambda records: after_going_back(
                SYSTEM, sql(records), hold=timedelta(minutes=hold), now=now, why="the epoch was raised by hand"
            )
        )
    _tell(done, output, "the epoch was raised; now restart `certline serve` on every master")


def _tell(done: Returned, output: Output, text: str) -> None:
    if output == "json":
        followers = [{"name": one.name, "last_seen": _iso(one.last_seen)} for one in done.followers]
        shown = asdict(done) | {"followers": followers, "tokens": [one.name for one in done.tokens]}
        click.echo(json.dumps(shown | {"held_until": _iso(done.held_until)}, indent=2))
        return
    for line in (text, *_story(done)):
        click.echo(line)


def _story(done: Returned) -> Iterator[str]:
    yield f"epoch {done.epoch}: each follower accepts the older state once, and says so in its log"
    yield f"orders that go on where the CA has them: {done.orders_resumed}; that wait: {done.orders_held}"
    yield f"no new order is opened before {shown_time(_iso(done.held_until))} (but by `line issue --force`)"
    yield f"enrolment strings that nobody had used, ended: {done.enrolments_ended}"
    yield ""
    yield "In force again, also what was revoked or changed after that moment. Look through these, one by one:"
    rows: list[tuple[str, ...]] = [
        ("follower", one.name, f"last seen {shown_time(_iso(one.last_seen))}") for one in done.followers
    ]
    rows += [("admin token", one.name, f"expires {shown_time(_iso(one.expires))}") for one in done.tokens]
    yield from columns(rows) if rows else ("  (no follower, no token)",)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
