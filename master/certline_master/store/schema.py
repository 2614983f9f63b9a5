"""The schema's revision: is it the one this release needs, and bringing it there."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from certline_master.domain.errors import Unavailable
from certline_master.store.engine import Database, database, schema_engine
from certline_master.store.faults import unavailable
from certline_master.store.lock import WriterLock

HEAD = "0003"
OLDER = ("", "0001", "0002")
"""Revisions that `migrate` starts from, the empty database first; all others are newer than this release."""

_SCRIPTS = "certline_migrations:"  # by name, because nothing of the master imports the migrations


def at_head(url: str) -> bool:
    """Raises Unavailable when the database cannot be reached."""
    return revision(database(url)) == HEAD


def revision(found: Database) -> str:
    """The database's revision, "" when it has none. Raises Unavailable."""
    if found.sqlite_path and not found.sqlite_path.exists():
        return ""
    engine = schema_engine(found)
    try:
        with engine.connect() as connection:
            return _read(connection)
    except DBAPIError as error:
        raise unavailable(error) from error
    finally:
        engine.dispose()


def _read(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "")


def refuse_unless_at_head(found: Database) -> None:
    """Raises Unavailable, saying what to do."""
    present = revision(found)
    if present == HEAD:
        return
    if present in OLDER:
        raise Unavailable(
            f"the database is at revision {present or 'none'}, this certline needs {HEAD}: run `certline migrate`"
        )
    raise Unavailable(
        f"the database is at revision {present}, which this certline (revision {HEAD}) does not know: a newer release"
        " made it; install that one (`certline migrate` cannot go back)"
    )


def migrate(url: str) -> bool:
    """Bring the database to this release's revision; tells whether that changed anything.

    Raises Unavailable: it cannot be reached, a newer release made it, or (SQLite) another process writes to it.
    """
    found = database(url)
    with _alone(found):
        present = revision(found)
        if present == HEAD:
            return False
        if present not in OLDER:
            refuse_unless_at_head(found)
        _upgrade(url)
        return True


@contextmanager
def _alone(found: Database) -> Iterator[None]:
    """Postgres: the migration takes an advisory lock there."""
    if not found.sqlite_path:
        yield
        return
    found.sqlite_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found.sqlite_path.touch(mode=0o600, exist_ok=True)  # SQLite gives its log and index files the same mode
    held = WriterLock(found.sqlite_path)
    try:
        yield
    finally:
        held.release()


def _upgrade(url: str) -> None:
    from alembic import command  # late: serving needs no Alembic
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    config.attributes["url"] = url
    try:
        command.upgrade(config, "head")
    except DBAPIError as error:
        raise unavailable(error) from error
