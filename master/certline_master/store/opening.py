"""Opening a store: the engine, the lock, the schema's revision, the vault, the writer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from certline_master.domain.errors import Unavailable
from certline_master.domain.ports import Records
from certline_master.store import secrets
from certline_master.store.data_key_rows import instance_id, newest_key
from certline_master.store.engine import Database, database, reading_engine, writing_engine
from certline_master.store.faults import Trouble, trouble, unavailable
from certline_master.store.kek import Kek
from certline_master.store.keyring import Keyring
from certline_master.store.lock import WriterLock
from certline_master.store.records import SqlRecords, session_of
from certline_master.store.schema import refuse_unless_at_head
from certline_master.store.session import Session
from certline_master.store.transactions import WriterConnection
from certline_master.store.vault import Vault
from certline_master.store.writer import Writer
from certline_shared.chance import Chance
from certline_shared.clock import Clock

T = TypeVar("T")


class SqlStore:
    """The Store on SQLite or Postgres. Make it with `open_store`."""

    def __init__(
        self, found: Database, kek: Kek | Keyring | None, clock: Clock, chance: Chance, lock: WriterLock | None
    ) -> None:
        self._database, self._clock, self._chance, self._lock = found, clock, chance, lock
        self._vault = Vault(kek, chance)
        self._chain = chance.uuid()  # of the events that this process writes
        self._readers = reading_engine(found)
        self._transactions = WriterConnection(writing_engine(found), found.begin_write, self._records, clock)
        self._writer = Writer(self._transactions)

    @contextmanager
    def read(self) -> Iterator[Records]:
        """Raises Unavailable when the database cannot be reached."""
        try:
            with self._reader() as connection:
                yield self._records(connection)
        except SQLAlchemyError as error:
            if trouble(error) is None:
                raise
            raise unavailable(error) from error

    def write(self, work: Callable[[Records], T]) -> T:
        return self._writer.run(work)

    def initialise(self) -> bool:
        """Make the instance's id and first data key where there are none; tells whether it made any.

        Raises Unavailable: sealed, the KEK is not the database's, or the data keys are gone.
        """
        return self.write(lambda records: secrets.initialise(session_of(records)))

    @property
    def sealed(self) -> str | None:
        """Why secrets cannot be read or added: no KEK, a wrong one, a damaged data key. None: they can."""
        if self._vault.sealed:
            return self._vault.sealed
        with self._reader() as connection:
            session = self._session(connection)
            key = newest_key(session)
            return None if key is None else self._vault.check(instance_id(session), key)

    @property
    def broken(self) -> str | None:
        """Why nothing is written any more and the process should end; None while all is well."""
        return self._writer.broken

    def close(self) -> None:
        """Finish what is queued and let go of the database. May be called twice."""
        self._writer.close()
        self._transactions.close()
        self._readers.dispose()
        if self._lock:
            self._lock.release()
            self._lock = None

    @contextmanager
    def _reader(self) -> Iterator[Connection]:
        with self._begin_reading() as connection:
            try:
                yield connection
            finally:
                if not connection.invalidated:
                    connection.exec_driver_sql("ROLLBACK")

    def _begin_reading(self) -> Connection:
        """A pooled connection may have died unnoticed; BEGIN finds out, and a second try gets a fresh one."""
        try:
            return self._begun()
        except SQLAlchemyError as error:
            if trouble(error) is not Trouble.LOST:
                raise
        return self._begun()

    def _begun(self) -> Connection:
        connection = self._readers.connect()
        try:
            connection.exec_driver_sql(self._database.begin_read)
        except SQLAlchemyError:
            connection.close()
            raise
        return connection

    def _records(self, connection: Connection) -> SqlRecords:
        return SqlRecords(self._session(connection))

    def _session(self, connection: Connection) -> Session:
        is_postgres = self._database.sqlite_path is None
        return Session(connection, self._clock, self._chance, self._vault, is_postgres, self._chain)


def open_store(
    url: str, *, kek: Kek | Keyring | None, clock: Clock, chance: Chance, exclusive: bool = True
) -> SqlStore:
    """Open a database that is at head. Raises Invalid (the URL) or Unavailable (cannot be reached, not at head, or,
    on SQLite, another process writes to it).

    `exclusive` takes SQLite's writer lock for the life of the store; without it the store is for a look, or for a
    single change beside a running master. On Postgres it means nothing. Without `kek` the store is sealed.
    """
    found = database(url)
    _refuse_missing(found)
    lock = WriterLock(found.sqlite_path) if exclusive and found.sqlite_path else None
    try:
        refuse_unless_at_head(found)
        return SqlStore(found, kek, clock, chance, lock)
    except BaseException:
        if lock:
            lock.release()
        raise


def _refuse_missing(found: Database) -> None:
    """A missing folder is told in words, not made."""
    if found.sqlite_path and not found.sqlite_path.exists():
        raise Unavailable(f"there is no database {found.sqlite_path}: run `certline init` or `certline migrate`")
