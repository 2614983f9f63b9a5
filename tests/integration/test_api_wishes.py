"""What a host may wish of a line, over real HTTP: granted name by name, or refused with a reason."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass
from certline_shared.keys import KeyType, generate, spki_sha256
from certline_shared.messages import LineWish, Problem, VersionContent, decode, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import opened

FLEET = {
    "issuers": {"ca": {"directory": "https://fake-ca.example/dir", "default": True}},
    "zones": {"example.com": {"solver": "rfc2136"}},
}


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path), long_polls=2) as running:
        answer = running.apply(FLEET)
        assert answer.status_code == 200, answer.text
        yield running


def test_a_wish_becomes_a_certificate_that_the_manifest_names(bed: Bed) -> None:
    host = bed.follower()
    answer = host.wish("blog", "blog.example.com")
    assert answer.json() == {"line": "blog@web-1", "names": ["blog.example.com"], "state": "waiting"}
    bed.engine.run()
    (line,) = opened(host).lines
    assert (line.name, line.version) == ("blog", 1)
    assert line.spki_sha256 == {"ecdsa-p256": spki_sha256(host.key)}
    content = decode(VersionContent, host.ask("GET", "/v1/follower/lines/blog/versions/1").content)
    (file,) = line.files
    assert len(content.files[file.name].encode()) == file.length
    assert host.wish("blog", "blog.example.com").json()["state"] == "live"


def test_a_wish_that_waits_for_an_issuer_goes_on_when_there_is_one(bed: Bed) -> None:
    host = bed.follower()
    bed.apply({"zones": FLEET["zones"]}, force=True)
    host.wish("blog", "blog.example.com")
    bed.engine.run(timedelta(minutes=1))
    assert "no issuer" in bed.ask("GET", "/v1/lines/blog@web-1").json()["line"]["standing"]
    bed.apply(FLEET)
    bed.engine.run(timedelta(minutes=1))
    assert opened(host).lines[0].version == 1


def test_a_name_whose_grant_is_taken_away_is_not_issued_again(bed: Bed) -> None:
    host = bed.follower()
    host.wish("blog", "blog.example.com")
    bed.engine.run(timedelta(minutes=1))
    bed.ask("PUT", "/v1/followers/web-1", {"grants": {"request": ["shop.example.com"]}})
    bed.ask("POST", "/v1/lines/blog@web-1/issue", {"force": True})
    bed.engine.run(timedelta(minutes=1))
    line = bed.ask("GET", "/v1/lines/blog@web-1").json()["line"]
    assert (line["version"], "no grant for blog.example.com" in line["standing"]) == (1, True)
    bed.ask("PUT", "/v1/followers/web-1", {"grants": {"request": ["blog.example.com"]}})
    bed.engine.run(timedelta(minutes=1))
    assert bed.ask("GET", "/v1/lines/blog@web-1").json()["line"]["version"] == 2


def test_a_name_without_a_grant_is_refused_by_name_and_on_record_once(bed: Bed) -> None:
    host = bed.follower()
    for _ in range(3):
        answer = host.wish("blog", "blog.example.com", "evil.example.com")
        assert answer.status_code == 403
        problem = decode(Problem, answer.content)
        assert problem.type == "urn:certline:problem:not-granted"
        assert problem.names == ("evil.example.com",)
    (refused,) = bed.events("wish.refused")
    assert refused.data["names"] == ["evil.example.com"]
    assert opened(host).lines == ()


@pytest.mark.parametrize(
    ("grant", "wished"),
    [
        ("example.com", "*.example.com"),
        ("*.example.com", "www.example.com"),
        ("*.example.com", "example.com"),
        ("blog.example.com", "xblog.example.com"),
        ("blog.example.com", "a.blog.example.com"),
    ],
)
def test_a_grant_is_for_exactly_its_name(bed: Bed, grant: str, wished: str) -> None:
    host = bed.follower(grants=(grant,))
    assert host.wish("blog", wished).status_code == 403
    assert host.wish("blog", grant).status_code == 200


def test_another_spelling_of_a_granted_name_is_the_same_name(bed: Bed) -> None:
    host = bed.follower(grants=("xn--bcher-kva.example.com",))
    answer = host.wish("blog", "BÜCHER.example.com.", csr_names=["xn--bcher-kva.example.com"])
    assert answer.json()["names"] == ["xn--bcher-kva.example.com"]


def test_a_name_that_nothing_can_prove_is_refused_with_what_to_do(bed: Bed) -> None:
    host = bed.follower(grants=("www.elsewhere.test",))
    answer = host.wish("blog", "www.elsewhere.test")
    assert answer.status_code == 422
    assert "no zone for www.elsewhere.test" in answer.json()["errors"][0]["detail"]


def test_a_name_that_nothing_can_prove_is_on_record_once_for_each_set_of_names(bed: Bed) -> None:
    host = bed.follower(grants=("www.elsewhere.test", "blog.elsewhere.test"))
    for names in (("www.elsewhere.test",), ("www.elsewhere.test", "blog.elsewhere.test")):
        for _ in range(3):
            assert host.wish("blog", *names).status_code == 422
    second, first = bed.events("wish.refused")
    assert (first.subject, first.actor) == ("line:blog@web-1", "follower:web-1")
    assert first.text.startswith("web-1 asks for names that nothing here proves: no zone for www.elsewhere.test")
    assert first.data["names"] == ["www.elsewhere.test"]
    assert set(second.data["names"]) == {"www.elsewhere.test", "blog.elsewhere.test"}
    assert opened(host).lines == ()


def test_a_request_for_other_names_than_the_wish_is_refused(bed: Bed) -> None:
    host = bed.follower(grants=("blog.example.com", "shop.example.com"))
    answer = host.wish("blog", "blog.example.com", csr_names=["blog.example.com", "shop.example.com"])
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "/csrs/ecdsa-p256"


def test_a_body_with_two_faults_names_both_fields(bed: Bed) -> None:
    host = bed.follower()
    answer = host.ask("PUT", "/v1/follower/lines/blog", encode(LineWish(("10.0.0.1",), {"dsa": b"x"})))
    assert [error["field"] for error in answer.json()["errors"]] == ["/names/0", "/csrs/dsa"]


def test_the_same_wish_again_changes_nothing(bed: Bed) -> None:
    host = bed.follower()
    host.wish("blog", "blog.example.com")
    written = len(bed.events("line.wished")) + len(bed.events("line.csr"))
    host.wish("blog", "blog.example.com")
    assert len(bed.events("line.wished")) + len(bed.events("line.csr")) == written == 2


def test_a_changed_set_of_names_wants_a_new_request_and_is_issued_anew(bed: Bed) -> None:
    host = bed.follower(grants=("blog.example.com", "www.example.com"))
    host.wish("blog", "blog.example.com")
    bed.engine.run()
    changed = host.ask("PUT", "/v1/follower/lines/blog", encode(LineWish(("blog.example.com", "www.example.com"))))
    assert changed.json()["state"] == "csr_wanted"
    assert [wanted.key_type for wanted in opened(host).lines[0].csr_wanted] == ["ecdsa-p256"]
    host.wish("blog", "blog.example.com", "www.example.com")
    bed.engine.run()
    assert opened(host).lines[0].version == 2


def test_a_new_key_is_issued_for(bed: Bed) -> None:
    host = bed.follower()
    host.wish("blog", "blog.example.com")
    bed.engine.run()
    key = generate(KeyType.ECDSA_P256)
    assert host.wish("blog", "blog.example.com", key=key).json()["state"] == "waiting"
    bed.engine.run()
    assert opened(host).lines[0].spki_sha256 == {"ecdsa-p256": spki_sha256(key)}


def test_a_line_of_the_operators_takes_the_followers_request_and_no_other_names(bed: Bed) -> None:
    host = bed.follower()
    line = {"follower": "web-1", "names": ["shop.example.com"]}
    assert bed.ask("PUT", "/v1/lines/shop", line).status_code == 200
    assert [wanted.key_type for wanted in opened(host).lines[0].csr_wanted] == ["ecdsa-p256"]
    refused = host.wish("shop", "blog.example.com")
    assert refused.status_code == 422
    accepted = host.wish("shop", csr_names=["shop.example.com"])
    assert accepted.json() == {"line": "shop", "names": ["shop.example.com"], "state": "waiting"}


def test_a_follower_may_not_have_more_than_a_hundred_lines(bed: Bed) -> None:
    host = bed.follower()
    body = encode(LineWish(("blog.example.com",)))
    for number in range(100):
        assert host.ask("PUT", f"/v1/follower/lines/line-{number}", body).status_code == 200
    refused = host.ask("PUT", "/v1/follower/lines/line-100", body)
    assert refused.status_code == 409
    assert host.ask("PUT", "/v1/follower/lines/line-99", body).status_code == 200


def test_what_failed_for_the_configurations_sake_is_tried_when_that_is_mended(bed: Bed) -> None:
    host = bed.follower()
    bed.engine.solver.fail_next["present"] = [SolverError("BADKEY: unknown key", FailureClass.FIX_CONFIGURATION)]
    host.wish("blog", "blog.example.com")
    bed.engine.run(timedelta(minutes=1))
    assert "BADKEY" in bed.ask("GET", "/v1/lines/blog@web-1").json()["line"]["standing"]
    mended = {**FLEET, "zones": {"example.com": {"solver": "rfc2136", "secret": "bWVuZGVk"}}}
    assert bed.apply(mended).status_code == 200
    bed.engine.run(timedelta(minutes=1))
    assert opened(host).lines[0].version == 2  # the first one failed
