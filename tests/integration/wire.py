"""A client that puts bytes on the wire as it likes: slowly, half, or wrong."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from select import select
from urllib.parse import urlsplit

PATIENCE = 20.0  # seconds; a test that needs them has failed


class Wire:
    """One connection to a server."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.raw.settimeout(PATIENCE)
        self._kept = b""  # of the next answer

    def send(self, *pieces: bytes) -> None:
        """What the other end does not want any more is not sent."""
        with suppress(ConnectionError, ssl.SSLError):
            for piece in pieces:
                self.raw.sendall(piece)

    def drip(self, data: bytes, seconds: float) -> bytes:
        """A byte every so many seconds until something comes back; all that comes until the end."""
        for at in range(len(data)):
            self.send(data[at : at + 1])
            if select([self.raw], [], [], seconds)[0]:
                return self.rest()
        raise AssertionError("everything was taken, without an answer")

    def rest(self) -> bytes:
        """All that still comes, until the server ends the connection. Raises TimeoutError when it does not."""
        found, self._kept = self._kept, b""
        with suppress(ConnectionError, ssl.SSLError):
            while piece := self.raw.recv(65536):
                found += piece
        return found

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing comes for so long, not even the end."""
        return not select([self.raw], [], [], seconds)[0]

    def answer(self) -> bytes:
        """One answer with a Content-Length, or without a body."""
        found, self._kept = self._kept, b""
        while b"\r\n\r\n" not in found:
            found += self._more()
        head, _, body = found.partition(b"\r\n\r\n")
        fields = [line.partition(b":") for line in head.lower().split(b"\r\n")]
        length = next((int(value) for name, _, value in fields if name == b"content-length"), 0)
        while len(body) < length:
            body += self._more()
        self._kept = body[length:]
        return head + b"\r\n\r\n" + body[:length]

    def _more(self) -> bytes:
        piece = self.raw.recv(65536)
        assert piece, "the connection ended before the answer"
        return piece


@contextmanager
def wire(url: str, tls: ssl.SSLContext | None = None, *, source: str = "127.0.0.1") -> Iterator[Wire]:
    """A connection to the server at that URL, ended afterwards."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 0)
    with socket.create_connection(address, timeout=PATIENCE, source_address=(source, 0)) as plain:
        if tls is None:
            yield Wire(plain)
        else:
            with tls.wrap_socket(plain, server_hostname="localhost") as secured:
                yield Wire(secured)


def head(first: str, *fields: str) -> bytes:
    """A request's head with the header Host."""
    return "\r\n".join([f"{first} HTTP/1.1", "Host: master.example", *fields, "", ""]).encode("latin-1")


def statuses(data: bytes) -> Sequence[int]:
    """Of the answers in there."""
    return [int(part[:3]) for part in data.split(b"HTTP/1.1 ")[1:]]
