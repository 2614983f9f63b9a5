"""A TLS-terminating proxy that does to chosen requests what a bad network or a bad CA would do."""

import asyncio
import re
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from tests.testbed.authority import Authority
from tests.testbed.http_message import Answer, Request, answer, read_answer, read_request
from tests.testbed.pebble import Pebble
from tests.testbed.ports import free_port
from tests.testbed.program import TestbedError

__all__ = ["Answer", "Exchange", "Fault", "FaultProxy", "Request", "answer", "fault_proxy", "in_front_of"]

Change = Callable[[Answer], Answer]


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to which requests. The first fault that matches a request is used up by it.

    method, path: which requests (`path` is searched as a regular expression); skip: how many of them pass
    first; times: how many are struck then (None: all).
    latency: seconds before the request goes on; cut: the connection is dropped before the request is forwarded
    or after the answer came in; reply: sent in place of forwarding; change: what becomes of the answer;
    change_request: what becomes of the request on its way;
    drip: seconds before each further byte of the answer; cut_after: bytes of the answer that still get through.
    """

    path: str = ""
    method: str | None = None
    skip: int = 0
    times: int | None = None
    latency: float = 0
    cut: Literal["before forwarding", "after forwarding"] | None = None
    reply: Answer | None = None
    change: Change | None = None
    change_request: Callable[[Request], Request] | None = None
    drip: float = 0
    cut_after: int | None = None
    struck: int = field(default=0, init=False)
    _seen: int = field(default=0, init=False)

    def takes(self, request: Request) -> bool:
        """Whether this request is struck; counts the ones that match."""
        if (self.method not in {None, request.method}) or not re.search(self.path, request.path):
            return False
        self._seen += 1
        if self._seen <= self.skip or (self.times is not None and self.struck >= self.times):
            return False
        self.struck += 1
        return True


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request seen by the proxy; status: what the client was sent, None when it was cut off.

    answer: what the upstream said, before any change.
    """

    request: Request
    status: int | None
    forwarded: bool
    answer: Answer | None = None

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def path(self) -> str:
        return self.request.path


class FaultProxy:
    """A running proxy: add faults at any time, read what passed. URLs made by the upstream lead back to it."""

    def __init__(self, port: int, ca_file: Path) -> None:
        self.port = port
        self.ca_file = ca_file
        self.exchanges: list[Exchange] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def directory_url(self) -> str:
        """Pebble's directory through the proxy."""
        return f"{self.url}/dir"

    def add(self, fault: Fault) -> Fault:
        """Put a fault in place; it comes after those already there."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Take all faults away."""
        with self._lock:
            self._faults.clear()

    def forget(self) -> None:
        """Start counting anew."""
        with self._lock:
            self.exchanges.clear()

    def count(self, path: str = "", method: str | None = None) -> int:
        """How many requests matched so far."""
        with self._lock:
            seen = list(self.exchanges)
        return sum(1 for one in seen if method in {None, one.method} and re.search(path, one.path))

    def fault_for(self, request: Request) -> Fault | None:
        """The fault that strikes a request, counted."""
        with self._lock:
            return next((fault for fault in self._faults if fault.takes(request)), None)

    def record(self, exchange: Exchange) -> None:
        with self._lock:
            self.exchanges.append(exchange)


class _Cut(Exception):
    """Drop the client's connection now."""


@dataclass(slots=True)
class _Connection:
    """One client's connection and the upstream connection that serves it, opened when first needed."""

    proxy: FaultProxy
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    upstream_port: int
    upstream_tls: ssl.SSLContext
    upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def serve(self) -> None:
        """Answer requests until one side ends the connection or the proxy stops."""
        try:
            while (request := await read_request(self.reader)) is not None:
                await self._exchange(request, self.proxy.fault_for(request) or Fault())
        except (_Cut, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            await _drop(self.writer)
            if self.upstream:
                await _drop(self.upstream[1])

    async def _exchange(self, request: Request, fault: Fault) -> None:
        await asyncio.sleep(fault.latency)
        if fault.cut == "before forwarding":
            self.proxy.record(Exchange(request, None, forwarded=False))
            raise _Cut
        passed = fault.change_request(request) if fault.change_request else request
        found = fault.reply or await self._forward(passed)
        sent = fault.change(found) if fault.change else found
        cut_off = fault.cut is not None or fault.cut_after is not None
        forwarded = fault.reply is None
        answered = found if forwarded else None
        self.proxy.record(Exchange(request, None if cut_off else sent.status, forwarded=forwarded, answer=answered))
        if fault.cut == "after forwarding":
            raise _Cut
        await self._send(_on_the_wire(request, sent), fault)

    async def _forward(self, request: Request) -> Answer:
        if self.upstream is None:
            self.upstream = await asyncio.open_connection(
                "127.0.0.1", self.upstream_port, ssl=self.upstream_tls, server_hostname="localhost"
            )
        reader, writer = self.upstream
        writer.write(request.encoded())
        await writer.drain()
        found = await read_answer(reader, to=request)
        if (found.header("Connection") or "").lower() == "close":
            writer.close()
            self.upstream = None
        return found

    async def _send(self, data: bytes, fault: Fault) -> None:
        wanted = data if fault.cut_after is None else data[: fault.cut_after]
        pieces = [wanted] if not fault.drip else [wanted[at : at + 1] for at in range(len(wanted))]
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(fault.drip)
        if fault.cut_after is not None:
            self.writer.close()  # not aborted, so that the bytes before the cut arrive for sure


async def _drop(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()


def _on_the_wire(request: Request, sent: Answer) -> bytes:
    data = sent.encoded()
    return data[: len(data) - len(sent.body)] if request.method == "HEAD" else data


@contextmanager
def fault_proxy(
    upstream_port: int, *, upstream_ca: Path, authority: Authority | None = None, names: tuple[str, ...] | None = None
) -> Iterator[FaultProxy]:
    """A proxy on localhost in front of a TLS server on 127.0.0.1, which it knows by `upstream_ca`.

    It presents a certificate of `authority` (a new one when None: its `ca_file` is the handle's) for `names`.
    """
    with TemporaryDirectory(prefix="certline-proxy-") as folder:
        own = authority or Authority(Path(folder))
        certificate = own.issue(f"proxy-{upstream_port}", names) if names else own.issue(f"proxy-{upstream_port}")
        proxy = FaultProxy(free_port(), own.ca_file)
        upstream_tls = ssl.create_default_context(cafile=upstream_ca)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _Connection(proxy, reader, writer, upstream_port, upstream_tls).serve()

        with _in_a_thread(serve, proxy.port, certificate.server_context()):
            yield proxy


@contextmanager
def in_front_of(ca: Pebble) -> Iterator[FaultProxy]:
    """A proxy in front of Pebble, trusted by the same CA file."""
    with fault_proxy(ca.port, upstream_ca=ca.ca_file, authority=ca.authority) as proxy:
        yield proxy


_Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@contextmanager
def _in_a_thread(serve: _Serve, port: int, tls: ssl.SSLContext) -> Iterator[None]:
    """Serve connections on a loop of its own; at the end all connections are dropped and the thread is gone."""
    loop = asyncio.new_event_loop()
    listening, stop = threading.Event(), asyncio.Event()

    async def listen() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", port, ssl=tls)
        listening.set()
        await stop.wait()
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(listen())

    thread = threading.Thread(target=run, name="fault-proxy")
    thread.start()
    try:
        if not listening.wait(10):
            raise TestbedError(f"the fault proxy could not listen on port {port}")
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
