"""Taking a backup: one reading transaction, beside whatever else uses the database."""

import os
from pathlib import Path

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Unavailable
from certline_master.store import backup_file, portable
from certline_master.store.backup_file import Facts, Manifest
from certline_master.store.data_key_rows import instance_id
from certline_master.store.kek import Kek
from certline_master.store.opening import SqlStore
from certline_master.store.records import SqlRecords, sql
from certline_master.store.schema import HEAD
from certline_shared.clock import Clock
from certline_shared.failpoints import failpoint


def back_up(store: SqlStore, path: Path, kek: Kek | None, *, release: str, clock: Clock) -> Manifest:
    """Write a backup to `path`, which appears whole or not at all, readable to its owner alone, and read it again.

    Raises Unavailable (the database is damaged), BadBackup (the disk is), OSError.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    try:
        with store.read() as records:
            manifest = _write(sql(records), beside, kek, release, clock)
        backup_file.verify(beside, (kek,) if kek else ())
        failpoint("backup.written")
        _keep(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return manifest


def _write(records: SqlRecords, path: Path, kek: Kek | None, release: str, clock: Clock) -> Manifest:
    connection = records.session.connection
    _refuse_if_damaged(records)
    facts = Facts(
        certline=release,
        made=clock.now().isoformat(timespec="seconds"),
        instance=instance_id(records.session),
        epoch=int(records.instance.get(SYSTEM, "epoch") or 0),
        revision=HEAD,
        database=connection.dialect.name,
        keks=tuple(sorted({one.kek_id for one in records.data_keys.all(SYSTEM)})),
        tables=tuple(portable.shapes()),
    )
    return backup_file.write(path, facts, ((one, portable.rows(connection, one)) for one in facts.tables), kek)


def _refuse_if_damaged(records: SqlRecords) -> None:
    if records.session.is_postgres:
        return
    found = str(records.session.connection.exec_driver_sql("PRAGMA integrity_check").scalar())
    if found != "ok":
        raise Unavailable(f"the database is damaged, so no backup was made of it: {found.splitlines()[0]}")


def _keep(beside: Path, path: Path) -> None:
    """Raises FileExistsError: an older backup is never written over."""
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.link(beside, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
