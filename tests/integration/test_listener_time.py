"""The listener's patience: who does not say what he wants within the limit is cut off, however he spends the time."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from certline_master.connection import Patience
from certline_master.server import tls_context
from certline_shared.clock import SystemClock
from tests.integration.api_bed import Bed, running_master, serving, sqlite_url
from tests.integration.wire import head, statuses, wire
from tests.testbed.authority import Authority

LIMIT = 0.5
MUCH_LATER = 5.0  # a machine under load is late, too
CLOCK = SystemClock()

REPORT = "POST /v1/follower/reports"


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    patience = Patience(read_seconds=LIMIT, take_seconds=LIMIT)
    with running_master(sqlite_url(tmp_path_factory.mktemp("master")), patience=patience) as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def tls_url(bed: Bed, authority: Authority) -> Iterator[str]:
    """The same master by TLS."""
    pair = authority.issue("api")
    context = tls_context(pair.chain_file, pair.key_file)
    with serving(bed.app, Patience(read_seconds=LIMIT), tls=context) as url:
        yield url


STUCK = {
    "nothing at all": b"",
    "half a request line": b"GET /v1/sta",
    "half a header": b"GET /v1/status HTTP/1.1\r\nHost: mas",
    "a head without its end": b"GET /v1/status HTTP/1.1\r\nHost: master.example\r\n",
    "nothing but line ends": b"\r\n\r\n\r\n",
    "no body": head(REPORT, "Content-Length: 100"),
    "half a body": head(REPORT, "Content-Length: 100") + b'{"agent"',
    "half a chunk": head(REPORT, "Transfer-Encoding: chunked") + b'20\r\n{"agent"',
    "chunks without their end": head(REPORT, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n",
    "half a trailer": head(REPORT, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\nX-Tra",
}


@pytest.mark.parametrize("case", STUCK)
def test_who_stops_in_the_middle_is_cut_off_at_the_limit(bed: Bed, case: str) -> None:
    began = CLOCK.monotonic()
    with wire(bed.url) as client:
        client.send(STUCK[case])
        said = client.rest()
    assert LIMIT * 0.9 < CLOCK.monotonic() - began < MUCH_LATER
    assert statuses(said) == ([408] if STUCK[case].strip() else [])


SLOW = {
    "head": (b"GET /v1/status HTTP/1.1\r\nHost: master.example\r\nX-Long: ", b"x" * 500),
    "line ends": (b"", b"\r\n" * 300),
    "body": (head(REPORT, "Content-Length: 500"), b"x" * 499),
    "chunks": (head(REPORT, "Transfer-Encoding: chunked"), b"1\r\nx\r\n" * 100),
}


@pytest.mark.parametrize("case", SLOW)
def test_who_sends_a_byte_now_and_then_is_cut_off_at_the_same_limit(bed: Bed, case: str) -> None:
    began = CLOCK.monotonic()
    with wire(bed.url) as client:
        at_once, slowly = SLOW[case]
        client.send(at_once)
        said = client.drip(slowly, 0.02)
    assert LIMIT * 0.9 < CLOCK.monotonic() - began < MUCH_LATER
    assert statuses(said) in ([408], [])


@pytest.mark.parametrize("hello", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\x16"])
def test_who_does_not_finish_the_handshake_is_cut_off_at_the_limit(tls_url: str, hello: bytes) -> None:
    began = CLOCK.monotonic()
    with wire(tls_url) as client:
        client.send(hello)
        client.rest()
    assert LIMIT * 0.9 < CLOCK.monotonic() - began < MUCH_LATER


@pytest.mark.parametrize("case", STUCK)
def test_the_limit_holds_inside_tls_too(tls_url: str, authority: Authority, case: str) -> None:
    trusting = ssl.create_default_context(cafile=authority.ca_file)
    with wire(tls_url, trusting) as client:
        client.send(STUCK[case])
        assert statuses(client.rest()) in ([408], [])


def test_a_later_request_has_the_same_limit_from_its_first_byte(bed: Bed) -> None:
    with wire(bed.url) as client:
        client.send(head("GET /healthz"))
        assert statuses(client.answer()) == [200]
        assert client.is_quiet(LIMIT * 2), "a connection between two requests was cut"
        client.send(head("GET /healthz"))
        assert statuses(client.answer()) == [200]
        client.send(b"GET /health")
        assert statuses(client.rest()) == [408]


def test_half_a_request_sent_behind_a_whole_one_has_the_limit_from_the_answer_on(bed: Bed) -> None:
    with wire(bed.url) as client:
        client.send(head("GET /healthz") + b"GET /health")
        assert statuses(client.rest()) == [200, 408]


def test_an_answer_may_take_longer_than_the_limit(bed: Bed) -> None:
    host = bed.follower("patient")
    known = host.manifest().headers["ETag"]
    began = CLOCK.monotonic()
    assert host.manifest(known, wait=2).status_code == 304
    assert CLOCK.monotonic() - began > LIMIT * 3


def test_who_does_not_take_the_answer_is_cut_off(bed: Bed) -> None:
    with wire(bed.url) as client:
        client.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.raw.settimeout(MUCH_LATER)
        with pytest.raises(ConnectionError):
            client.raw.sendall(head("GET /v1/openapi.json") * 100_000)


def test_who_is_cut_off_leaves_no_open_file_behind(bed: Bed) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with ExitStack() as clients:
        stuck = {case: clients.enter_context(wire(bed.url)) for case in STUCK}
        for case, client in stuck.items():
            client.send(STUCK[case])
        for client in stuck.values():
            client.rest()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
