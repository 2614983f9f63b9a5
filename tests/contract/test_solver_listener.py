"""The master's own http-01 listener, as a stranger on the network meets it."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from certline_master.challenges import http01
from certline_master.challenges.endpoint import Endpoint
from certline_master.challenges.http01 import HttpListener, ListenerSolver
from certline_master.domain.ports import Visibility
from tests.contract.solver_bed import http_challenge, zone
from tests.testbed.ports import free_port

TOKEN = "t" * 43


@contextmanager
def listening(answer: Callable[[str], str | None] = lambda _: "key authorization") -> Iterator[HttpListener]:
    listener = HttpListener(Endpoint("127.0.0.1", free_port()), answer)
    listener.start()
    try:
        yield listener
    finally:
        listener.stop()


def say(listener: HttpListener, request: bytes) -> bytes:
    """All that the listener sends back until it closes the connection."""
    with socket.create_connection((listener.endpoint.address, listener.endpoint.port), timeout=10) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: www.example.test\r\n\r\n".encode()


def status(reply: bytes) -> int:
    return int(reply.split(b" ", 2)[1])


def test_a_known_token_gets_its_key_authorization() -> None:
    with listening() as listener:
        reply = say(listener, get(f"{http01.PATH}{TOKEN}"))

    head, _, body = reply.partition(b"\r\n\r\n")
    assert status(reply) == 200
    assert b"Content-Type: application/octet-stream" in head
    assert body == b"key authorization"


def test_a_head_request_gets_no_body() -> None:
    with listening() as listener:
        reply = say(listener, get(f"{http01.PATH}{TOKEN}", "HEAD"))

    assert reply.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        http01.PATH,
        "/.well-known/",
        f"{http01.PATH}../{TOKEN}",
        f"{http01.PATH}{TOKEN}/",
        f"{http01.PATH}{TOKEN}?x=1",
        f"{http01.PATH}%2e%2e%2f{TOKEN}",
        f"{http01.PATH}short",
        f"{http01.PATH}{'t' * 129}",
        f"http://elsewhere.test{http01.PATH}{TOKEN}",
        f"{http01.PATH}{TOKEN}\N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
def test_anything_else_is_not_found_and_the_store_is_not_asked(path: str) -> None:
    asked: list[str] = []

    def answer(token: str) -> str:
        asked.append(token)
        return "never"

    with listening(answer) as listener:
        assert status(say(listener, get(path))) == 404

    assert asked == []


def test_an_unknown_token_is_not_found() -> None:
    with listening(lambda _: None) as listener:
        assert status(say(listener, get(f"{http01.PATH}{TOKEN}"))) == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "CONNECT", "OPTIONS"])
def test_other_methods_are_not_allowed(method: str) -> None:
    with listening() as listener:
        assert status(say(listener, get(f"{http01.PATH}{TOKEN}", method))) == 405


@pytest.mark.parametrize(
    "line", [b"", b"GET", b"GET /", b"get / HTTP/1.1", b"GET  / HTTP/1.1", b"\x16\x03\x01", b"GET / HTTP/2"]
)
def test_what_is_no_request_line_is_a_bad_request(line: bytes) -> None:
    with listening() as listener:
        assert status(say(listener, line + b"\r\n\r\n")) == 400


def test_a_head_beyond_the_limit_is_refused() -> None:
    with listening() as listener:
        reply = say(listener, b"GET / HTTP/1.1\r\nX: " + b"a" * http01.LONGEST_HEAD)

    assert status(reply) == 431


def test_who_does_not_finish_asking_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http01, "DEADLINE_SECONDS", 0.05)

    with listening() as listener:
        assert say(listener, b"GET / HTTP/1.1\r\nX: ") == b""


def test_when_the_store_cannot_be_asked_it_says_so() -> None:
    def broken(_: str) -> str:
        raise RuntimeError("the store is away")

    with listening(broken) as listener:
        assert status(say(listener, get(f"{http01.PATH}{TOKEN}"))) == 503


def test_connections_beyond_the_limit_are_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http01, "MOST_CONNECTIONS", 0)

    with listening() as listener:
        assert say(listener, get("/")) == b""


def test_it_can_be_stopped_with_a_client_in_mid_request_and_started_again() -> None:
    with listening() as listener:
        with socket.create_connection((listener.endpoint.address, listener.endpoint.port), timeout=10) as client:
            client.sendall(b"GET /")
            say(listener, get("/"))
            listener.stop()
            assert client.recv(1) == b""
        listener.start()

        assert status(say(listener, get("/"))) == 404


def test_a_port_that_is_taken_is_told_with_the_endpoint() -> None:
    with listening() as listener:
        second = HttpListener(listener.endpoint, lambda _: None)

        with pytest.raises(OSError, match=f"cannot listen on {listener.endpoint}"):
            second.start()


def test_a_listener_that_does_not_run_is_told_as_such() -> None:
    look = ListenerSolver(Endpoint("127.0.0.1", free_port())).is_visible(None, [http_challenge()])

    assert not look.complete
    assert "does not answer" in look.detail


def test_where_another_master_listens_the_ledger_is_believed() -> None:
    assert ListenerSolver(None).is_visible(None, [http_challenge()]) == Visibility(complete=True)


def test_it_serves_no_zone_and_says_so() -> None:
    assert "under `http:`" in ListenerSolver(None).check(zone())[0]
