"""The API's server: uvicorn on a socket of our own, with a deadline for the TLS handshake."""

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

HANDSHAKE_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75
GRACE_SECONDS = 2


def tls_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """TLS 1.2 and up with this certificate (its key in the same file, or in `key`). Raises OSError or ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
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
    """uvicorn, which takes neither an SSL context of ours nor a handshake deadline by itself."""

    def __init__(
        self, app: Any, listener: socket.socket, tls: ssl.SSLContext, *, stopping: Callable[[], None] = lambda: None
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
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=GRACE_SECONDS,
            )
        )
        self._listener, self._tls, self._stopping = listener, tls, stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise RuntimeError("the API did not start")
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            return self.config.http_protocol_class(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop
            )

        server = await loop.create_server(
            protocol, sock=self._listener, ssl=self._tls, ssl_handshake_timeout=HANDSHAKE_SECONDS, backlog=2048
        )
        self.servers = [server]
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    def run_until_told(self) -> None:
        """Serve until SIGTERM or SIGINT. (uvicorn raises the signal again once it has stopped; that is harmless.)"""

        def told(number: int, frame: FrameType | None) -> None:
            del number, frame
            self.should_exit = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, told)
        self.run()
