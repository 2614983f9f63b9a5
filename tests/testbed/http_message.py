"""HTTP/1.1 messages for the fault proxy: read whole from a stream, changed as values, written back."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """A first line (without its line end), headers in their order, and the whole body."""

    first_line: str
    headers: Headers = ()
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of a header, in any case of letters."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def without_header(self, name: str) -> Self:
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0].lower() != name.lower()))

    def with_header(self, name: str, value: str) -> Self:
        """The message with exactly one such header."""
        bare = self.without_header(name)
        return replace(bare, headers=(*bare.headers, (name, value)))

    def with_body(self, body: bytes) -> Self:
        return replace(self, body=body)

    def json(self) -> Any:
        return json.loads(self.body)

    def with_json(self, change: Callable[[Any], Any]) -> Self:
        """The message with its JSON body put through `change`."""
        return self.with_body(json.dumps(change(self.json())).encode())

    def encoded(self) -> bytes:
        """The bytes on the wire, with the length of the body as it is now."""
        plain = self.without_header("Content-Length").without_header("Transfer-Encoding")
        lines = [plain.first_line, *(f"{name}: {value}" for name, value in plain.headers)]
        if not self._has_no_length():
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body

    def _has_no_length(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A request; `method` and `path` (with its query) come from the first line."""

    @property
    def method(self) -> str:
        return self.first_line.split(" ")[0]

    @property
    def path(self) -> str:
        return self.first_line.split(" ")[1]

    def _has_no_length(self) -> bool:
        return not self.body and self.method in {"GET", "HEAD"}


@dataclass(frozen=True, slots=True)
class Answer(Message):
    """A response."""

    @property
    def status(self) -> int:
        return int(self.first_line.split(" ")[1])

    def with_status(self, status: int) -> Self:
        return replace(self, first_line=f"HTTP/1.1 {status} Changed")

    def _has_no_length(self) -> bool:
        return self.status in {204, 304}


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    """A response made up by a test; `Retry_After="5"` gives the header Retry-After."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(f"HTTP/1.1 {status} Made-up", named, body)


async def read_request(stream: asyncio.StreamReader) -> Request | None:
    """The next request, or None at the end of the connection."""
    head = await _read_head(stream)
    if head is None:
        return None
    first_line, headers = head
    return Request(first_line, headers, await _read_body(stream, headers))


async def read_answer(stream: asyncio.StreamReader, *, to: Request) -> Answer:
    """The response to a request; ConnectionError when the connection ends before it."""
    head = await _read_head(stream)
    if head is None:
        raise ConnectionResetError("no response")
    found = Answer(*head)
    if to.method == "HEAD" or found.status in {204, 304}:
        return found
    return found.with_body(await _read_body(stream, found.headers))


async def _read_head(stream: asyncio.StreamReader) -> tuple[str, Headers] | None:
    try:
        text = (await stream.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first_line, *lines = text.removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first_line, tuple((name, value.strip()) for name, _, value in pairs)


async def _read_body(stream: asyncio.StreamReader, headers: Headers) -> bytes:
    named = {name.lower(): value for name, value in headers}
    if named.get("transfer-encoding", "").lower() == "chunked":
        return await _read_chunks(stream)
    return await stream.readexactly(int(named.get("content-length", "0")))


async def _read_chunks(stream: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int((await stream.readline()).split(b";")[0], 16):
        chunks.append(await stream.readexactly(size))
        await stream.readline()
    await stream.readline()
    return b"".join(chunks)
