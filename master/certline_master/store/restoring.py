"""Restoring a backup into an empty database: verified before, whole or not at all, and marked as gone back in time."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, Unavailable
from certline_master.domain.ports import Records
from certline_master.store import backup_file, portable
from certline_master.store.backup_file import BadBackup, Manifest
from certline_master.store.engine import database, schema_engine
from certline_master.store.keyring import Keyring
from certline_master.store.lock import WriterLock
from certline_master.store.opening import open_store
from certline_master.store.records import sql
from certline_master.store.returning import Returned, after_going_back
from certline_master.store.schema import HEAD, migrate, revision
from certline_shared.chance import Chance
from certline_shared.clock import Clock
from certline_shared.failpoints import failpoint

_EXCHANGED = "it was changed since it was checked"


@dataclass(frozen=True, slots=True)
class Restoring:
    """A backup on its way into a database. `keys` holds the KEK of the settings, and those that the backup needs."""

    path: Path
    keys: Keyring
    clock: Clock
    chance: Chance
    hold: timedelta

    def check(self, *, unproved: bool) -> Manifest:
        """Raises BadBackup, Conflict (nothing proves it, and `unproved` does not take that), Unavailable (its KEK)."""
        manifest, proved = backup_file.verify(self.path, self.keys.all())
        if missing := [one for one in manifest.facts.keks if self.keys.find(one) is None]:
            raise Unavailable(
                f"this backup needs the key encryption key with id {missing[0]}, given was {self.keys.shown or 'none'}:"
                " name where it is with --backup-kek"
            )
        if not proved and not unproved:
            raise Conflict(
                f"nothing proves who made {self.path} (the backup was made without the key): if you know it is yours,"
                " say --unproved"
            )
        if manifest.facts.revision != HEAD:
            raise Unavailable(
                f"the backup was made by certline {manifest.facts.certline} (schema {manifest.facts.revision}, here it"
                f" is {HEAD}): restore it with that release, then run `certline migrate` with this one"
            )
        return manifest

    def into(self, url: str, manifest: Manifest, *, force: bool) -> Returned:
        """Raises Conflict when there is something already, Unavailable, OSError."""
        found = database(url)
        if found.sqlite_path is None:
            return self._into_postgres(url, manifest)
        return self._into_sqlite(found.sqlite_path, manifest, force=force)

    def _into_postgres(self, url: str, manifest: Manifest) -> Returned:
        if revision(database(url)) not in ("", HEAD):
            raise Conflict(f"the database has another schema than {HEAD}: restore into an empty one")
        migrate(url)
        return self._fill(url, manifest)

    def _into_sqlite(self, path: Path, manifest: Manifest, *, force: bool) -> Returned:
        """The new file is made beside the old one and takes its place in one step."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _alone(path):
            is_empty = _is_empty(path)
            if not is_empty and not force:
                raise Conflict(f"{path} is there and not empty: with --force it is kept aside and replaced")
            coming = path.with_name(path.name + ".restoring")
            _remove(coming)
            migrate(f"sqlite:///{coming}")
            done = self._fill(f"sqlite:///{coming}", manifest)
            failpoint("restore.filled")
            _into_place(coming, path, aside=None if is_empty else f".before-{done.epoch}")
        return done

    def _fill(self, url: str, manifest: Manifest) -> Returned:
        store = open_store(url, kek=self.keys, clock=self.clock, chance=self.chance)
        try:
            return store.write(lambda records: self._rows(records, manifest))
        except (ValueError, LookupError, TypeError, RecursionError, SQLAlchemyError) as fault:
            raise BadBackup(self.path, f"it holds what no certline wrote ({type(fault).__name__})") from fault
        finally:
            store.close()

    def _rows(self, records: Records, manifest: Manifest) -> Returned:
        connection = sql(records).session.connection
        if filled := portable.filled(connection):
            raise Conflict(f"the database is not empty (there is something in {filled[0]}): restore into an empty one")
        self._put(connection, manifest)
        portable.continue_counting(connection)
        self._under_present_key(records)
        failpoint("restore.rows")
        why = f"the backup of {manifest.facts.made} was restored"
        return after_going_back(SYSTEM, sql(records), hold=self.hold, now=self.clock.now(), why=why)

    def _put(self, connection: Connection, manifest: Manifest) -> None:
        """The file is read once more, and may have been exchanged since."""
        tables = {shape.name: shape for shape in manifest.facts.tables}
        parts = {part.file: part for part in manifest.parts}
        for name, content in backup_file.contents(self.path):
            part = parts.pop(name, None)
            if part is not None:
                if hashlib.sha256(content).hexdigest() != part.sha256:
                    raise BadBackup(self.path, _EXCHANGED)
                portable.put(connection, tables[part.table], content.splitlines())
        if parts:
            raise BadBackup(self.path, _EXCHANGED)

    def _under_present_key(self, records: Records) -> None:
        """A backup under a former KEK is put under the one of the settings, which alone opens it from then on."""
        if self.keys.present is not None:
            sql(records).data_keys.rewrap(SYSTEM, self.keys.present)
            sql(records).data_keys.forget_former(SYSTEM, self.keys.present)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    held = WriterLock(path)
    try:
        yield
    finally:
        held.release()


def _is_empty(path: Path) -> bool:
    if not path.exists() or revision(database(f"sqlite:///{path}")) == "":
        return True
    engine = schema_engine(database(f"sqlite:///{path}"))
    try:
        with engine.connect() as connection:
            return not portable.filled(connection)
    finally:
        engine.dispose()


_BESIDE = ("", "-wal", "-shm")


def _remove(path: Path) -> None:
    for suffix in (*_BESIDE, ".lock"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _into_place(coming: Path, path: Path, *, aside: str | None) -> None:
    for suffix in _BESIDE:
        old = path.with_name(path.name + suffix)
        if aside is None:
            old.unlink(missing_ok=True)
        elif old.exists():
            old.rename(path.with_name(path.name + aside + suffix))
    failpoint("restore.moved-aside")
    coming.rename(path)
    coming.with_name(coming.name + ".lock").unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def with_key_of_backup(ring: Keyring, more: Keyring) -> Keyring:
    """The settings' KEK stays the present one."""
    return replace(ring, others=(*ring.others, *more.all()))
