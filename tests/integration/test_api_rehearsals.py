"""Rehearsals over real HTTP: a line once more, for one host, at the issuer that is there for tests."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.rehearsal import LASTS, MOST_A_DAY
from certline_shared.keys import KeyType, PrivateKey, generate, make_csr, spki_sha256
from certline_shared.messages import DeploymentReport, RehearsalWish, Report, VersionContent, decode, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import faults
from tests.integration.api_hosts import FollowerClient, opened

CA = {"directory": "https://fake-ca.example/dir", "default": True}
STAGING = {"directory": "https://staging.example/dir", "test_of": "ca"}
FLEET: dict[str, Any] = {"issuers": {"ca": CA, "staging": STAGING}, "zones": {"example.com": {"solver": "rfc2136"}}}
BLOG = "blog.example.com"
SECOND = timedelta(seconds=1)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path), long_polls=2) as running:
        answer = running.apply(FLEET)
        assert answer.status_code == 200, answer.text
        yield running


def rehearse(
    host: FollowerClient, line: str, *names: str, key: PrivateKey | None = None, asked: bool = True
) -> httpx.Response:
    """PUT a wish for a rehearsal, with a request where there is a key."""
    csrs = {"ecdsa-p256": make_csr(key, names)} if key else {}
    body = encode(RehearsalWish(names if names and asked else None, csrs))
    return host.ask("PUT", f"/v1/follower/lines/{line}", body)


def told(host: FollowerClient, *ended: DeploymentReport) -> None:
    report = Report("certline-follower 0.3.0", 1, (), rehearsals=ended)
    assert host.ask("POST", "/v1/follower/reports", encode(report)).status_code == 204


def issuers_of(bed: Bed) -> list[str]:
    """Where each version of each line was ordered, the line's name in front."""
    with bed.store.read() as records:
        lines = {line.id: line for line in records.lines.all(SYSTEM)}
        names = {one.id: one.name for one in records.issuers.all(SYSTEM)}
    return sorted(f"{line.name} {names[line.issuer_id] if line.issuer_id else 'ca'}" for line in lines.values())


def test_a_rehearsal_is_issued_elsewhere_and_shown_apart_from_the_line(bed: Bed) -> None:
    host, key = bed.follower(), generate(KeyType.ECDSA_P256)
    host.wish("blog", BLOG)
    bed.engine.run(SECOND)
    (before,) = opened(host).lines

    answer = rehearse(host, "blog", BLOG, key=key)
    bed.engine.run(SECOND)

    assert answer.json()["line"] == "blog+test@web-1"
    manifest = opened(host)
    assert manifest.lines == (before,)
    (line,) = manifest.rehearsals
    assert (line.name, line.version, line.spki_sha256) == ("blog", 1, {"ecdsa-p256": spki_sha256(key)})
    path = "/v1/follower/lines/blog/versions/1"
    test = decode(VersionContent, host.ask("GET", path, query="test=true").content)
    real = decode(VersionContent, host.ask("GET", path).content)
    assert (test.line, set(test.files)) == ("blog", set(real.files))
    assert test.files != real.files
    assert issuers_of(bed) == ["blog+test@web-1 staging", "blog@web-1 ca"]


def test_people_see_it_only_where_they_ask_for_it(bed: Bed) -> None:
    host = bed.follower()
    rehearse(host, "blog", BLOG, key=host.key)
    bed.engine.run(SECOND)

    assert bed.ask("GET", "/v1/lines").json() == []
    assert bed.ask("GET", "/v1/status").json()["counts"]["lines"] == 0


def test_what_the_host_tells_at_the_end_is_on_record_and_the_rehearsal_is_gone(bed: Bed) -> None:
    host = bed.follower()
    host.wish("blog", BLOG)
    rehearse(host, "blog", BLOG, key=generate(KeyType.ECDSA_P256))
    bed.engine.run(SECOND)

    told(host, DeploymentReport("blog", 0, "installed", "service nginx: its reload failed"))
    told(host, DeploymentReport("blog", 0, "installed", "sent again"))

    (failed,) = bed.events("rehearsal.failed")
    assert (failed.subject, failed.data["error"]) == ("line:blog@web-1", "service nginx: its reload failed")
    assert opened(host).rehearsals == ()
    assert issuers_of(bed) == ["blog@web-1 ca"]


def test_one_that_nobody_ends_is_over_after_its_time_and_is_never_renewed(bed: Bed) -> None:
    host = bed.follower()
    rehearse(host, "blog", BLOG, key=host.key)
    bed.engine.run(timedelta(minutes=1))
    assert opened(host).rehearsals[0].version == 1

    bed.engine.run(LASTS)

    assert opened(host).rehearsals == ()
    assert [event.data["version"] for event in bed.events("version.ordered")] == [1]
    assert len(bed.events("rehearsal.ended")) == 1


def test_another_request_begins_another_rehearsal_and_the_same_goes_on(bed: Bed) -> None:
    host, first, second = bed.follower(), generate(KeyType.ECDSA_P256), generate(KeyType.ECDSA_P256)
    for key in (first, first, second, second):
        assert rehearse(host, "blog", BLOG, key=key).status_code == 200
        bed.engine.run(SECOND)

    (line,) = opened(host).rehearsals
    assert line.spki_sha256 == {"ecdsa-p256": spki_sha256(second)}
    assert len(bed.events("rehearsal.began")) == 2


def test_a_line_of_the_operators_is_begun_without_a_request(bed: Bed) -> None:
    host = bed.follower()
    bed.apply(FLEET | {"lines": {"shop": {"names": ["shop.example.com"], "follower": "web-1"}}})

    assert rehearse(host, "shop").json() == {
        "line": "shop+test@web-1", "names": ["shop.example.com"], "state": "csr_wanted",
    }  # fmt: skip
    (begun,) = opened(host).rehearsals
    assert [want.slot for want in begun.csr_wanted] == ["current"]
    rehearse(host, "shop", "shop.example.com", key=host.key, asked=False)
    bed.engine.run(SECOND)
    assert opened(host).rehearsals[0].version == 1


def test_without_an_issuer_for_tests_nothing_is_rehearsed(bed: Bed) -> None:
    """Acceptance 2.0: 14."""
    host = bed.follower()
    bed.apply({"issuers": {"ca": CA}, "zones": FLEET["zones"]}, force=True)

    answer = rehearse(host, "blog", BLOG, key=host.key)

    assert answer.status_code == 409
    assert "`test_of: ca`" in answer.json()["detail"]


@pytest.mark.parametrize(("line", "names", "status"), [("evil", ("evil.example.com",), 403), ("shop", (), 404)])
def test_a_host_rehearses_only_what_it_may_have(bed: Bed, line: str, names: tuple[str, ...], status: int) -> None:
    host = bed.follower()
    bed.follower("web-2")
    bed.apply(FLEET | {"lines": {"shop": {"names": ["shop.example.com"], "follower": "web-2"}}})

    assert rehearse(host, line, *names, key=host.key if names else None).status_code == status
    assert opened(host).rehearsals == ()


def test_a_key_that_is_in_use_is_none_for_a_rehearsal(bed: Bed) -> None:
    host = bed.follower()
    host.wish("blog", BLOG)
    bed.engine.run(SECOND)

    answer = rehearse(host, "blog", BLOG, key=host.key)

    assert answer.status_code == 422
    assert "a rehearsal has keys of its own" in answer.text


def test_a_host_begins_so_many_in_a_day(bed: Bed) -> None:
    host = bed.follower()
    bed.apply(FLEET | {"lines": {"shop": {"names": ["shop.example.com"], "follower": "web-1"}}})
    for _ in range(MOST_A_DAY):
        assert rehearse(host, "shop").status_code == 200
        told(host, DeploymentReport("shop", 0, "installed"))

    assert rehearse(host, "shop").status_code == 429
    bed.clock.advance(timedelta(days=1, seconds=1))
    assert rehearse(host, "shop").status_code == 200


@pytest.mark.parametrize(
    ("staging", "detail"),
    [
        ({"test_of": "nowhere"}, "'nowhere' is no other issuer: name one of them (ca"),
        ({"test_of": "staging"}, "'staging' is no other issuer"),
    ],
)
def test_an_issuer_rehearses_for_another_one(bed: Bed, staging: dict[str, str], detail: str) -> None:
    wished = FLEET | {"issuers": {"ca": CA, "staging": STAGING | staging}}

    assert detail in faults(bed, wished)["/issuers/staging/test_of"]


def test_an_issuer_has_one_that_rehearses_for_it(bed: Bed) -> None:
    wished = FLEET | {"issuers": {"ca": CA, "staging": STAGING, "third": STAGING}}

    assert faults(bed, wished)["/issuers/third/test_of"] == "staging rehearses for ca already: only one issuer can"
