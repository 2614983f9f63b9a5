"""What a program asks outside: a listener that nobody may come to, and a record of all that a Python process asks."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_RECORDER = r'''
"""Loaded by Python at its start: notes each connection, datagram and look-up before it happens."""

import json
import os
import sys

_OUT = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_WHERE = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1, "socket.getaddrinfo": 0}


def _note(event, arguments):
    if event in _WHERE:
        where = arguments[_WHERE[event]]
        host, port = (where[0], where[1]) if isinstance(where, tuple) else (where, arguments[1])
        if event != "socket.getaddrinfo" and not isinstance(where, tuple):
            return  # a socket of the file system
        host = host.decode() if isinstance(host, bytes) else host
        os.write(_OUT, (json.dumps([event.partition(".")[2], host, port]) + "\n").encode())


sys.addaudithook(_note)
'''


class Trap:
    """Listens on loopback, as IPv4 and IPv6, on one port; whoever comes is counted and dropped."""

    def __init__(self, listeners: list[socket.socket]) -> None:
        self.port = int(listeners[0].getsockname()[1])
        self._listeners = listeners
        self._came: list[tuple[str, int]] = []
        self._ours: list[tuple[str, int]] = []
        self._threads = [threading.Thread(target=self._serve, args=(one,), daemon=True) for one in listeners]
        for thread in self._threads:
            thread.start()

    def visitors(self) -> list[tuple[str, int]]:
        """Who came until now: we come ourselves, after all who came before, and are not counted."""
        self._ours += [self._visit(listener.getsockname()[:2]) for listener in self._listeners]
        return [one for one in self._came if one not in self._ours]

    def _visit(self, address: tuple[str, int]) -> tuple[str, int]:
        with socket.create_connection(address, timeout=10) as visit:
            own = visit.getsockname()[:2]
            visit.recv(1)  # until we are counted and dropped
        return own[0], own[1]

    def _serve(self, listener: socket.socket) -> None:
        with suppress(OSError):  # at the end
            while True:
                visitor, address = listener.accept()
                self._came.append((address[0], address[1]))
                visitor.close()

    def stop(self) -> None:
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(10)


@contextmanager
def trap(port: int = 0, address: str = "127.0.0.1") -> Iterator[Trap]:
    """A trap on that IPv4 address, and on ::1 where the machine has it."""
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_server((address, port), backlog=128))
        listeners = [first]
        with suppress(OSError):  # a machine without IPv6
            listeners.append(socket.create_server(("::1", first.getsockname()[1]), family=socket.AF_INET6, backlog=128))
        made = Trap(listeners)
        try:
            yield made
        finally:
            made.stop()


@dataclass(frozen=True, slots=True)
class Asked:
    """`how`: connect, sendto, sendmsg or getaddrinfo."""

    how: str
    host: str
    port: int | str | None


@dataclass(frozen=True, slots=True)
class Record:
    """What programs started with `environment` ask outside, through Python's own sockets."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(self.folder)}

    @property
    def prefix(self) -> list[str]:
        """The same, to be put before a command."""
        return ["env", *(f"{name}={value}" for name, value in self.environment.items())]

    def asked(self) -> list[Asked]:
        file = self.folder / "asked"
        return [Asked(*json.loads(line)) for line in file.read_text().splitlines()] if file.exists() else []


def record(folder: Path) -> Record:
    """Kept in `folder`, which is made."""
    folder.mkdir()
    text = _RECORDER.replace("FILE", repr(str(folder / "asked")))
    (folder / "sitecustomize.py").write_text(text.lstrip())
    return Record(folder)
