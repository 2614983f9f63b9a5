"""A request as it came over the wire, before anything in it is believed."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

from certline_master.api.problems import TooLarge
from certline_shared.signing import BadSignature, RequestParts

PROTOCOL_HEADER = "certline-protocol"
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Incoming:
    """The parts of a request that signatures and limits are about. Header names are in lower case."""

    method: str
    path: str  # raw
    query: str  # raw
    headers: Mapping[str, str]
    body: bytes
    address: str  # evidence for limits and audit only: behind a proxy it is the proxy's

    @classmethod
    def of(cls, scope: Scope, body: bytes) -> "Incoming":
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        client = scope.get("client")
        return cls(
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            body=body,
            address=client[0] if client else "unknown",
        )

    def parts(self, origins: "tuple[str, ...]") -> RequestParts:
        """What its signature covers, under the configured origin that the Host header names.

        Raises BadSignature when it names none.
        """
        host = self.headers.get("host", "").lower()
        if host not in {authority_of(origin) for origin in origins}:
            raise BadSignature("other authority")
        return RequestParts(self.method, host, self.path, self.query, self.headers.get("content-type"), self.body)


def authority_of(origin: str) -> str:
    """Host and port of an origin in lower case, without the scheme's default port (RFC 9421 section 2.2.3)."""
    parts = urlsplit(origin.lower())
    if parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return parts.netloc.removesuffix(f":{parts.port}")
    return parts.netloc


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The whole body. Raises Refused when it is over `most` bytes. How long it may take is the listener's concern."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    if not announced.isdigit() or int(announced[:20]) > most:
        raise TooLarge(most)
    return await _read(receive, most)


async def _read(receive: Receive, most: int) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > most:
            raise TooLarge(most)
        if not message.get("more_body", False):
            return bytes(body)
