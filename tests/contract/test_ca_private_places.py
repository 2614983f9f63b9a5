"""No request to a CA leads to where certline.toml does not let it: not by its name, its DNS, its answers (T13, G10).

The machine's loopback stands for the whole world: 127.0.0.2 for a CA that may be asked, 127.0.0.1 for what may not.
"""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from certline_master.ca.authorities import AcmeAuthorities
from certline_master.ca.dialling import Dialler, Found
from certline_master.ca.directory_client import DirectoryClient
from certline_master.domain.errors import CaError, CaOffLimits
from certline_master.domain.model import FailureClass, Issuer, Owner
from certline_master.domain.outbound import Outbound
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from tests.contract.ca_proxied import refusal, unreachable
from tests.testbed.authority import Authority
from tests.testbed.outgoing import Trap, trap

CA, PUBLIC, PRIVATE = "ca.example", "127.0.0.2", "127.0.0.1"
ONLY_THE_CA = Outbound.of([PUBLIC])


@dataclass(slots=True)
class OddCa:
    """A TLS server at PUBLIC that answers each request with what `answers` holds for its path, then hangs up."""

    port: int
    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://{CA}:{self.port}"

    def answer(self, path: str, body: Any = None, *, status: str = "200 OK", **headers: str) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Replay-Nonce: abc", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.answers[path] = "\r\n".join([*lines, "", ""]).encode() + content

    def directory(self, **urls: str) -> dict[str, str]:
        """Its directory, with some URLs replaced."""
        members = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange", "renewalInfo")
        return {member: f"{self.url}/{member}" for member in members} | urls

    def serve(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        with suppress(OSError):  # at the end
            while True:
                plain, _ = listener.accept()
                with suppress(OSError), tls.wrap_socket(plain, server_side=True) as connection:
                    self._exchange(connection)

    def _exchange(self, connection: ssl.SSLSocket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65_536)
        path = head.split(b" ")[1].decode()
        self.asked.append(path)
        answer = self.answers[path]
        connection.sendall(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head.startswith(b"HEAD") else answer)


@dataclass(slots=True)
class Bed:
    """The client under test, the CA, a trap on the same port of PRIVATE, and the DNS between them."""

    ca: OddCa
    trap: Trap
    roots: str
    dns: list[list[str]] = field(default_factory=lambda: [[PUBLIC]])  # answers in turn, the last for ever
    looked_up: list[str] = field(default_factory=list)
    authorities: AcmeAuthorities = field(init=False)

    def __post_init__(self) -> None:
        dialler = Dialler(ONLY_THE_CA, self._resolve)
        self.authorities = AcmeAuthorities(SystemClock(), SystemChance(), seconds=5, dialler=dialler)
        self.ca.answer("/dir", self.ca.directory())
        self.ca.answer("/newNonce")

    def _resolve(self, host: str, port: int) -> Sequence[Found]:
        self.looked_up.append(host)
        addresses = self.dns.pop(0) if len(self.dns) > 1 else self.dns[0]
        return [found for address in addresses for found in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)]

    def issuer(self, url: str | None = None) -> Issuer:
        return Issuer("odd", "odd", Owner.FILE, url or f"{self.ca.url}/dir", ca_certificates=self.roots)

    def look(self, url: str | None = None) -> object:
        return self.authorities.look_at_directory(self.issuer(url))

    def client(self) -> DirectoryClient:
        """With an account, and an order at hand."""
        client = self.authorities.of(self.issuer(), self.authorities.new_account_key())
        self.ca.answer("/newAccount", {}, status="201 Created", Location=f"{self.ca.url}/account")
        client.register([])
        return client


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    authority = Authority(tmp_path)
    with socket.create_server((PUBLIC, 0)) as listener:
        ca = OddCa(listener.getsockname()[1])
        serve = partial(ca.serve, listener, authority.issue("server", (CA,)).server_context())
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with trap(ca.port) as watched:
            made = Bed(ca, watched, authority.ca_file.read_text())
            with closing(made.authorities):
                yield made
            assert made.trap.visitors() == []
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


@contextmanager
def watched_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Where this process connects to meanwhile."""
    seen: list[Any] = []
    connect = socket.socket.connect

    def noted(plain: socket.socket, address: Any) -> None:
        seen.append(address[0])
        connect(plain, address)

    with monkeypatch.context() as patched:
        patched.setattr(socket.socket, "connect", noted)
        yield seen


def off_limits(work: Callable[[], object]) -> str:
    fault = unreachable(work)
    assert isinstance(fault, CaOffLimits)
    assert fault.failure is FailureClass.RETRY_SOON, "a DNS that lies today may be mended tomorrow"
    return str(fault)


def test_a_ca_where_it_may_be_is_asked_and_known_by_its_name(bed: Bed) -> None:
    assert bed.look()
    assert bed.ca.asked == ["/dir"]
    assert bed.looked_up == [CA]
    other = unreachable(lambda: bed.look(f"https://other.example:{bed.ca.port}/dir"))
    assert "for another host" in str(other), "the name is what the certificate is checked by"


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "fd00:ec2::254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1",
     "0.0.0.0"],
)  # fmt: skip
def test_a_name_that_leads_off_limits_is_not_asked_and_the_text_tells_what_to_write(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    bed.dns = [[address]]
    with watched_sockets(monkeypatch) as seen:
        told = off_limits(bed.look)
    assert seen == []
    assert f"{CA} leads to {socket.getaddrinfo(address, 1)[0][4][0]}, which is a" in told
    assert f'write private = ["{CA}"] under [outbound] in certline.toml' in told


@pytest.mark.parametrize("answers", [[PUBLIC, PRIVATE], [PRIVATE, PUBLIC], [PUBLIC, "::1", PUBLIC]])
def test_one_bad_address_among_good_ones_is_enough(
    bed: Bed, monkeypatch: pytest.MonkeyPatch, answers: list[str]
) -> None:
    bed.dns = [answers]
    with watched_sockets(monkeypatch) as seen:
        off_limits(bed.look)
    assert seen == []


def test_a_name_that_is_bound_anew_between_look_and_connection_leads_nowhere(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rebinding: each connection has one look-up, whose answer is what is dialled; the next one is judged again."""
    bed.dns = [[PUBLIC], [PRIVATE]]
    with watched_sockets(monkeypatch) as seen:
        bed.look()
        assert (seen, bed.looked_up) == ([PUBLIC], [CA])
        off_limits(bed.look)
    assert (seen, bed.looked_up) == ([PUBLIC], [CA, CA])


def test_a_later_request_of_an_account_is_held_back_too(bed: Bed) -> None:
    """Not only the look at the directory: each connection, years after the issuer was made."""
    client = bed.client()
    bed.dns = [[PRIVATE]]
    for ask in (client.look, client.authorization, client.answer, partial(client.fetch, preferred_chain=None)):
        off_limits(partial(ask, f"{bed.ca.url}/thing"))
    off_limits(lambda: client.open(["a.example"], profile="", replaces=None))
    assert not [path for path in bed.ca.asked if path == "/thing"]


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_a_redirect_to_loopback_is_not_followed(bed: Bed, status: str) -> None:
    for place in (PRIVATE, "localhost", "[::1]"):
        bed.ca.answer("/dir", status=status, Location=f"https://{place}:{bed.ca.port}/")
        assert f"{place}:{bed.ca.port}" in str(unreachable(bed.look))
    assert set(bed.ca.asked) == {"/dir"}


def foreign(bed: Bed) -> list[str]:
    """URLs on other hosts, ports and schemes, several ways to spell the loopback among them."""
    port = bed.ca.port
    hosts = (PRIVATE, "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1", "0x7f.1", "0177.0.0.1", PUBLIC)
    urls = [f"https://{host}:{port}/x" for host in hosts]
    urls += [f"https://{CA}/x", f"https://{CA}:{port + 1}/x", f"https://{CA}:0/x", f"http://{CA}:{port}/x"]
    urls += [f"https://{CA}@{PRIVATE}:{port}/x", f"https://{CA}:{port}@{PRIVATE}:{port}/x", f"//{PRIVATE}:{port}/x"]
    urls += [
        f"https://{CA}.:{port}/x",
        f"https://{CA}\\@{PRIVATE}:{port}/x",
        "https://169.254.169.254/latest/meta-data",
    ]
    return [*urls, f"gopher://{PRIVATE}:{port}/x", "file:///etc/passwd", "unix:/run/x.sock", f"ftp://{CA}:{port}/x"]


@pytest.mark.parametrize("member", ["newNonce", "newAccount", "newOrder", "revokeCert", "renewalInfo"])
def test_a_directory_that_leads_elsewhere_is_not_used(bed: Bed, monkeypatch: pytest.MonkeyPatch, member: str) -> None:
    with watched_sockets(monkeypatch) as seen:
        for url in foreign(bed):
            bed.ca.answer("/dir", bed.ca.directory(**{member: url}))
            with pytest.raises(CaError, match="nothing is sent there"):
                bed.look()
    assert set(seen) == {PUBLIC}
    assert set(bed.ca.asked) == {"/dir"}


@pytest.mark.parametrize("member", ["authorizations", "finalize", "certificate", "Location"])
def test_an_order_that_leads_elsewhere_is_not_followed(bed: Bed, monkeypatch: pytest.MonkeyPatch, member: str) -> None:
    client = bed.client()
    good: dict[str, Any] = {
        "status": "valid",
        "identifiers": [{"type": "dns", "value": "a.example"}],
        "authorizations": [f"{bed.ca.url}/a"],
        "finalize": f"{bed.ca.url}/f",
        "certificate": f"{bed.ca.url}/c",
    }
    with watched_sockets(monkeypatch) as seen:
        for url in foreign(bed):
            body = good if member == "Location" else good | {member: [url] if member == "authorizations" else url}
            location = url if member == "Location" else f"{bed.ca.url}/order/1"
            bed.ca.answer("/newOrder", body, status="201 Created", Location=location)
            refused = refusal(lambda: client.open(["a.example"], profile="", replaces=None))
            assert refused.type == "foreignUrl"
    assert set(seen) <= {PUBLIC}
    assert set(bed.ca.asked) == {"/dir", "/newNonce", "/newAccount", "/newOrder"}


def test_an_authorization_or_an_alternate_chain_that_leads_elsewhere_is_not_followed(bed: Bed) -> None:
    client = bed.client()
    for url in foreign(bed):
        challenge = {"type": "dns-01", "url": url, "token": "t" * 43, "status": "pending"}
        body = {"status": "pending", "identifier": {"type": "dns", "value": "a.example"}, "challenges": [challenge]}
        bed.ca.answer("/authorization", body)
        assert refusal(lambda: client.authorization(f"{bed.ca.url}/authorization")).type == "foreignUrl"
    assert set(bed.ca.asked) == {"/dir", "/newNonce", "/newAccount", "/authorization"}


def test_the_watch_and_the_trap_can_tell(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is let go everywhere is seen by both."""
    with trap() as other, watched_sockets(monkeypatch) as seen:
        anywhere = AcmeAuthorities(SystemClock(), SystemChance(), seconds=5)
        url = f"https://localhost:{other.port}/dir"
        unreachable(lambda: anywhere.look_at_directory(bed.issuer(url)))
        assert PRIVATE in seen or "::1" in seen
        assert other.visitors()
