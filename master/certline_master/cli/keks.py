"""`certline kek` and `certline datakey`: the keys above the secrets, worked on beside a running master."""

import json
from typing import Literal

import click

from certline_master.cli.asking import columns, many, shown_time
from certline_master.cli.failures import REFUSED, WRONG, CommandFailed
from certline_master.cli.local_store import local_store, unsealed
from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Unavailable
from certline_master.domain.ports import Records
from certline_master.settings import Settings
from certline_master.store import key_files
from certline_master.store.kek import Kek
from certline_master.store.keyring import FORMER, KekSource
from certline_master.store.opening import SqlStore
from certline_master.store.records import sql
from certline_master.wiring import kek_source
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.failpoints import failpoint


@click.group()
def kek() -> None:
    """The key encryption key: rotate, retire, status."""


@kek.command()
@click.option("--to", metavar="SOURCE", help="Where the new key is: file:PATH (made if missing), exec:, env:, ...")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def rotate(config: str | None, *, to: str | None, command: tuple[str, ...]) -> None:
    """Put all data keys under a new KEK, beside a running master. The former one opens them too until `kek retire`.

    For a key in a file everything is done here; for other sources --to names where the new key is (for exec: with
    arguments write them after --), and what to change in certline.toml is told.
    """
    with local_store(config) as (settings, store):
        unsealed(store)
        if to is None:
            _rotate_file(settings, store)
        else:
            _rotate_to(settings, store, to, command)


def _rotate_file(settings: Settings, store: SqlStore) -> None:
    path = kek_source(settings).file
    if path is None:
        text = f"secrets.kek is {settings.secrets.kek}: name with --to where the new key is (it has to be there)"
        raise CommandFailed(text, WRONG)
    if key_files.beside(path, FORMER).exists() and not key_files.beside(path, ".new").exists():
        raise _not_retired()
    new = key_files.next_kek(path, SystemChance())
    _rewrap(store, new)
    key_files.swap(path)
    click.echo(f"{path} is the new key, with id {new.id}; the former one is kept as {path.name}{FORMER}")
    click.echo("Keep a copy of the new key apart from all backups. When every master runs with it: certline kek retire")


def _rotate_to(settings: Settings, store: SqlStore, to: str, command: tuple[str, ...]) -> None:
    scheme, _, rest = to.partition(":")
    source = f"file:{settings.folder / rest}" if scheme == "file" else to
    new = KekSource(source, command, kek_source(settings).data_folder)
    if new.file is not None and not new.file.exists():
        key_files.make(new.file, SystemChance())
        failpoint("kek.new-made")
    found = new.read()
    if found == kek_source(settings).read():
        raise CommandFailed(f"{to} gives the key that is in use already", REFUSED)
    _rewrap(store, found)
    click.echo(f"all data keys are under the key with id {found.id}, and still under the former one")
    click.echo(f"Now write in {settings.file}:")
    click.echo("")
    click.echo("[secrets]")
    click.echo(f"kek = {json.dumps(to)}")
    if command:
        click.echo(f"kek_command = {json.dumps(list(command))}")
    click.echo("")
    click.echo("restart `certline serve` on every master, then: certline kek retire")


def _rewrap(store: SqlStore, new: Kek) -> None:
    def work(records: Records) -> int:
        former = {one.kek_id for one in sql(records).data_keys.all(SYSTEM) if one.former_kek_id} - {new.id}
        if former:
            raise _not_retired()
        count = sql(records).data_keys.rewrap(SYSTEM, new)
        if count:
            text = f"{many(count, 'data key')} went under another key encryption key"
            _event(records, "kek.rotated", text, {"kek_id": new.id})
        return count

    store.write(work)
    failpoint("kek.rewrapped")


def _not_retired() -> CommandFailed:
    return CommandFailed(
        "the former key of the last rotation is still in force: first run `certline kek retire`", REFUSED
    )


def _event(records: Records, kind: str, text: str, data: dict[str, object]) -> None:
    records.events.add(SYSTEM, kind, "instance", text, now=SystemClock().now(), data=data)


@kek.command()
@click.pass_obj
def retire(config: str | None) -> None:
    """End the former KEK: from now on only the present one opens the data keys.

    Backups made before the rotation still need the former key: it goes from this machine, not from its safe place.
    """
    with local_store(config) as (settings, store):
        unsealed(store)
        source = kek_source(settings)
        count = store.write(lambda records: _forget(records, source.read()))
        failpoint("kek.retired")
        dropped = source.file is not None and key_files.drop_former(source.file)
    if not count and not dropped:
        click.echo("nothing to do: no former key is in force")
        return
    click.echo("the former key opens nothing here any more" + (", and its file is gone" if dropped else ""))
    click.echo("Backups made before the rotation still need it: keep a copy apart as long as you keep them.")


def _forget(records: Records, present: Kek) -> int:
    try:
        count = sql(records).data_keys.forget_former(SYSTEM, present)
    except Unavailable as why:
        text = f"secrets.kek does not give the key that all data keys are under, nothing was ended: {why}"
        raise CommandFailed(text, REFUSED) from why
    if count:
        _event(records, "kek.retired", "the former key encryption key opens nothing any more", {"kek_id": present.id})
    return count


@kek.command()
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_obj
def status(config: str | None, *, output: Literal["text", "json"]) -> None:
    """Show which KEK the database needs, what is given, and the data keys under it."""
    with local_store(config) as (settings, store):
        with store.read() as records:
            generations = sql(records).data_keys.all(SYSTEM)
        sealed = store.sealed
    if output == "json":
        keys = [
            {"id": one.id, "created": one.created.isoformat(), "kek_id": one.kek_id, "former_kek_id": one.former_kek_id}
            | {"secrets": one.secrets}
            for one in generations
        ]
        click.echo(json.dumps({"source": settings.secrets.kek, "sealed": sealed, "data_keys": keys}, indent=2))
        return
    click.echo(f"source  {settings.secrets.kek or '-'}")
    click.echo(f"state   {sealed or 'the secrets can be read'}")
    rows = [
        (one.id, shown_time(one.created.isoformat()), str(one.secrets), one.kek_id, one.former_kek_id or "-")
        for one in generations
    ]
    for line in columns([("DATA KEY", "CREATED", "SECRETS", "KEK", "FORMER KEK"), *rows]):
        click.echo(line)


@click.group()
def datakey() -> None:
    """The data keys, under which the secrets are."""


@datakey.command("rotate")
@click.option("--batch", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Secrets in one write.")
@click.pass_obj
def rotate_data_keys(config: str | None, *, batch: int) -> None:
    """Make a new data key and seal all secrets under it, beside a running master; then remove the old one.

    Cut off, it goes on where it was when it is run again.
    """
    with local_store(config) as (_, store):
        with unsealed(store).read() as records:
            if any(one.former_kek_id for one in sql(records).data_keys.all(SYSTEM)):
                raise _not_retired()  # a master that still has the former KEK could not open the new data key
        carried, unreadable, dropped = _carry(store, batch)
        if not carried and not dropped:  # nothing of a former run was left to do
            store.write(_add)
            failpoint("datakey.added")
            carried, unreadable, dropped = _carry(store, batch)
    click.echo(f"{many(carried, 'secret')} sealed anew, {many(len(dropped), 'old data key')} removed")
    if unreadable:
        text = f"these secrets cannot be read and stay under their old data key: {', '.join(unreadable)}"
        raise CommandFailed(text, REFUSED)


def _add(records: Records) -> None:
    made = sql(records).data_keys.add(SYSTEM)
    _event(records, "datakey.added", "a new data key seals what is new", {"data_key": made})


def _carry(store: SqlStore, batch: int) -> tuple[int, list[str], list[str]]:
    """Everything under older data keys: how many secrets, which cannot be read, which data keys went."""
    count, unreadable, last = 0, list[str](), ""
    while True:
        after = last
        done = store.write(lambda records: sql(records).data_keys.carry_over(SYSTEM, after=after, most=batch))  # noqa: B023 called at once
        if done.count:
            failpoint("datakey.batch-carried")
        count += done.count
        unreadable += done.unreadable
        if done.last is None:
            break
        last = done.last
    return count, unreadable, store.write(_drop)


def _drop(records: Records) -> list[str]:
    dropped = sql(records).data_keys.drop_unused(SYSTEM)
    for key in dropped:
        _event(records, "datakey.removed", "a data key was removed: no secret is under it", {"data_key": key})
    return dropped
