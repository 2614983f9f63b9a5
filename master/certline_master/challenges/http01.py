"""The solver "listener": the master's own http-01 server (RFC 8555 section 8.3), answering from the ledger."""

import asyncio
import http.client
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from certline_master.challenges import dns01
from certline_master.challenges.endpoint import Endpoint, listen_tcp
from certline_master.challenges.loop_thread import LoopThread
from certline_master.domain.model import Challenge, Zone
from certline_master.domain.ports import Visibility

NAME = "listener"
PATH = "/.well-known/acme-challenge/"
DEADLINE_SECONDS = 5.0
LONGEST_HEAD = 8192
MOST_CONNECTIONS = 256

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (\S{1,2048}) HTTP/1\.[01]")
_LOG = logging.getLogger(__name__)

KeyAuthorization = Callable[[str], str | None]
"""Token → what to answer; None for an unknown one."""


class HttpListener:
    """Serves from `start` to `stop`; one request a connection. `answer` is called in the server's thread, for tokens
    of the right form only: it has to be quick."""

    def __init__(self, endpoint: Endpoint, answer: KeyAuthorization) -> None:
        self.endpoint = endpoint
        self._answer = answer
        self._open = 0
        self._thread = LoopThread(f"http-01 {endpoint}", self._service)

    def start(self) -> None:
        """Raises OSError that names the endpoint when it cannot be had."""
        self._thread.start()

    def stop(self) -> None:
        self._thread.stop()

    @asynccontextmanager
    async def _service(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, sock=listen_tcp(self.endpoint), limit=LONGEST_HEAD)
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                if self._open <= MOST_CONNECTIONS:
                    await self._exchange(reader, writer)
        except (OSError, EOFError):
            pass  # who does not ask in time, or leaves, gets nothing
        finally:
            self._open -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            writer.write(_reply(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        else:
            writer.write(self._respond(head))
        await writer.drain()

    def _respond(self, head: bytes) -> bytes:
        line = _REQUEST_LINE.fullmatch(head.partition(b"\r\n")[0])
        if line is None:
            return _reply(HTTPStatus.BAD_REQUEST)
        if line[1] not in (b"GET", b"HEAD"):
            return _reply(HTTPStatus.METHOD_NOT_ALLOWED)
        found = self._find(line[2].decode("latin-1"))
        if isinstance(found, HTTPStatus):
            return _reply(found)
        return _reply(HTTPStatus.OK, found.encode("ascii"), only_head=line[1] == b"HEAD")

    def _find(self, path: str) -> str | HTTPStatus:
        token = path.removeprefix(PATH)
        if token == path or not dns01.is_plain(token):
            return HTTPStatus.NOT_FOUND
        try:
            return self._answer(token) or HTTPStatus.NOT_FOUND
        except Exception:  # noqa: BLE001 whatever keeps the store from answering is the server's failure
            _LOG.exception("the http-01 listener could not look up a token")
            return HTTPStatus.SERVICE_UNAVAILABLE


def _reply(status: HTTPStatus, body: bytes | None = None, *, only_head: bool = False) -> bytes:
    content = f"{status} {status.phrase}\n".encode() if body is None else body
    kind = "text/plain" if body is None else "application/octet-stream"
    lines = [
        f"HTTP/1.1 {status} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(content)}",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if only_head else content)


class ListenerSolver:
    """The ledger's rows are the answers, so there is nothing to put in place. `listen`: where our listener is, None
    when another master's (or another program) answers."""

    def __init__(self, listen: Endpoint | None) -> None:
        self._listener = listen.from_here if listen else None

    def present(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:  # noqa: ARG002 the port's signature
        dns01.refuse_odd_tokens(challenges)

    def is_visible(self, zone: Zone | None, challenges: Sequence[Challenge]) -> Visibility:
        self.present(zone, None, challenges)
        if self._listener is None:
            return Visibility(complete=True)
        for challenge in challenges:
            detail = _look(self._listener, challenge)
            if detail:
                return Visibility(complete=False, detail=f"our listener on {self._listener} {detail}")
        return Visibility(complete=True)

    def clean_up(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        """Nothing: a row that is removed is not answered."""

    def check(self, zone: Zone) -> tuple[str, ...]:
        return (f"solver: {NAME} answers http-01 and serves no zone ({zone.name}): list its names under `http:`",)


def _look(listener: Endpoint, challenge: Challenge) -> str:
    """What is missing, or ""."""
    connection = http.client.HTTPConnection(listener.address, listener.port, timeout=2.0)
    try:
        connection.request("GET", PATH + challenge.token, headers={"Host": challenge.name})
        answer = connection.getresponse()
        shown = answer.read(1024) == challenge.value.encode("ascii") and answer.status == HTTPStatus.OK
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer ({type(error).__name__})"
    finally:
        connection.close()
    return "" if shown else f"does not show the answer for {challenge.name} yet"
