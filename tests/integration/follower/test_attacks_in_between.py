"""Somebody between host and master who ends TLS: it may drop and delay, but never pass old news off as fresh."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certline_follower.master_faults import Untrusted
from certline_shared import signing
from tests.fakes.master import FakeMaster, Reply
from tests.integration.follower.host_bed import Bed

Meddle = Callable[[str, dict[str, str], Callable[[], Reply]], Reply]


class Between(FakeMaster):
    """A master behind somebody who sees each request's nonce and headers, and decides what becomes of them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.meddle: Meddle | None = None
        self.lost: list[str] = []  # parts of requests whose answers do not arrive

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        def forward() -> Reply:
            return super(Between, self).answer(method, target, headers, body)

        if self.lost and self.lost[0] in f"{method} {target}":
            self.lost.pop(0)
            forward()
            return Reply(502)
        if self.meddle is None or "/manifest" not in target:
            return forward()
        return self.meddle(signing.read_request_claims(headers).nonce, headers, forward)


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Between]:
    made = Between(tmp_path)
    with made.running():
        made.grant("shop.example.org")
        yield made


def test_news_cannot_be_hidden_by_asking_for_another_tag_in_the_hosts_name(bed: Bed, master: Between) -> None:
    host = bed.host()
    bed.settle(host)
    master.issue("shop")

    def ask_for_the_newest(_nonce: str, headers: dict[str, str], forward: Callable[[], Reply]) -> Reply:
        headers["if-none-match"] = master._tag_now()  # it saw that tag in an answer it held back
        return forward()

    master.meddle = ask_for_the_newest
    assert isinstance(bed.turn(host).away, Untrusted)
    master.meddle = None
    assert bed.turn(host).news


def test_an_old_answer_cannot_be_served_again_by_handing_out_its_nonce(bed: Bed, master: Between) -> None:
    host = bed.host()
    bed.settle(host)
    kept: dict[str, Reply] = {}

    def listen(nonce: str, _headers: dict[str, str], forward: Callable[[], Reply]) -> Reply:
        kept[nonce] = forward()
        return kept[nonce]

    def serve_again(nonce: str, _headers: dict[str, str], _forward: Callable[[], Reply]) -> Reply:
        old, answer = next(iter(kept.items()))
        return answer if nonce.startswith(old) else Reply(401, b"{}", {"Certline-Nonce": old})

    master.meddle = listen
    assert bed.turn(host).away is None
    master.issue("shop")
    master.meddle = serve_again
    assert isinstance(bed.turn(host).away, Untrusted)
    master.meddle = None
    assert bed.turn(host).news


@pytest.mark.parametrize("what", ["PUT /v1/follower/lines", "GET /v1/follower/lines", "POST /v1/follower/reports"])
def test_what_is_said_again_after_a_lost_answer_changes_nothing_more(bed: Bed, master: Between, what: str) -> None:
    host = bed.host()
    master.lost = [what]
    for _ in range(5):
        bed.turn(host)
    assert master.lost == []
    assert list(master.lines["shop"].versions) == [1]
    assert bed.reloads() == 1
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state) == (1, "reloaded")
