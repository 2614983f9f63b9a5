"""A connection cut at each kind of place in request and answer: sent again, the request has the result it would have
had, and nothing happens twice.
"""

import json
import socket
import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_shared import signing
from certline_shared.codec import base64url
from certline_shared.keys import make_csr
from certline_shared.messages import DeploymentReport, LineWish, Report, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import HOST, JSON, FollowerClient, NewHost
from tests.integration.wire import Wire, wire

NAME = "blog.example.com"

# How much of the request is sent, then how much of the answer is read before the connection is reset. (A share of the
# head, a share of the body; None: nothing is read.)
CUTS: dict[str, tuple[float, float, int | None]] = {
    "before the request": (0.0, 0.0, None),
    "in its first line": (0.02, 0.0, None),
    "in its head": (0.5, 0.0, None),
    "after its head": (1.0, 0.0, None),
    "in its body": (1.0, 0.5, None),
    "before its last byte": (1.0, 0.999, None),
    "after it": (1.0, 1.0, None),
    "at the first byte of the answer": (1.0, 1.0, 1),
    "in the answer's head": (1.0, 1.0, 40),
    "in the answer's body": (1.0, 1.0, 600),
    "after the answer": (1.0, 1.0, 100_000),
}


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.configure()
        yield running


def cut(bed: Bed, head: bytes, body: bytes, where: str) -> None:
    """Send it up to there, and drop the connection as a network does: at once, with what was not read."""
    of_head, of_body, of_answer = CUTS[where]
    with wire(bed.url) as client:
        client.send(head[: int(len(head) * of_head)] + body[: int(len(body) * of_body)])
        if of_answer is not None:
            _read(client, of_answer)
        client.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _read(client: Wire, most: int) -> None:
    """So many bytes of the answer, or all of it."""
    if most >= 100_000:
        client.answer()
    else:
        client.raw.recv(most)


def written(method: str, path: str, headers: "dict[str, str]", body: bytes) -> bytes:
    fields = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *fields, f"Content-Length: {len(body)}", "", ""]).encode()


def cut_ask(host: FollowerClient, method: str, path: str, body: bytes, where: str) -> None:
    cut(host.bed, written(method, path, host.signed(method, path, body), body), body, where)


@pytest.mark.parametrize("where", CUTS)
def test_an_enrolment_that_was_cut_off_is_done_once_and_answered_when_asked_again(bed: Bed, where: str) -> None:
    bed.ask("PUT", "/v1/followers/host-1", {})
    host = NewHost(bed, bed.enrolment_string("host-1"))
    body = encode(host.request())
    parts = signing.RequestParts("POST", HOST, "/v1/enroll", "", JSON, body)
    signed = signing.sign_request(
        host.private,
        parts,
        keyid=host.string.token_id,
        nonce=base64url(bed.engine.chance.token(16)),
        created=bed.clock.now(),
    )
    cut(bed, written("POST", "/v1/enroll", signed | {"Host": HOST, "Content-Type": JSON}, body), body, where)
    bed.clock.advance(2)

    believed = host.believed(host.enrol())

    assert believed.follower_id == bed.stored_follower("host-1").id
    assert len(bed.events("follower.enrolled")) == 1
    assert bed.events("token.used_twice") == []


@pytest.mark.parametrize("where", CUTS)
def test_a_wish_that_was_cut_off_makes_one_line_and_one_order(bed: Bed, where: str) -> None:
    host = bed.follower("host-1", (NAME,))
    body = encode(LineWish((NAME,), {"ecdsa-p256": make_csr(host.key, (NAME,))}))
    cut_ask(host, "PUT", "/v1/follower/lines/blog", body, where)

    answer = host.ask("PUT", "/v1/follower/lines/blog", body)
    bed.engine.run(timedelta(minutes=5))

    assert answer.status_code == 200, answer.text
    assert json.loads(answer.content)["line"] == "blog@host-1"
    assert len(bed.engine.ca.issued) == 1
    assert len(bed.events("line.wished")) == 1


@pytest.mark.parametrize("where", CUTS)
def test_a_report_that_was_cut_off_is_on_record_once(bed: Bed, where: str) -> None:
    host = bed.follower("host-1", (NAME,))
    host.wish("blog", NAME)
    bed.engine.run(timedelta(minutes=5))
    body = encode(Report("certline-follower test", 1, (DeploymentReport("blog", 1, "installed"),)))
    cut_ask(host, "POST", "/v1/follower/reports", body, where)

    assert host.ask("POST", "/v1/follower/reports", body).status_code == 204

    assert len(bed.events("deployment.installed")) == 1
    with bed.store.read() as records:
        (deployment,) = records.followers.deployments(SYSTEM, follower_id=host.follower_id)
    assert (deployment.version, deployment.state) == (1, "installed")


def test_the_same_bytes_sent_again_are_no_second_request(bed: Bed) -> None:
    """Who repeats signs anew; what somebody between kept and sends again is refused."""
    host = bed.follower("host-1", (NAME,))
    body = encode(LineWish((NAME,)))
    signed = host.signed("PUT", "/v1/follower/lines/blog", body)
    first = host.send("PUT", "/v1/follower/lines/blog", signed, body)
    again = host.send("PUT", "/v1/follower/lines/blog", signed, body)
    assert (first.status_code, again.status_code) == (200, 401)
    assert [event.data["reason"] for event in bed.events("follower.refused")] == ["replayed nonce"]
