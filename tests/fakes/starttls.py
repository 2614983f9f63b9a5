"""Servers that say what comes before TLS in each protocol, as their specifications do; nothing more."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from certline_follower.service_settings import StartTls

Dialogue = Callable[[socket.socket], None]
_XMPP = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'><stream:features>"
_XMPP += b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>"


def _lines(greeting: bytes, *exchange: tuple[bytes, bytes]) -> Dialogue:
    """The greeting, then an answer to each request that begins so."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(greeting)
        for request, answer in exchange:
            line = _until(connection, b"\n")
            assert line.upper().startswith(request), line
            tag = line.split()[0]  # openssl has another one than ours
            connection.sendall(answer.replace(b"TAG", tag))

    return talk


def _until(connection: socket.socket, mark: bytes) -> bytes:
    got = b""
    while not got.endswith(mark):
        more = connection.recv(1)
        assert more, got
        got += more
    return got


def _xmpp(connection: socket.socket) -> None:
    _until(connection, b"streams'")
    _until(connection, b">")
    connection.sendall(b"<?xml version='1.0'?>" + _XMPP)
    _until(connection, b"/>")
    connection.sendall(b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")


def _ldap(connection: socket.socket) -> None:
    assert b"1.3.6.1.4.1.1466.20037" in connection.recv(100)
    connection.sendall(bytes.fromhex("300c02010178070a010004000400"))


def _postgres(connection: socket.socket) -> None:
    assert connection.recv(8) == bytes.fromhex("0000000804d2162f")
    connection.sendall(b"S")


def _imap(connection: socket.socket) -> None:
    connection.sendall(b"* OK ready\r\n")
    line = _until(connection, b"\n")
    if b"CAPABILITY" in line:
        connection.sendall(b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + line.split()[0] + b" OK done\r\n")
        line = _until(connection, b"\n")
    connection.sendall(b"* CAPABILITY IMAP4rev1\r\n" + line.split()[0] + b" OK go\r\n")


def _sieve(connection: socket.socket) -> None:
    connection.sendall(b'"IMPLEMENTATION" "x"\r\n"SASL" ""\r\n"STARTTLS"\r\nOK "ready"\r\n')
    assert _until(connection, b"\n").strip() == b"STARTTLS"
    connection.sendall(b'OK "go"\r\n')


DIALOGUES: dict[StartTls, Dialogue] = {
    "smtp": _lines(b"220-mail\r\n220 hi\r\n", (b"EHLO", b"250-x\r\n250 STARTTLS\r\n"), (b"STARTTLS", b"220 go\r\n")),
    "lmtp": _lines(b"220 mail\r\n", (b"LHLO", b"250-mail\r\n250 STARTTLS\r\n"), (b"STARTTLS", b"220 go\r\n")),
    "pop3": _lines(b"+OK ready\r\n", (b"STLS", b"+OK go\r\n")),
    "ftp": _lines(b"220-hello\r\n220 ready\r\n", (b"AUTH TLS", b"234 go\r\n")),
    "imap": _imap,
    "sieve": _sieve,
    "xmpp": _xmpp,
    "ldap": _ldap,
    "postgres": _postgres,
}  # fmt: skip


@contextmanager
def speaking(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server on loopback that does so with each connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, suppress(OSError, AssertionError):
                    connection.settimeout(5)
                    serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
