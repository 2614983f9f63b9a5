"""HTTPS to one host: pooled connections, one deadline for each whole exchange, a cap on its size, no redirects.

On httptools, because it was measured: 0.07 ms of CPU for a request and its answer, where http.client takes 0.14,
urllib3 0.23 and httpx 0.45; and because those three bound each read, not the sum of a thousand slow ones.
"""

import select
import socket
import ssl
import threading
from dataclasses import dataclass
from importlib.metadata import version

import httptools

from certline_master.ca.dialling import UNBOUND, Dialler
from certline_master.ca.origin import Origin
from certline_master.domain.errors import CaUnreachable
from certline_master.domain.model import FailureClass
from certline_shared.clock import Clock

MOST_ANSWER_BYTES = 256 * 1024
MOST_IDLE_CONNECTIONS = 64
EXCHANGE_SECONDS = 30.0

_OTHER_HOST = 62  # X509_V_ERR_HOSTNAME_MISMATCH
_OTHER_ADDRESS = 64  # X509_V_ERR_IP_ADDRESS_MISMATCH


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first value of a header given in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    def all_of(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


class Transport:
    """Connections to one origin, kept open between requests. Thread-safe."""

    def __init__(
        self,
        origin: Origin,
        ca_certificates: str | None,
        clock: Clock,
        *,
        seconds: float = EXCHANGE_SECONDS,
        dialler: Dialler = UNBOUND,
    ) -> None:
        """`ca_certificates` (PEM) are the only roots trusted, None for the system's. Raises CaUnreachable when they
        cannot be read."""
        self.origin = origin
        self._dialler = dialler
        self._tls = _tls_context(ca_certificates)
        self._clock = clock
        self._seconds = seconds
        self._idle: list[ssl.SSLSocket] = []
        self._lock = threading.Lock()
        self._common = (
            f"Host: {origin.authority}\r\nUser-Agent: certline/{version('certline')}\r\n"
            "Accept-Language: en\r\nAccept-Encoding: identity\r\n"
        )

    def send(self, method: str, url: str, *, body: bytes = b"", accept: str = "*/*") -> Answer:
        """One request and its whole answer, whatever its status.

        `body` is a JWS. Raises CaRefused for a URL on another host, else CaUnreachable (CaOffLimits when its host
        must not be asked where it is); nothing is sent twice.
        """
        target = self.origin.target(url)
        until = self._clock.monotonic() + self._seconds
        head = f"{method} {target} HTTP/1.1\r\n{self._common}Accept: {accept}\r\n"
        if method == "POST":
            head += f"Content-Type: application/jose+json\r\nContent-Length: {len(body)}\r\n"
        try:
            return self._exchange(head.encode("ascii") + b"\r\n" + body, until, bodyless=method == "HEAD")
        except ssl.SSLCertVerificationError as error:
            raise _untrusted(self.origin, error) from None
        except TimeoutError:
            raise self._unreachable(f"did not answer in full within {self._seconds:g} s") from None
        except (OSError, httptools.HttpParserError, UnicodeError) as error:
            raise self._unreachable(f"could not be asked: {_words(error)}") from None

    def close(self) -> None:
        """Drop the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _exchange(self, message: bytes, until: float, *, bodyless: bool) -> Answer:
        connection = self._take() or self._connect(until)
        try:
            connection.settimeout(self._left(until))
            connection.sendall(message)
            found = self._receive(connection, until, bodyless=bodyless)
        except BaseException:
            connection.close()
            raise
        self._give_back(connection, found.is_reusable)
        return found.answer()

    def _receive(self, connection: ssl.SSLSocket, until: float, *, bodyless: bool) -> "_Reading":
        reading = _Reading(bodyless=bodyless)
        while not reading.is_done:
            connection.settimeout(self._left(until))
            reading.feed(connection.recv(65_536))
        return reading

    def _left(self, until: float) -> float:
        left = until - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def _take(self) -> ssl.SSLSocket | None:
        """The idle connection used last that the CA has not closed meanwhile."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not _has_news(connection):
                return connection
            connection.close()

    def _give_back(self, connection: ssl.SSLSocket, is_reusable: bool) -> None:
        with self._lock:
            if is_reusable and len(self._idle) < MOST_IDLE_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _connect(self, until: float) -> ssl.SSLSocket:
        plain = self._dialler.dial(self.origin, lambda: self._left(until))
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(self._left(until))
            return self._tls.wrap_socket(plain, server_hostname=self.origin.host)
        except BaseException:
            plain.close()
            raise

    def _unreachable(self, what: str) -> CaUnreachable:
        return CaUnreachable(f"the CA at https://{self.origin.authority} {what}")


class _Reading:
    """An answer as it comes in: what httptools calls back."""

    def __init__(self, *, bodyless: bool) -> None:
        self.is_done = False
        self.is_reusable = False
        self._bodyless = bodyless
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._has_head = False

    def feed(self, data: bytes) -> None:
        """Take some bytes, none at the end of the connection."""
        if not data:
            self._end()
            return
        self._size += len(data)
        if self._size > MOST_ANSWER_BYTES:
            raise OSError(f"its answer is longer than {MOST_ANSWER_BYTES} bytes")
        self._parser.feed_data(data)

    def answer(self) -> Answer:
        return Answer(self._parser.get_status_code(), tuple(self._headers), b"".join(self._body))

    def on_message_begin(self) -> None:
        if self.is_done:
            raise ValueError("more than one answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("ascii").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._has_head = self._parser.get_status_code() >= 200
        if self._has_head and self._bodyless:  # the parser does not know that the request was a HEAD
            self.is_done = True
            self.is_reusable = ("connection", "close") not in {(name, value.lower()) for name, value in self._headers}

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # an interim answer (RFC 9110 section 15.2)
            self._headers.clear()
        elif not self.is_done:
            self.is_reusable = self._parser.should_keep_alive()
            self.is_done = True

    def _end(self) -> None:
        names = {name for name, _ in self._headers}
        if not self._has_head or names & {"content-length", "transfer-encoding"}:
            raise OSError("the connection ended before the answer did")
        self.is_done = True  # without a length the end of the connection ends the body (RFC 9112 section 6.3)


def _tls_context(ca_certificates: str | None) -> ssl.SSLContext:
    # Not create_default_context: that one writes session keys to a file when the environment says so.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_certificates is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        context.load_verify_locations(cadata=ca_certificates)
    except (ssl.SSLError, ValueError):
        fault = CaUnreachable(
            "the issuer's CA certificates cannot be read: give PEM text with at least one certificate"
        )
        fault.failure = FailureClass.FIX_CONFIGURATION
        raise fault from None
    return context


def _has_news(connection: ssl.SSLSocket) -> bool:
    """Whether an idle connection has something to read: its end, for nothing else may come unasked."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


def _untrusted(origin: Origin, error: ssl.SSLCertVerificationError) -> CaUnreachable:
    if error.verify_code in {_OTHER_HOST, _OTHER_ADDRESS}:
        return CaUnreachable(f"the server at https://{origin.authority} shows a certificate for another host")
    return CaUnreachable(
        f"the certificate of https://{origin.authority} is not trusted ({error.verify_message}): "
        "for a private CA give its root as the issuer's CA certificates"
    )


def _words(error: Exception) -> str:
    if isinstance(error, httptools.HttpParserError | UnicodeError):
        return "its answer is not HTTP"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
