"""How Alembic reaches the database: URL from its caller or CERTLINE_STORE_URL; one transaction for all revisions."""

import os

from alembic import context
from sqlalchemy import Connection, text

from certline_master.store.engine import database, schema_engine
from certline_master.store.tables import metadata

_LOCK = 0x63657274  # "cert": two masters that start at once migrate one after the other


def _url() -> str:
    url = context.config.attributes.get("url") or os.environ.get("CERTLINE_STORE_URL")
    if not url:
        raise SystemExit("no database: set CERTLINE_STORE_URL, for example sqlite:////folder/certline.db")
    return str(url)


def _migrate(connection: Connection, *, is_sqlite: bool) -> None:
    if is_sqlite:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("BEGIN")
        connection.execute(text("SET LOCAL statement_timeout = '10min'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=is_sqlite)
    try:
        context.run_migrations()
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")


def _run() -> None:
    found = database(_url())
    engine = schema_engine(found)
    try:
        with engine.connect() as connection:
            _migrate(connection, is_sqlite=found.sqlite_path is not None)
    finally:
        engine.dispose()


_run()
