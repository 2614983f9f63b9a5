"""Backups made and restored for the tests of them, and what is in a database."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from certline_master.store import portable
from certline_master.store.backing_up import back_up
from certline_master.store.backup_file import Manifest
from certline_master.store.engine import database, schema_engine
from certline_master.store.keyring import Keyring
from certline_master.store.restoring import Restoring
from certline_master.store.returning import Returned
from tests.contract.store_bed import HOUR, StoreBed


def backed_up(bed: StoreBed, file: Path, *, with_key: bool = True) -> Manifest:
    file.parent.mkdir(exist_ok=True)
    return back_up(bed.store, file, bed.kek if with_key else None, release="9.9", clock=bed.clock)


def restored(
    bed: StoreBed, file: Path, url: str, *, keys: Keyring | None = None, force: bool = False, unproved: bool = False
) -> Returned:
    doing = Restoring(file, keys or Keyring(bed.kek), bed.clock, bed.chance, HOUR)
    return doing.into(url, doing.check(unproved=unproved), force=force)


def dumped(url: str) -> dict[str, list[Any]]:
    """All that is in a database, by table."""
    with connected(url) as connection:
        return {shape.name: sorted(portable.rows(connection, shape)) for shape in portable.shapes()}


class connected:  # noqa: N801 a context manager, used as a function
    """A transaction without foreign keys, kept at its end."""

    def __init__(self, url: str) -> None:
        self._engine = schema_engine(database(url))

    def __enter__(self) -> Connection:
        self._connection = self._engine.connect()
        self._connection.exec_driver_sql("BEGIN")
        if self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.exec_driver_sql("COMMIT")
        self._connection.close()
        self._engine.dispose()


def contents(file: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(file) as archive:
        for entry in archive:
            found = archive.extractfile(entry)
            assert found is not None
            yield entry.name, found.read()
