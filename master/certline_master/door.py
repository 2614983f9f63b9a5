"""The API's door: it takes connections from the listening socket, gives each a place, and opens TLS on it."""

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from certline_master.api.forwarded import plain_address
from certline_master.connection import CLOSING_SECONDS, Connection, Patience
from certline_master.places import Place, Places, no_address

RESERVED_FILES = 512  # descriptors for all else that the master opens: database, CA, DNS, logs
SHORT_OF_FILES = 0.1  # seconds until the next try

log = logging.getLogger("certline.listener")


def raise_file_limit() -> int:
    """Allow this process as many open files as it may have; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1_048_576


def room(wished: int, files: int) -> int:
    """How many connections fit beside the other files of a process that may open so many."""
    return max(64, min(wished, files - RESERVED_FILES))


class Door:
    """Takes connections between `open` and `close`. uvicorn treats it like an asyncio server."""

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        places: Places,
        *,
        patience: Patience | None = None,
        unwelcome: Callable[[str], bool] = no_address,
    ) -> None:
        """`unwelcome`: from which addresses no connection is taken."""
        self.patience = patience or Patience()
        self._listener, self._tls, self._places, self._unwelcome = listener, tls, places, unwelcome
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, connection: Callable[[Place, float], Connection]) -> None:
        """`connection` makes one for a client that is there since a time of the loop."""
        self._connection = connection
        self._start(self._accept())

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._listener.close()

    def _start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(self._listener)
            except OSError as fault:  # too many open files here or in the whole machine; or the client left already
                log.debug("a connection could not be taken; tried again", extra={"error": str(fault)})
                await asyncio.sleep(SHORT_OF_FILES)
                continue
            self._admit(accepted, plain_address(str(address[0])))

    def _admit(self, accepted: socket.socket, address: str) -> None:
        place = None if self._unwelcome(address) else self._places.take(address, lambda: _cut(accepted))
        if place is None:
            accepted.close()
            return
        self._start(self._begin(accepted, place, asyncio.get_running_loop().time()))

    async def _begin(self, accepted: socket.socket, place: Place, since: float) -> None:
        """Nothing is made for a client before its first byte: one that says nothing costs next to nothing."""
        try:
            async with asyncio.timeout_at(since + self.patience.read_seconds):
                await _first_byte(accepted)
        except (TimeoutError, asyncio.CancelledError):
            accepted.close()
            place.leave()
            return
        await self._open(accepted, self._connection(place, since), since)

    async def _open(self, accepted: socket.socket, connection: Connection, since: float) -> None:
        """The TLS handshake has no limit of its own: what is left of it is for all that is read."""
        loop = asyncio.get_running_loop()
        left = max(0.001, since + self.patience.read_seconds - loop.time())
        more = {"ssl_handshake_timeout": left, "ssl_shutdown_timeout": CLOSING_SECONDS} if self._tls else {}
        try:
            await loop.connect_accepted_socket(lambda: connection, accepted, ssl=self._tls, **more)
        except OSError:  # not TLS, too old, too slow, or gone: nothing that an operator could act on
            connection.forget()
        except asyncio.CancelledError:
            connection.forget()
            raise


async def _first_byte(accepted: socket.socket) -> None:
    loop, came = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(accepted, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(accepted)


def _cut(accepted: socket.socket) -> None:
    """In whatever state it is: its transport sees the end and cleans up."""
    with suppress(OSError):
        accepted.shutdown(socket.SHUT_RDWR)
