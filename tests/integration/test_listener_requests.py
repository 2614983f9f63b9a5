"""The listener reads a request in one way only and of bounded size: what can be read in two ways is refused."""

from collections.abc import Iterator

import pytest

from certline_master.connection import MOST_HEAD_BYTES, MOST_QUEUED, Patience
from certline_master.domain.access import Role
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.wire import head, statuses, wire

PLAN = "POST /v1/fleet/plan"
REPORT = "POST /v1/follower/reports"
SMUGGLED = head("GET /healthz")
MEGABYTE = 1_048_576


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path_factory.mktemp("master")), patience=Patience(read_seconds=1.0)) as running:
        yield running


def said(bed: Bed, *pieces: bytes) -> bytes:
    """All that comes back until the master ends the connection."""
    with wire(bed.url) as client:
        client.send(*pieces)
        return client.rest()


# --- one way to read it ---

CHUNKED = "Transfer-Encoding: chunked"
TWO_WAYS = {
    "two lengths": head(REPORT, "Content-Length: 0", f"Content-Length: {len(SMUGGLED)}"),
    "the same length twice": head(REPORT, "Content-Length: 0", "Content-Length: 0"),
    "two lengths in one header": head(REPORT, "Content-Length: 0, 44"),
    "a length and chunks": head(REPORT, "Content-Length: 5", CHUNKED) + b"0\r\n\r\n",
    "chunks and a length": head(REPORT, CHUNKED, "Content-Length: 5") + b"0\r\n\r\n",
    "an encoding that is none": head(REPORT, "Transfer-Encoding: xchunked"),
    "chunked, but not last": head(REPORT, "Transfer-Encoding: chunked, identity"),
    "chunked twice": head(REPORT, CHUNKED, CHUNKED) + b"0\r\n\r\n",
    "a space before the colon": head(REPORT, "Transfer-Encoding : chunked") + b"0\r\n\r\n",
    "a control character in the name": head(REPORT, "Transfer-Encoding\x0b: chunked") + b"0\r\n\r\n",
    "a control character in the value": head(REPORT, "Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n",
    "a header over two lines": head(REPORT, "X-Header: one\r\n two"),
    "a line end that is a line feed alone": b"GET /healthz HTTP/1.1\nHost: master.example\n\n",
    "a line end that is a carriage return alone": b"GET /healthz HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "a NUL in a header": head(REPORT, "X-Header: a\x00b"),
    "a negative length": head(REPORT, "Content-Length: -1"),
    "a length with a sign": head(REPORT, "Content-Length: +1"),
    "a length in hex": head(REPORT, "Content-Length: 0x10"),
    "a length beyond every machine": head(REPORT, f"Content-Length: {2**70}"),
    "no length": head(REPORT, "Content-Length: "),
    "a chunk's size with a sign": head(REPORT, CHUNKED) + b"+1\r\nx\r\n0\r\n\r\n",
    "a chunk's size with 0x": head(REPORT, CHUNKED) + b"0x1\r\nx\r\n0\r\n\r\n",
    "a chunk's size beyond every machine": head(REPORT, CHUNKED) + b"fffffffffffffffff\r\nx\r\n0\r\n\r\n",
    "a chunk that is longer than its size": head(REPORT, CHUNKED) + b"1\r\nxyz\r\n0\r\n\r\n",
    "two hosts": head("GET /healthz", "Host: evil.example"),
    "a target for proxies": head("GET http://evil.example/healthz"),
    "no path": head("GET healthz"),
    "a way through": head("CONNECT evil.example:443"),
    "an asterisk": head("OPTIONS *"),
    "a method that is none": head("G\x01T /healthz"),
    "no version": b"GET /healthz\r\n\r\n",
    "another version": b"GET /healthz HTTP/3.0\r\nHost: a\r\n\r\n",
    "no HTTP at all": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("case", TWO_WAYS)
def test_what_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(bed: Bed, case: str) -> None:
    answer = said(bed, TWO_WAYS[case] + SMUGGLED)
    assert statuses(answer) == [400]
    assert b"connection: close" in answer
    assert b"application/problem+json" in answer


def test_a_body_that_stops_being_http_is_no_second_request(bed: Bed) -> None:
    with wire(bed.url) as client:
        client.send(head(REPORT, CHUNKED) + b"2\r\n{}\r\n")
        client.send(SMUGGLED)
        assert statuses(client.rest()) == [400]


def test_what_follows_a_good_request_does_not_get_its_answer(bed: Bed) -> None:
    """A refusal must not be taken for the answer to a request that still waits for one."""
    host = bed.follower("smuggled-behind")
    known = host.manifest().headers["ETag"]
    path = "/v1/follower/manifest"
    signed = host.signed("GET", path, query="wait=50") | {"If-None-Match": known}
    fields = [f"{name}: {value}" for name, value in signed.items() if name != "Host"]
    assert said(bed, head(f"GET {path}?wait=50", *fields) + b"\x00\x00\r\n\r\n") == b""


def test_trailers_are_no_headers(bed: Bed) -> None:
    token = f"Authorization: Bearer {bed.tokens[Role.ADMIN]}"
    body = b"2\r\n{}\r\n0\r\n" + f"{token}\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n".encode()
    with wire(bed.url) as client:
        client.send(head("POST /v1/whoami", CHUNKED) + body)
        assert statuses(client.answer()) == [401]


def test_a_wish_for_another_protocol_is_passed_over_and_ends_the_connection(bed: Bed) -> None:
    for wished in ("websocket", "h2c"):
        asked = head("GET /healthz", "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {wished}", "HTTP2-Settings: A")
        assert statuses(said(bed, asked + SMUGGLED)) == [200]


def test_an_old_client_is_answered_and_let_go(bed: Bed) -> None:
    assert statuses(said(bed, b"GET /healthz HTTP/1.0\r\n\r\n")) == [200]


# --- sizes ---

LONG = {
    "one header of 80 kB": head("GET /healthz", f"X-Long: {'x' * 80_000}"),
    "80 kB of headers": head("GET /healthz", *(f"X-{number}: {'x' * 90}" for number in range(800))),
    "a path of 80 kB": head(f"GET /{'x' * 80_000}"),
    "a query of 80 kB": head(f"GET /healthz?{'x' * 80_000}"),
    "a name of 80 kB": head("GET /healthz", f"{'x' * 80_000}: 1"),
    "a header without end": b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * MEGABYTE,
    "line ends without end": b"\r\n" * MEGABYTE,
    "trailers of 80 kB": head(PLAN, CHUNKED) + b"2\r\n{}\r\n0\r\nX-Long: " + b"x" * 80_000,
    "what stands beside a chunk's size, 80 kB": head(PLAN, CHUNKED) + b"2;" + b"x" * 80_000,
    "a hundred thousand chunks": head(PLAN, CHUNKED) + b"1\r\n \r\n" * 100_000,
}


@pytest.mark.parametrize("case", LONG)
def test_what_is_too_long_beside_the_body_is_refused_before_its_end(bed: Bed, case: str) -> None:
    with wire(bed.url) as client:
        client.send(_authorized(bed, LONG[case]))
        assert statuses(client.rest()) == [431]


def _authorized(bed: Bed, request: bytes) -> bytes:
    """Plans are read only for admins."""
    line = f"\r\nAuthorization: Bearer {bed.tokens[Role.ADMIN]}\r\n{CHUNKED}".encode()
    return request.replace(f"\r\n{CHUNKED}".encode(), line, 1)


def test_a_head_of_half_the_limit_is_read(bed: Bed) -> None:
    with wire(bed.url) as client:
        client.send(head("GET /healthz", f"X-Long: {'x' * (MOST_HEAD_BYTES // 2)}"))
        assert statuses(client.answer()) == [200]


@pytest.mark.parametrize("path", [REPORT, PLAN, "POST /v1/enroll", "PUT /v1/zones/example.com", "PUT /v1/none"])
def test_a_body_of_30_mib_is_refused_by_its_announcement(bed: Bed, path: str) -> None:
    token = f"Authorization: Bearer {bed.tokens[Role.ADMIN]}"
    assert statuses(said(bed, head(path, token, f"Content-Length: {30 * MEGABYTE}"))) == [413]


@pytest.mark.parametrize("path", [REPORT, PLAN, "POST /v1/enroll", "PUT /v1/zones/example.com"])
def test_chunks_without_end_are_refused_once_they_are_too_many(bed: Bed, path: str) -> None:
    token = f"Authorization: Bearer {bed.tokens[Role.ADMIN]}"
    with wire(bed.url) as client:
        client.send(head(path, token, CHUNKED))
        client.send(*[b"10000\r\n" + b" " * 65_536 + b"\r\n"] * (140 if path == PLAN else 20))
        assert statuses(client.rest()) == [413]


def test_who_may_not_send_a_body_is_told_without_its_being_read(bed: Bed) -> None:
    assert statuses(said(bed, head(PLAN, f"Content-Length: {MEGABYTE}") + b"{")) == [401]


def test_a_client_that_asks_first_is_told_before_it_sends(bed: Bed) -> None:
    token = f"Authorization: Bearer {bed.tokens[Role.ADMIN]}"
    asked = head(PLAN, token, f"Content-Length: {30 * MEGABYTE}", "Expect: 100-continue")
    assert statuses(said(bed, asked)) == [413]


# --- queued requests ---


def test_requests_sent_one_after_the_other_are_answered_in_order(bed: Bed) -> None:
    with wire(bed.url) as client:
        client.send(head("GET /healthz") + head("GET /none") + head("GET /v1/status") + head("GET /healthz"))
        assert [statuses(client.answer()) for _ in range(4)] == [[200], [404], [401], [200]]


def test_a_thousand_requests_at_once_are_not_queued(bed: Bed) -> None:
    answers = statuses(said(bed, head("GET /healthz") * 1000))
    assert len(answers) <= MOST_QUEUED + 1
    assert bed.http.get("/healthz").status_code == 200
