"""What is said before TLS begins, in each protocol that has a STARTTLS: one short exchange over a connected socket."""

import re
import socket
from collections.abc import Callable

from certline_follower.service_settings import StartTls

MOST_BYTES = 65_536  # of all that the other side says before TLS
_LDAP_REQUEST = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"  # RFC 4511 section 4.14.1
_POSTGRES_REQUEST = bytes.fromhex("0000000804d2162f")  # SSLRequest
_XMPP_TLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"  # RFC 6120 section 5.4


class NoStartTls(Exception):
    """The other side does not go on to TLS; the text says what it said."""


class Talk:
    """What came over a socket, line by line or up to a mark."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._total = 0

    def say(self, data: bytes) -> None:
        self._connection.sendall(data)

    def until(self, mark: bytes) -> bytes:
        """All up to and with the mark."""
        while mark not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(mark)
        return head + mark

    def take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def line(self) -> str:
        return self.until(b"\n").decode("utf-8", "replace").rstrip("\r\n")

    def end(self) -> None:
        """From here on TLS: what was sent ahead of it would be taken for a part of it (CVE-2011-0411)."""
        if self._buffer:
            raise NoStartTls("it sent more before TLS than the protocol allows")

    def _more(self) -> None:
        chunk = self._connection.recv(4096)
        self._buffer += chunk
        self._total += len(chunk)
        if not chunk:
            raise NoStartTls("it closed the connection before TLS")
        if self._total > MOST_BYTES:
            raise NoStartTls("it says too much before TLS")


def begin(connection: socket.socket, protocol: StartTls, name: str) -> None:
    """Bring a fresh connection to the point where the TLS handshake starts. Raises NoStartTls, OSError."""
    talk = Talk(connection)
    _SPEAKERS[protocol](talk, name)
    talk.end()


def _reply(talk: Talk, wanted: str) -> list[str]:
    """A reply of SMTP or FTP, of several lines perhaps (RFC 5321 section 4.2.1, RFC 959 section 4.2)."""
    lines = [talk.line()]
    code = lines[0][:3]
    while not re.match(rf"{re.escape(code)}( |$)", lines[-1]):
        lines.append(talk.line())
    _expect(code == wanted, lines[-1])
    return lines


def _expect(well: bool, said: str) -> None:
    if not well:
        raise NoStartTls(f"it answers {said[:200]!r}")


def _smtp(talk: Talk, hello: bytes = b"EHLO") -> None:
    _reply(talk, "220")
    talk.say(hello + b" localhost\r\n")
    offers = {line[4:].strip().upper() for line in _reply(talk, "250")}
    _expect("STARTTLS" in offers, "no STARTTLS among its extensions")
    talk.say(b"STARTTLS\r\n")
    _reply(talk, "220")


def _imap(talk: Talk) -> None:
    greeting = talk.line()
    _expect(greeting.upper().startswith("* OK"), greeting)
    talk.say(b"a STARTTLS\r\n")
    answer = talk.line()
    while answer.startswith("* "):
        answer = talk.line()
    _expect(answer.upper().startswith("A OK"), answer)


def _pop3(talk: Talk) -> None:
    for request in (b"", b"STLS\r\n"):
        talk.say(request)
        answer = talk.line()
        _expect(answer.startswith("+OK"), answer)


def _sieve(talk: Talk) -> None:
    for request in (b"", b"STARTTLS\r\n"):
        talk.say(request)
        answer = talk.line()
        while answer.startswith('"'):  # its capabilities
            answer = talk.line()
        _expect(answer.upper().startswith("OK"), answer)


def _ftp(talk: Talk) -> None:
    _reply(talk, "220")
    talk.say(b"AUTH TLS\r\n")
    _reply(talk, "234")


def _xmpp(talk: Talk, name: str) -> None:
    opening = "<?xml version='1.0'?><stream:stream to='%s' xmlns='jabber:client' version='1.0' "
    talk.say((opening % name + "xmlns:stream='http://etherx.jabber.org/streams'>").encode())
    features = talk.until(b"</stream:features>")
    _expect(b"urn:ietf:params:xml:ns:xmpp-tls" in features, "no starttls among its features")
    talk.say(_XMPP_TLS)
    answer = talk.until(b">")
    _expect(answer.lstrip().startswith(b"<proceed"), answer.decode("utf-8", "replace"))
    if not answer.rstrip().endswith(b"/>"):
        talk.until(b"</proceed>")


def _ldap(talk: Talk) -> None:
    talk.say(_LDAP_REQUEST)
    kind, length = talk.take(2)
    _expect(kind == 0x30 and length < 0x85, "no LDAP message")
    size = length if length < 0x80 else int.from_bytes(talk.take(length & 0x7F))
    _expect(size < MOST_BYTES, "too long an LDAP message")
    result = re.search(rb"\x78(?:[\x00-\x7f]|\x81.|\x82..|\x84....)\x0a\x01(.)", talk.take(size), re.DOTALL)
    _expect(result is not None and result[1] == b"\0", f"LDAP result {result[1][0] if result else 'unknown'}")


def _postgres(talk: Talk) -> None:
    talk.say(_POSTGRES_REQUEST)
    answer = talk.take(1)
    _expect(answer == b"S", answer.decode("ascii", "replace"))


_SPEAKERS: dict[StartTls, Callable[[Talk, str], None]] = {
    "smtp": lambda talk, _: _smtp(talk),
    "lmtp": lambda talk, _: _smtp(talk, b"LHLO"),
    "imap": lambda talk, _: _imap(talk),
    "pop3": lambda talk, _: _pop3(talk),
    "sieve": lambda talk, _: _sieve(talk),
    "ftp": lambda talk, _: _ftp(talk),
    "xmpp": _xmpp,
    "ldap": lambda talk, _: _ldap(talk),
    "postgres": lambda talk, _: _postgres(talk),
}
