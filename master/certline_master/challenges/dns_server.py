"""A DNS server's sockets: UDP and TCP (RFC 7766) on one endpoint, in a thread of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from typing import Protocol, cast

from certline_master.challenges.endpoint import Endpoint, bind_udp, listen_tcp
from certline_master.challenges.loop_thread import LoopThread

IDLE_SECONDS = 5.0
LONGEST_QUERY = 4096
MOST_CONNECTIONS = 512
MOST_AT_ONCE = 64
"""Queries that one client may send without waiting for an answer (RFC 7766 section 6.2.1.1)."""


class Answer(Protocol):
    def __call__(self, wire: bytes, *, by_udp: bool) -> bytes | None: ...


class DnsServer:
    """Listens from `start` to `stop` and gives each message to `answer`, in the loop's thread: it has to be quick."""

    def __init__(self, endpoint: Endpoint, answer: Answer) -> None:
        self.endpoint = endpoint
        self._answer = answer
        self._open: set[_Connection] = set()
        self._thread = LoopThread(f"dns {endpoint}", self._service)

    def start(self) -> None:
        """Raises OSError that names the endpoint when it cannot be had."""
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()

    @asynccontextmanager
    async def _service(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        datagrams, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._answer), sock=bind_udp(self.endpoint)
        )
        with closing(datagrams):
            listener = await loop.create_server(
                lambda: _Connection(self._answer, self._open), sock=listen_tcp(self.endpoint)
            )
            with closing(listener):
                yield
        for connection in list(self._open):
            connection.cut()
        await asyncio.sleep(0)  # closed transports say goodbye in the loop's next turn


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._answer(data, by_udp=True) if len(data) <= LONGEST_QUERY else None
        if reply is not None:
            self._transport.sendto(reply, addr)


class _Connection(asyncio.Protocol):
    """One TCP client: each message has its length in front. Cut when it is idle, greedy, or does not read."""

    def __init__(self, answer: Answer, all_open: "set[_Connection]") -> None:
        self._answer, self._all = answer, all_open
        self._buffer = b""
        self._stop_waiting: Callable[[], None] = lambda: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._all.add(self)
        if len(self._all) > MOST_CONNECTIONS:
            self.cut()
        else:
            self._wait()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for _ in range(MOST_AT_ONCE):
            message = self._next()
            if message is None:
                return
            self._reply(message)
        self.cut()

    def _reply(self, message: bytes) -> None:
        reply = self._answer(message, by_udp=False)
        if reply is None:  # not DNS: nothing that follows can be trusted
            self.cut()
        else:
            self._transport.write(len(reply).to_bytes(2, "big") + reply)
            self._wait()

    def _next(self) -> bytes | None:
        """The next whole message; a length that no query of ours has ends the connection."""
        if len(self._buffer) < 2 or self._transport.is_closing():
            return None
        length = int.from_bytes(self._buffer[:2], "big")
        if not 12 <= length <= LONGEST_QUERY:
            self.cut()
            return None
        if len(self._buffer) < 2 + length:
            return None
        message, self._buffer = self._buffer[2 : 2 + length], self._buffer[2 + length :]
        return message

    def _wait(self) -> None:
        """Start the wait for a whole message anew: single octets do not prolong it."""
        self._stop_waiting()
        self._stop_waiting = asyncio.get_running_loop().call_later(IDLE_SECONDS, self.cut).cancel

    def pause_writing(self) -> None:
        self.cut()

    def cut(self) -> None:
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 asyncio's signature
        self._stop_waiting()
        self._all.discard(self)
