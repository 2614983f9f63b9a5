"""The follower's side of the API, over real HTTP: manifests, wishes, versions, reports."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaRefused
from certline_master.domain.model import FailureClass, Line, Owner
from certline_master.domain.ports import Records
from certline_shared.messages import DeploymentReport, Report, encode
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


def test_an_unchanged_manifest_is_answered_304_and_its_serial_stays(bed: Bed) -> None:
    host = bed.follower()
    first = host.manifest()
    assert host.manifest(first.headers["ETag"]).status_code == 304
    assert opened(host).serial == opened(host).serial == 1


def test_the_serial_rises_with_the_content(bed: Bed) -> None:
    host = bed.follower()
    before = opened(host).serial
    host.wish("blog", "blog.example.com")
    assert opened(host).serial == before + 1


def test_a_host_with_very_many_lines_is_told_of_all_of_them(bed: Bed) -> None:
    host = bed.follower()
    lines = [Line(f"id-{n}", f"line-{n}", Owner.FILE, host.follower_id, (f"n{n}.example.com",)) for n in range(1_001)]

    def save(records: Records) -> None:
        for line in lines:
            records.lines.save(SYSTEM, line)

    bed.store.write(save)
    assert len(opened(host).lines) == len(lines)


def test_a_long_poll_answers_as_soon_as_there_is_news(bed: Bed) -> None:
    host = bed.follower()
    etag = host.manifest().headers["ETag"]
    answers: list[int] = []
    waiting = threading.Thread(target=lambda: answers.append(host.manifest(etag, wait=55).status_code))
    waiting.start()
    while waiting.is_alive() and not bed.app.state.long_polls.open:
        pass
    bed.ask("PUT", "/v1/followers/web-1", {"grants": {"request": ["shop.example.com"]}})
    waiting.join(10)
    assert answers == [200]


def test_a_long_poll_without_news_ends_with_304(bed: Bed) -> None:
    host = bed.follower()
    etag = host.manifest().headers["ETag"]
    assert host.manifest(etag, wait=1).status_code == 304


def test_beyond_the_cap_a_long_poll_is_answered_at_once_with_the_time_to_come_back(bed: Bed) -> None:
    host = bed.follower()
    etag = host.manifest().headers["ETag"]
    waiting = [threading.Thread(target=host.manifest, args=(etag, 30)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    while all(thread.is_alive() for thread in waiting) and bed.app.state.long_polls.open < 2:
        pass
    turned_away = host.manifest(etag, wait=30)
    assert turned_away.status_code == 304
    assert 15 <= int(turned_away.headers["Retry-After"]) <= 45
    bed.app.state.long_polls.close()
    for thread in waiting:
        thread.join(10)
        assert not thread.is_alive()


def test_a_follower_that_is_revoked_while_it_waits_gets_nothing_more(bed: Bed) -> None:
    host = bed.follower()
    etag = host.manifest().headers["ETag"]
    answers: list[str] = []
    waiting = threading.Thread(target=lambda: answers.append(host.manifest(etag, wait=55).json()["type"]))
    waiting.start()
    while waiting.is_alive() and not bed.app.state.long_polls.open:
        pass
    bed.ask("POST", "/v1/followers/web-1/revoke")
    waiting.join(10)
    assert answers == ["urn:certline:problem:revoked"]


def test_what_is_anothers_looks_as_if_it_were_not_there(bed: Bed) -> None:
    owner, other = bed.follower("web-1"), bed.follower("web-2")
    owner.wish("blog", "blog.example.com")
    bed.engine.run()
    foreign = other.ask("GET", "/v1/follower/lines/blog/versions/1")
    missing = other.ask("GET", "/v1/follower/lines/none/versions/1")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"].replace("blog", "none") == missing.json()["detail"]


def test_a_version_that_is_not_issued_is_not_there(bed: Bed) -> None:
    host = bed.follower()
    host.wish("blog", "blog.example.com")
    bed.engine.turn()
    assert host.ask("GET", "/v1/follower/lines/blog/versions/1").status_code == 404


def test_a_report_is_on_record_with_one_event_for_each_change(bed: Bed) -> None:
    host = bed.follower()
    host.wish("blog", "blog.example.com")
    bed.engine.run()
    gone = DeploymentReport("gone", 1, "installed")
    reports = [DeploymentReport("blog", 1, "installed"), DeploymentReport("blog", 1, "reloaded")]
    for deployment in (reports[0], reports[0], reports[1]):
        body = encode(Report("certline-follower 9", 1, (gone, deployment)))
        assert host.ask("POST", "/v1/follower/reports", body).status_code == 204
    assert len(bed.events("deployment.installed")) == len(bed.events("deployment.reloaded")) == 1
    shown = bed.ask("GET", "/v1/lines/blog@web-1").json()
    assert [(one["version"], one["state"]) for one in shown["deployments"]] == [(1, "reloaded")]
    assert bed.ask("GET", "/v1/followers/web-1").json()["agent"] == "certline-follower 9"


def test_a_report_of_a_failure_is_an_event_of_its_own(bed: Bed) -> None:
    host = bed.follower()
    host.wish("blog", "blog.example.com")
    bed.engine.run()
    failed = DeploymentReport("blog", 1, "installed", "the reload command of nginx failed")
    assert host.ask("POST", "/v1/follower/reports", encode(Report("a", 1, (failed,)))).status_code == 204
    (event,) = bed.events("deployment.failed")
    assert "the reload command of nginx failed" in event.text


def test_a_report_with_a_state_that_does_not_exist_names_the_field(bed: Bed) -> None:
    host = bed.follower()
    body = encode(Report("a", 1, (DeploymentReport("blog", 1, "wanted"),)))
    answer = host.ask("POST", "/v1/follower/reports", body)
    assert answer.json()["errors"][0]["field"] == "/deployments/0/state"


def test_what_holds_the_next_version_back_stands_in_the_manifest(bed: Bed) -> None:
    host = bed.follower()
    refusal = CaRefused("rejectedIdentifier", "not this name", FailureClass.NEEDS_PERSON)
    bed.engine.ca.fail("newOrder", refusal)
    host.wish("blog", "blog.example.com")
    bed.engine.run(timedelta(minutes=1))
    assert "not this name" in (opened(host).lines[0].error or "")


def test_polling_notes_when_a_follower_was_seen_once_a_minute(bed: Bed) -> None:
    host = bed.follower()
    host.manifest()
    first = bed.stored_follower().last_seen
    bed.clock.advance(30)
    host.manifest()
    assert bed.stored_follower().last_seen == first
    bed.clock.advance(31)
    host.manifest()
    assert bed.stored_follower().last_seen != first


def test_a_line_that_the_operator_deletes_leaves_the_manifest(bed: Bed) -> None:
    host = bed.follower()
    host.wish("blog", "blog.example.com")
    assert bed.ask("DELETE", "/v1/lines/blog@web-1").status_code == 200
    assert opened(host).lines == ()
    with bed.store.read() as records:
        assert records.lines.all(SYSTEM) == []
