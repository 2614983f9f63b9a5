"""What the follower sees at a real service: by kind of key in every version of TLS, by name, and behind STARTTLS."""

import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from certline_follower.looking import Door, Family, NotSeen, TlsLooker
from certline_follower.service_settings import StartTls
from certline_shared import keys
from certline_shared.clock import SystemClock
from certline_shared.key_types import KeyType
from tests.fakes.starttls import DIALOGUES, Dialogue, speaking
from tests.testbed.nginx import nginx
from tests.testbed.parts import program, require
from tests.unit.shared.makers import Authority, dns_names

RSA, ECDSA = KeyType.RSA_2048, KeyType.ECDSA_P256


class Pairs:
    """Certificates in files, and what a looker should see of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = SystemClock().now()
        self.authority = Authority.make("root", self.now)

    def make(self, name: str, key_type: KeyType) -> "tuple[Path, Path]":
        key = keys.generate(key_type)
        leaf = self.authority.issue(key, dns_names(name), self.now - timedelta(hours=1), self.now + timedelta(days=9))
        chain, secret = self.folder / f"{name}-{key_type}.pem", self.folder / f"{name}-{key_type}.key"
        chain.write_text(leaf)
        secret.write_bytes(keys.to_pem(key))
        return chain, secret


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    return Pairs(tmp_path)


def der(pair: tuple[Path, Path]) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair[0].read_text())


def look(
    port: int, family: Family | None = None, *, sni: str = "shop.example.org", how: StartTls | None = None
) -> bytes:
    return TlsLooker().leaf(Door("127.0.0.1", port, sni, how), family, 10)


@pytest.mark.parametrize("protocols", ["TLSv1.2", "TLSv1.3", "TLSv1.2 TLSv1.3"])
def test_rsa_and_ecdsa_on_one_port_are_told_apart_in_each_version_of_tls(pairs: Pairs, protocols: str) -> None:
    require("nginx")
    rsa, ecdsa = pairs.make("shop.example.org", RSA), pairs.make("shop.example.org", ECDSA)
    with nginx([rsa, ecdsa], more=f"ssl_protocols {protocols};") as server:
        assert look(server.port, "rsa") == der(rsa)
        assert look(server.port, "ecdsa") == der(ecdsa)
        assert look(server.port) in (der(rsa), der(ecdsa))


def test_a_kind_that_the_server_does_not_have_is_not_seen(pairs: Pairs) -> None:
    require("nginx")
    with nginx([pairs.make("shop.example.org", ECDSA)]) as server, pytest.raises(NotSeen, match="an RSA certificate"):
        look(server.port, "rsa")


def test_the_name_that_is_asked_for_decides_what_is_seen(pairs: Pairs) -> None:
    require("nginx")
    shop, blog = pairs.make("shop.example.org", ECDSA), pairs.make("blog.example.org", ECDSA)
    named = f"ssl_certificate {blog[0]}; ssl_certificate_key {blog[1]};"
    with nginx([shop], servers=[f"server_name blog.example.org; {named}"]) as server:
        assert look(server.port, sni="blog.example.org") == der(blog)
        assert look(server.port, sni="shop.example.org") == der(shop)


def test_a_closed_port_a_silent_one_and_one_without_tls_say_what_they_are() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(NotSeen, match="refused"):
            look(closed.getsockname()[1])
    with speaking(lambda connection: connection.recv(1)) as port, pytest.raises(NotSeen):
        TlsLooker().leaf(Door("127.0.0.1", port, "shop.example.org"), None, 0.2)
    with speaking(lambda connection: connection.sendall(b"HTTP/1.0 400 no\r\n\r\n")) as port, pytest.raises(NotSeen):
        look(port)


@pytest.mark.parametrize("host", ["192.0.2.7", "0.0.0.0", "224.0.0.1", "::"])
def test_an_address_that_is_not_this_hosts_is_not_looked_at(host: str) -> None:
    with pytest.raises(NotSeen, match="no address of this host"):
        TlsLooker().leaf(Door(host, 443, "shop.example.org"), None, 1)


@contextmanager
def starttls_server(pair: tuple[Path, Path], dialogue: Dialogue) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)

    def serve(connection: socket.socket) -> None:
        dialogue(connection)
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    with speaking(serve) as port:
        yield port


@pytest.mark.parametrize("protocol", sorted(DIALOGUES))
@pytest.mark.parametrize("family", [None, "ecdsa"])
def test_the_certificate_behind_starttls_is_seen(pairs: Pairs, protocol: StartTls, family: Family | None) -> None:
    pair = pairs.make("mail.example.org", ECDSA)
    with starttls_server(pair, DIALOGUES[protocol]) as port:
        assert look(port, family, sni="mail.example.org", how=protocol) == der(pair)


@pytest.mark.parametrize("protocol", sorted(set(DIALOGUES)))
def test_our_starttls_servers_say_what_openssl_expects(pairs: Pairs, protocol: StartTls) -> None:
    require("openssl")
    pair = pairs.make("mail.example.org", ECDSA)
    with starttls_server(pair, DIALOGUES[protocol]) as port:
        words = [str(program("openssl")), "s_client", "-connect", f"127.0.0.1:{port}", "-starttls", protocol]
        done = subprocess.run([*words, "-name", "localhost"], input=b"", capture_output=True, timeout=30, check=False)
    assert pair[0].read_text().strip() in done.stdout.decode()


@pytest.mark.parametrize(
    ("protocol", "answer", "said"),
    [
        ("smtp", b"554 no service\r\n", "554 no service"),
        ("smtp", b"220 mail\r\n250 no extensions\r\n", "no STARTTLS among its extensions"),
        ("smtp", b"220 mail\r\n250-x\r\n250 STARTTLS\r\n454 not now\r\n", "454 not now"),
        ("smtp", b"220 mail\r\n250 STARTTLS\r\n220 go\r\nMAIL FROM:<>\r\n", "more before TLS than the protocol allows"),
        ("imap", b"* BYE later\r\n", "BYE later"),
        ("imap", b"* OK\r\n* CAPABILITY\r\na BAD what\r\n", "a BAD what"),
        ("pop3", b"+OK\r\n-ERR no\r\n", "-ERR no"),
        ("ftp", b"220-hello\r\n220 hello\r\n502 no\r\n", "502 no"),
        ("sieve", b'"X" "y"\r\nOK\r\nNO "no"\r\n', 'NO "no"'),
        ("xmpp", b"<stream:features></stream:features>", "no starttls among its features"),
        ("ldap", bytes.fromhex("300c02010178070a010204000400"), "LDAP result 2"),
        ("postgres", b"N", "it answers 'N'"),
        ("imap", b"", "closed the connection before TLS"),
        ("imap", b"x" * 70_000, "says too much"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_go_on_to_tls_is_told_by_what_it_says(
    protocol: StartTls, answer: bytes, said: str
) -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass

    with speaking(serve) as port, pytest.raises(NotSeen) as fault:
        look(port, how=protocol)
    assert said in str(fault.value)
    assert str(fault.value).startswith(protocol)
