"""Connections: SQLite and Postgres set up for safe writing, with transactions begun and ended in plain sight.

The drivers' own transaction handling is off (AUTOCOMMIT): what begins, saves and commits is said in BEGIN, SAVEPOINT
and COMMIT, the same on both databases.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from certline_master.domain.errors import Fault, Invalid

BUSY_SECONDS = 10  # how long a write waits for another process's (security note 3.4)
_READERS = 16  # connections kept for reading; twice as many more are opened under load

_POSTGRES_SETTINGS = {
    "timezone": "UTC",
    "synchronous_commit": "on",
    "lock_timeout": f"{BUSY_SECONDS}s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "60s",
}
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


@dataclass(frozen=True, slots=True)
class Database:
    """Which database it is, and how each of our transactions begins there."""

    url: URL
    sqlite_path: Path | None  # None: Postgres

    @property
    def begin_read(self) -> str:
        return "BEGIN" if self.sqlite_path else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

    @property
    def begin_write(self) -> str:
        # A deferred read-then-write fails at once on SQLite, in spite of the busy time-out.
        return "BEGIN IMMEDIATE" if self.sqlite_path else "BEGIN"


def database(url: str) -> Database:
    """Read a store URL. Raises Invalid."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _no_use("it is not a database URL") from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return Database(parsed.set(drivername="postgresql+psycopg"), None)
    if backend != "sqlite":
        raise _no_use(f"{backend} is not supported")
    if parsed.database in (None, "", ":memory:") or "uri" in parsed.query:
        raise _no_use("SQLite needs a file")
    return Database(parsed.set(drivername="sqlite+pysqlite"), Path(str(parsed.database)).absolute())


def _no_use(why: str) -> Invalid:
    return Invalid(Fault("/store/url", f"{why}; use sqlite:////folder/certline.db or postgresql://user@host/name"))


def writing_engine(found: Database) -> Engine:
    """For one connection that lives as long as the writer."""
    return _engine(found, _PRAGMAS, poolclass=NullPool)


def reading_engine(found: Database) -> Engine:
    """A pool whose connections refuse to write (on Postgres the transaction says so)."""
    return _engine(found, (*_PRAGMAS, "query_only=ON"), pool_size=_READERS, max_overflow=2 * _READERS, pool_timeout=5)


def schema_engine(found: Database) -> Engine:
    """For migrations, which rebuild tables: without foreign keys on SQLite."""
    return _engine(found, _PRAGMAS[:2], poolclass=NullPool)


def _engine(found: Database, pragmas: tuple[str, ...], **options: Any) -> Engine:
    # An error must not carry a row's values: hide_parameters.
    common: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "hide_parameters": True}
    if not found.sqlite_path:
        return create_engine(found.url, connect_args=_postgres_arguments(found.url.query), **common, **options)
    arguments = {"timeout": BUSY_SECONDS, "cached_statements": 512, "check_same_thread": False}
    made = create_engine(found.url, connect_args=arguments, **common, **options)

    @event.listens_for(made, "connect")
    def prepare(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return made


def _postgres_arguments(query: Mapping[str, Any]) -> dict[str, Any]:
    """A setting of the operator's, in the URL's `options`, comes last and so wins."""
    ours = " ".join(f"-c {name}={value}" for name, value in _POSTGRES_SETTINGS.items())
    return {
        "connect_timeout": 5,
        "application_name": "certline",
        "options": f"{ours} {query.get('options', '')}".strip(),
    }
