"""What somebody between follower and master may do to a request: it is heard as it was meant, or refused, and then
the master's record names the part that was changed.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from certline_shared.messages import LineWish, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import JSON, FollowerClient
from tests.integration.wire import statuses, wire

LINE = "/v1/follower/lines/blog"
WISH = encode(LineWish(("blog.example.com",)))


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path_factory.mktemp("master"))) as running:
        running.engine.configure()
        yield running


@dataclass(frozen=True)
class Sent:
    """A request as it is on the wire."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def without(self, name: str) -> "Sent":
        return replace(self, headers=tuple(pair for pair in self.headers if pair[0].lower() != name.lower()))

    def saying(self, name: str, value: str) -> "Sent":
        return replace(self.without(name), headers=(*self.without(name).headers, (name, value)))

    def said(self, name: str) -> str:
        return next(value for known, value in self.headers if known.lower() == name.lower())

    def renamed(self, change: Callable[[str], str]) -> "Sent":
        return replace(self, headers=tuple((change(name), value) for name, value in self.headers))

    def with_body(self, body: bytes) -> "Sent":
        return replace(self, body=body).saying("Content-Length", str(len(body)))

    def chunked(self) -> "Sent":
        pieces = [self.body[at : at + 7] for at in range(0, len(self.body), 7)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        return replace(self.without("Content-Length").saying("Transfer-Encoding", "chunked"), body=body)

    @property
    def encoded(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


def wish(host: FollowerClient) -> Sent:
    headers = host.signed("PUT", LINE, WISH)
    return Sent("PUT", LINE, (*headers.items(), ("User-Agent", "x"), ("Content-Length", str(len(WISH)))), WISH)


def answered(bed: Bed, sent: Sent) -> int:
    with wire(bed.url) as client:
        client.send(sent.encoded)
        (status,) = statuses(client.answer())
        return status


HARMLESS: dict[str, Callable[[Sent], Sent]] = {
    "nothing": lambda sent: sent,
    "adds headers": lambda sent: sent.saying("Via", "1.1 proxy").saying("X-Forwarded-For", "203.0.113.9"),
    "adds a header with a name of ours": lambda sent: sent.saying("X-Signature", "sig=:AAAA:"),
    "drops what it does not know": lambda sent: sent.without("User-Agent"),
    "puts headers into another order": lambda sent: replace(sent, headers=tuple(reversed(sent.headers))),
    "writes names in lower case": lambda sent: sent.renamed(str.lower),
    "writes names in upper case": lambda sent: sent.renamed(str.upper),
    "writes the host in upper case": lambda sent: sent.saying("Host", sent.said("Host").upper()),
    "puts blanks around values": lambda sent: replace(sent, headers=tuple((n, f"  {v} ") for n, v in sent.headers)),
    "sends the body in chunks": lambda sent: sent.chunked(),
}


@pytest.mark.parametrize("way", HARMLESS)
def test_what_does_not_change_the_meaning_is_no_hindrance(bed: Bed, way: str) -> None:
    host = bed.follower(f"heard-{list(HARMLESS).index(way)}")
    assert answered(bed, HARMLESS[way](wish(host))) == 200


def swap(old: str, new: str) -> Callable[[Sent], Sent]:
    return lambda sent: replace(sent, target=sent.target.replace(old, new))


def upper_signature(sent: Sent) -> Sent:
    return sent.saying("Signature", sent.said("Signature").upper())


def other_digest(sent: Sent) -> Sent:
    return sent.saying("Content-Digest", f"sha-256=:{base64.b64encode(bytes(32)).decode()}:")


CHANGED: dict[str, tuple[Callable[[Sent], Sent], str]] = {
    "another method": (lambda sent: replace(sent, method="POST"), "its method was changed on the way"),
    "a slash at the end": (swap("blog", "blog/"), "its path was changed on the way"),
    "an escape in the path": (swap("blog", "%62log"), "its path was changed on the way"),
    "a slash that was escaped": (swap("/blog", "%2Fblog"), "its path was changed on the way"),
    "upper case in the path": (swap("blog", "Blog"), "its path was changed on the way"),
    "another line": (swap("blog", "shop"), "signature does not hold"),
    "a query": (swap("blog", "blog?from=proxy"), "its query was changed on the way"),
    "a content type with a character set": (
        lambda sent: sent.saying("Content-Type", f"{JSON}; charset=utf-8"),
        "its content-type was changed on the way",
    ),
    "no content type": (lambda sent: sent.without("Content-Type"), "content type missing"),
    "another host": (lambda sent: sent.saying("Host", "127.0.0.1:8080"), "other authority"),
    "another digest": (other_digest, "its content-digest was changed on the way"),
    "no digest": (lambda sent: sent.without("Content-Digest"), "other components"),
    "another body": (lambda sent: sent.with_body(WISH.replace(b"blog", b"shop")), "body changed"),
    "the same body with blanks": (lambda sent: sent.with_body(WISH.replace(b":", b": ")), "body changed"),
    "half of the body": (lambda sent: sent.with_body(WISH[:-5]), "body changed"),
    "no signature": (lambda sent: sent.without("Signature"), "signature header missing"),
    "no description of the signature": (lambda sent: sent.without("Signature-Input"), "signature missing"),
    "the signature in upper case": (upper_signature, "signature header missing, malformed"),
    "a second signature": (
        lambda sent: replace(sent, headers=(*sent.headers, ("Signature", sent.said("Signature")))),
        "signature header missing, malformed or doubled",
    ),
}


@pytest.mark.parametrize("way", CHANGED)
def test_what_changes_the_meaning_is_refused_and_the_record_says_what_it_was(bed: Bed, way: str) -> None:
    change, told = CHANGED[way]
    bed.clock.advance(61)  # one record a minute
    host = bed.follower(f"changed-{list(CHANGED).index(way)}")
    before = {event.id for event in bed.events("follower.refused")}
    assert answered(bed, change(wish(host))) == 401
    (event,) = [one for one in bed.events("follower.refused") if one.id not in before]
    assert told in event.text
    assert f"blog@{host.name}" not in {line["name"] for line in bed.ask("GET", "/v1/lines").json()}


def test_a_body_that_was_packed_is_refused(bed: Bed) -> None:
    host = bed.follower("packed")
    assert answered(bed, wish(host).saying("Content-Encoding", "gzip").with_body(b"\x1f\x8b" + WISH)) == 401


def test_a_body_that_was_dropped_is_refused(bed: Bed) -> None:
    host = bed.follower("dropped")
    assert answered(bed, wish(host).with_body(b"")) == 401
