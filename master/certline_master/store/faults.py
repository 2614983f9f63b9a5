"""What went wrong in the database: whose fault it is, and what the writer does next."""

import sqlite3
from enum import Enum, auto

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from certline_master.domain.errors import Conflict, Unavailable


class Trouble(Enum):
    AGAIN = auto()  # serialization failure, deadlock: the same may succeed at once
    LOST = auto()  # the connection is gone
    SHORT = auto()  # locked too long, disk full, too many connections: try later
    BROKEN = auto()  # the disk lied or failed: what SQLite holds in memory may not be what is on disk


# https://www.sqlite.org/rescode.html; the low byte is the primary code.
_SQLITE = {
    sqlite3.SQLITE_BUSY: Trouble.SHORT,
    sqlite3.SQLITE_LOCKED: Trouble.SHORT,
    sqlite3.SQLITE_FULL: Trouble.SHORT,
    sqlite3.SQLITE_READONLY: Trouble.SHORT,
    sqlite3.SQLITE_CANTOPEN: Trouble.SHORT,
    sqlite3.SQLITE_IOERR: Trouble.BROKEN,
    sqlite3.SQLITE_CORRUPT: Trouble.BROKEN,
    sqlite3.SQLITE_NOTADB: Trouble.BROKEN,
}
# A full disk also shows as a failure to grow the WAL's index, before anything is written.
_SQLITE_EXTENDED = {sqlite3.SQLITE_IOERR_SHMSIZE: Trouble.SHORT, sqlite3.SQLITE_IOERR_NOMEM: Trouble.SHORT}

# https://www.postgresql.org/docs/current/errcodes-appendix.html: a whole code, or its class of two characters.
_POSTGRES = {
    "40001": Trouble.AGAIN,
    "40P01": Trouble.AGAIN,
    "08": Trouble.LOST,
    "57P01": Trouble.LOST,
    "57P02": Trouble.LOST,
    "57P03": Trouble.LOST,
    "25P03": Trouble.LOST,
    "53": Trouble.SHORT,
    "55P03": Trouble.SHORT,
    "57014": Trouble.SHORT,
    "25006": Trouble.SHORT,  # a replica, or this side of a failover
    "58": Trouble.SHORT,
}


def trouble(error: BaseException) -> Trouble | None:
    """None: not the database's trouble but the work's own."""
    if isinstance(error, PoolTimeout):
        return Trouble.SHORT
    if not isinstance(error, DBAPIError):
        return None
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return _SQLITE_EXTENDED.get(code) or _SQLITE.get(code & 0xFF)
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        return Trouble.LOST if error.connection_invalidated or _is_connect_failure(error) else None
    return _POSTGRES.get(state) or _POSTGRES.get(state[:2])


def _is_connect_failure(error: DBAPIError) -> bool:
    """psycopg gives no code for a connection that could not be made; there is no statement then."""
    return type(error.orig).__name__ == "OperationalError" and error.statement is None


def in_domain_words(error: BaseException) -> BaseException:
    """The error as callers of the store know it; what is no fault of the database or its rows stays as it is."""
    if isinstance(error, IntegrityError):
        return Conflict("it clashes with what was stored meanwhile, or refers to something that is gone")
    if isinstance(error, SQLAlchemyError) and trouble(error):
        return unavailable(error)
    return error


def unavailable(error: BaseException) -> Unavailable:
    """The driver's message names no value of ours; SQLAlchemy's would quote parameters."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    first_line = str(cause).strip().partition("\n")[0]
    return Unavailable(f"the database cannot do this now: {first_line}")
