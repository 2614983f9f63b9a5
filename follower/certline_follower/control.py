"""How a command reaches the daemon of this host: a socket in state_dir that only the follower's own user can open."""

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any

WAKE = signal.SIGUSR1
SOCKET = "control"
DEPLOY = "deploy"
MOST_BYTES = 65_536  # of a request
_SECONDS = 10.0  # for a request to come in whole


@dataclass(frozen=True, slots=True)
class Request:
    """Deploy these lines, all of them when none is named; or ask the master to `renew` or `rollover` one."""

    lines: tuple[str, ...]
    answer: Callable[[dict[str, Any]], None]
    what: str = DEPLOY


@contextmanager
def listening(state_dir: Path) -> Iterator["Queue[Request]"]:
    """Take requests while inside; each one wakes the main thread. One daemon at a time: it holds the RunLock."""
    path, requests = state_dir / SOCKET, Queue[Request]()
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        with _private_umask(), _address(path) as address:
            server.bind(address)
        server.listen(4)
        thread = threading.Thread(target=_serve, args=(server, requests), daemon=True)
        thread.start()
        try:
            yield requests
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink(missing_ok=True)


@contextmanager
def _private_umask() -> Iterator[None]:
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """An address has 107 bytes at most (unix(7)), so it goes by the folder's descriptor. Raises OSError."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _serve(server: socket.socket, requests: "Queue[Request]") -> None:
    main = threading.main_thread().ident or 0
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        request = _read(connection)
        if request is None:
            connection.close()
            continue
        requests.put(request)
        signal.pthread_kill(main, WAKE)


def _read(connection: socket.socket) -> Request | None:
    connection.settimeout(_SECONDS)
    try:
        with connection.makefile("rb") as file:
            request = json.loads(file.readline(MOST_BYTES))
            lines, what = request["lines"], request.get("what", DEPLOY)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(lines, list) or not all(isinstance(name, str) for name in (*lines, what)):
        return None

    def answer(data: dict[str, Any]) -> None:
        with connection, suppress(OSError):  # who asked may be gone
            connection.sendall(json.dumps(data).encode())

    return Request(tuple(lines), answer, what)


def ask(state_dir: Path, lines: tuple[str, ...], seconds: float, what: str = DEPLOY) -> dict[str, Any] | None:
    """The running daemon's answer; None when none is running. Raises OSError, TimeoutError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        try:
            with _address(state_dir / SOCKET) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        request = {"lines": list(lines)} | ({} if what == DEPLOY else {"what": what})
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as file:
            answer = file.read()
    return dict(json.loads(answer)) if answer else None
