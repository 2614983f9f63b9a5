"""Who is refused costs the same work whatever was wrong (G12): counted here, timed by bench/timing.py."""

import hmac
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from certline_master.api import admin_tokens, callers, enrolment, gate
from certline_shared import enrolment as shared_enrolment
from certline_shared import signing
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient, NewHost

PATH = "/v1/follower/manifest"


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        yield running


class Work:
    """How often each costly thing was done since the last `counted`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._done: Counter[str] = Counter()
        for module, name in (
            (callers, "verify_request"),
            (signing, "verify_request"),
            (gate, "sign_answer"),
            (shared_enrolment, "request_mac"),
            (shared_enrolment, "mac_holds"),
            (enrolment, "verify_request"),
            (admin_tokens, "fingerprint"),
        ):
            self._watch(monkeypatch, module, name)
        self._watch(monkeypatch, hmac, "compare_digest")

    def _watch(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        real = getattr(module, name)

        def counting(*arguments: Any, **named: Any) -> Any:
            self._done[name] += 1
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, counting)

    def counted(self) -> dict[str, int]:
        found, self._done = dict(self._done), Counter()
        return found


@pytest.fixture
def work(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> Work:
    assert bed.services is not None  # whose start signs and compares too
    return Work(monkeypatch)


def test_an_unknown_follower_costs_what_a_wrong_signature_of_a_known_one_does(bed: Bed, work: Work) -> None:
    known = bed.follower()
    stranger = FollowerClient(bed, *signing.generate_identity())
    thief = FollowerClient(bed, *signing.generate_identity(), follower_id=known.follower_id)
    seen = []
    for client in (stranger, thief):
        work.counted()
        answer = client.send("GET", PATH, client.signed("GET", PATH))
        assert answer.status_code == 401
        seen.append((answer.content, work.counted()))
    assert seen[0] == seen[1]
    assert seen[0][1] == {"verify_request": 1, "sign_answer": 1}


@pytest.mark.parametrize("kind", ["unknown prefix", "known prefix", "no token at all"])
def test_a_wrong_admin_token_costs_one_hash_and_one_comparison(bed: Bed, work: Work, kind: str) -> None:
    good, _ = bed.new_token(role=next(iter(bed.tokens)), seconds=600)
    prefix = good.split("_")[1] if kind == "known prefix" else "00000000"
    wrong = "rubbish" if kind == "no token at all" else f"certline_{prefix}_{'A' * 43}"
    work.counted()
    assert bed.http.get("/v1/status", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    done = work.counted()
    assert (done["fingerprint"], done["compare_digest"]) == (1, 1)


def test_an_unknown_enrolment_token_costs_what_a_wrong_mac_of_a_known_one_does(bed: Bed, work: Work) -> None:
    bed.ask("PUT", "/v1/followers/web-1", {})
    known = bed.enrolment_string()
    strings = (replace(known, token_id=bed.engine.chance.uuid()), replace(known, secret=b"w" * 32))
    seen = []
    for string in strings:
        work.counted()
        answer = NewHost(bed, string).enrol()
        assert answer.status_code == 401
        work_done = {name: count for name, count in work.counted().items() if name != "request_mac"}
        seen.append((answer.content, work_done))
    assert seen[0] == seen[1]
    assert seen[0][1]["mac_holds"] == 1


def test_a_host_that_knows_the_secret_costs_more_as_it_may_be_let_in(bed: Bed, work: Work) -> None:
    """The counters can tell a difference."""
    bed.ask("PUT", "/v1/followers/web-1", {})
    host = NewHost(bed, bed.enrolment_string())
    work.counted()
    assert host.enrol().status_code == 200
    assert work.counted()["verify_request"] == 1
