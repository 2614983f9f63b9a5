"""The lock that keeps a second writing process off an SQLite database."""

import fcntl
import os
from pathlib import Path

from certline_master.domain.errors import Unavailable


class WriterLock:
    """Held from making until `release`, or until the process ends, however it ends."""

    def __init__(self, database: Path) -> None:
        """Raises Unavailable when another process holds it."""
        path = database.with_name(database.name + ".lock")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 20).decode("ascii", "replace").strip()
            os.close(self._file)
            raise Unavailable(
                f"another certline process ({holder or 'unknown'}) is writing to {database}; an SQLite database has one"
                " writer: stop that process first, or use Postgres"
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"pid {os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        os.close(self._file)
