"""The API's server: uvicorn behind a door of our own, which bounds what clients may take."""

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from certline_master.connection import IDLE_SECONDS, Connection
from certline_master.door import Door
from certline_master.places import Place

GRACE_SECONDS = 2.0  # for what is under way when the master stops
LOOK_SECONDS = 0.02
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 section 4.2). TLS 1.3 has no others."""

log = logging.getLogger("certline.listener")


def tls_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 and up with this certificate (its key in the same file, or in `key`). Raises OSError or ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key)
    return context


def listen(address: str) -> socket.socket:
    """A listening socket at HOST:PORT (port 0: any). Raises OSError."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        listener.bind((host, int(port)))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


class ApiServer(uvicorn.Server):
    """uvicorn, which by itself knows no deadline for what it reads, no most for a head, and no place to be had."""

    def __init__(
        self,
        app: Any,
        door: Door,
        *,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """`stopping` is called first when it stops: requests that wait for news would hold it up."""
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=IDLE_SECONDS,
            )
        )
        self._door, self._stopping = door, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise RuntimeError("the API did not start")
        self._door.open(self._connection)
        self.servers = [self._door]  # type: ignore[list-item]  # it closes as asyncio's do, which is all that is asked
        self.started = True

    def _connection(self, place: Place, since: float) -> Connection:
        known = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        return Connection(place, self._door.patience, since, **known)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Who asks nothing is not waited for, and only what was cut off is told of: uvicorn's own way logs an error
        when clients are slow to let go of connections that nothing was asked on."""
        del sockets
        self._stopping()
        self._door.close()
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        await self._last_answers()
        await self._door.wait_closed()
        await self.lifespan.shutdown()

    async def _last_answers(self) -> None:
        """For GRACE_SECONDS at most; what is under way then is cut off."""
        loop, state = asyncio.get_running_loop(), self.server_state
        until = loop.time() + GRACE_SECONDS
        while (state.tasks or state.connections) and loop.time() < until and not self.force_exit:  # noqa: ASYNC110 sets tell nothing
            await asyncio.sleep(LOOK_SECONDS)
        if state.tasks:
            log.warning("requests were cut off: a stop does not wait for them", extra={"requests": len(state.tasks)})
        for task in tuple(state.tasks):
            task.cancel()
        for connection in tuple(state.connections):
            connection.transport.abort()

    def run_until_told(self) -> None:
        """Serve until SIGTERM or SIGINT. (uvicorn raises the signal again once it has stopped; that is harmless.)"""

        def told(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, told)
        self.run()
