"""A PostgreSQL server on a Unix socket, with a fresh database for each who asks."""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from tests.testbed.parts import postgres_folder
from tests.testbed.program import Program, TestbedError, by_hand, ordinary_user, run, running

_OWNER = "certline"

# The machine itself does not fail in a test: what a killed server wrote is in the kernel's cache. So no fsync.
_SETTINGS = ("listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=300", "shared_buffers=32MB")


class PostgresServer:
    """A running server. Its databases live until it stops."""

    def __init__(self, programs: Path, socket_folder: Path, process: Program) -> None:
        self.process = process
        self._programs = programs
        self._socket_folder = socket_folder
        self._names = (f"db_{number}" for number in count(1))

    def new_database(self) -> str:
        """The SQLAlchemy URL (psycopg 3) of an empty database of its own."""
        name = next(self._names)
        run([*self._tool("createdb"), name])
        return f"postgresql+psycopg://{_OWNER}@/{name}?host={quote(str(self._socket_folder), safe='')}"

    def answers(self) -> bool:
        try:
            run(self._tool("pg_isready"))
        except TestbedError:
            return False
        return True

    def stop(self) -> None:
        """Stop politely; open connections are ended."""
        self.process.stop()

    def abandon(self) -> None:
        """End at once: nobody reads the data again, so there is no checkpoint to wait for."""
        with suppress(ProcessLookupError):
            self.process.signal(signal.SIGQUIT)

    def kill9(self) -> None:
        """End the server and all its backends as a crash would."""
        backends = _children(self.process.pid)
        self.process.kill9()
        for backend in backends:
            with suppress(ProcessLookupError):
                os.kill(backend, signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same data, after `stop` or `kill9` or while it runs."""
        self.process.stop()
        self.process.start()
        self.process.wait_until(self.answers)

    def _tool(self, name: str) -> Sequence[str | Path]:
        return [self._programs / name, "-h", self._socket_folder, "-U", _OWNER]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server of the newest PostgreSQL installed, run by an ordinary user; TestbedError when there is none."""
    programs = postgres_folder()
    if programs is None:
        raise TestbedError("PostgreSQL's server programs are not installed (apt-get install postgresql)")
    user = ordinary_user("postgres")
    with TemporaryDirectory(prefix="certline-pg-") as name:
        folder = Path(name)
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        run([programs / "initdb", "-A", "trust", "-U", _OWNER, "-E", "UTF8", "--no-sync", "-D", data], user=user)
        command: list[str | Path] = [programs / "postgres", "-D", data, "-k", folder]
        command += [word for setting in _SETTINGS for word in ("-c", setting)]
        process = Program(command, log=folder / "log", user=user, cwd=folder, stop_signal=signal.SIGINT)
        server = PostgresServer(programs, folder, process)
        with running(process, server.answers):
            try:
                yield server
            finally:
                server.abandon()


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def _for_a_person() -> Iterator[Sequence[str]]:
    with postgres_server() as server:
        yield [server.new_database()]


if __name__ == "__main__":
    by_hand(_for_a_person)
