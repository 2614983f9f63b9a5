"""Lines, status and events as people and scripts see them, over real HTTP."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import Role
from certline_master.domain.errors import CaUnreachable
from certline_shared.messages import DeploymentReport, Report, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET, changed
from tests.integration.api_hosts import FollowerClient


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.ca.profiles = ("classic", "shortlived")
        yield running


def asked(bed: Bed) -> FollowerClient:
    """The host whose request for the line is there."""
    bed.apply(FLEET)
    host = bed.enrolled("web-1")
    assert host.wish("shop", csr_names=["shop.example.com", "*.shop.example.com"]).status_code == 200
    return host


def issued(bed: Bed) -> FollowerClient:
    """The same, with all done that follows."""
    host = asked(bed)
    bed.engine.run()
    return host


def tell(host: FollowerClient, *deployments: DeploymentReport) -> None:
    assert host.ask("POST", "/v1/follower/reports", encode(Report("a", 1, deployments))).status_code == 204


def test_a_line_is_shown_with_all_that_became_of_it(bed: Bed) -> None:
    issued(bed)
    shown = bed.ask("GET", "/v1/lines/shop").json()
    assert (shown["line"]["version"], shown["line"]["failing"]) == (1, False)
    assert "renews 20" in shown["line"]["standing"]
    assert shown["versions"][0]["certificates"][0]["renewal"] in shown["line"]["standing"]
    assert [order["state"] for order in shown["orders"]] == ["issued"]
    kinds = [event["kind"] for event in bed.ask("GET", "/v1/lines/shop/history").json()]
    assert kinds[-1] == "line.created"


def test_the_history_of_a_deleted_line_stays(bed: Bed) -> None:
    issued(bed)
    bed.apply(changed(lines={"shop": None}))
    assert bed.ask("GET", "/v1/lines/shop").status_code == 404
    assert bed.ask("GET", "/v1/lines/shop/history").json()[0]["kind"] == "line.deleted"


def test_a_forced_issue_makes_a_new_version(bed: Bed) -> None:
    issued(bed)
    looked = bed.ask("POST", "/v1/lines/shop/issue", role=Role.OPERATOR)
    bed.engine.run(timedelta(minutes=1))
    assert "version 1 is live" in looked.json()["standing"]
    assert bed.ask("GET", "/v1/lines/shop").json()["line"]["version"] == 1
    bed.ask("POST", "/v1/lines/shop/issue", {"force": True}, role=Role.OPERATOR)
    bed.engine.run(timedelta(minutes=1))
    assert bed.ask("GET", "/v1/lines/shop").json()["line"]["version"] == 2


def test_the_status_tells_how_the_fleet_does(bed: Bed) -> None:
    issued(bed)
    status = bed.ask("GET", "/v1/status", role=Role.VIEWER).json()
    assert status["counts"] == {
        "lines": 1, "lines_live": 1, "failing": 0, "not_deployed": 0, "orders_live": 0, "followers": 1,
        "followers_active": 1,
    }  # fmt: skip
    assert status["soonest_expiry"] == bed.ask("GET", "/v1/lines/shop").json()["line"]["not_after"]
    assert status["failing"] == status["not_deployed"] == []


def test_a_version_that_its_host_holds_back_is_counted_and_listed_until_it_is_in_use(bed: Bed) -> None:
    host = issued(bed)
    since = bed.clock.now()
    for error in ("service nginx: its reload failed, try 1", "service nginx: its reload failed, try 2"):
        tell(host, DeploymentReport("shop", 1, "pulled", error))
        bed.clock.advance(timedelta(minutes=5))
    status, line = bed.ask("GET", "/v1/status").json(), bed.ask("GET", "/v1/lines/shop").json()["line"]
    (found,) = status["not_deployed"]
    assert {name: found[name] for name in ("line", "follower", "version", "error")} == {
        "line": "shop", "follower": "web-1", "version": 1, "error": error,
    }  # fmt: skip
    assert datetime.fromisoformat(found["since"]) == since
    assert status["counts"]["not_deployed"] == 1
    assert line["not_deployed"] == [found]
    assert f"; version 1 is held back on web-1 since {since:%Y-%m-%d %H:%M} UTC: {error}" in line["standing"]
    assert bed.ask("GET", "/v1/lines").json() == [line]
    tell(host, DeploymentReport("shop", 1, "reloaded"))
    assert bed.ask("GET", "/v1/status").json()["not_deployed"] == []


def test_a_live_version_that_its_follower_does_not_pull_is_counted_and_listed(bed: Bed) -> None:
    host = issued(bed)
    bed.clock.advance(timedelta(hours=2))
    (found,) = bed.ask("GET", "/v1/status").json()["not_deployed"]
    line = bed.ask("GET", "/v1/lines/shop").json()["line"]
    assert found["error"] is None
    assert "web-1 has not pulled version 1 yet (last seen 2026-11-20 12:00 UTC)" in line["standing"]
    tell(host, DeploymentReport("shop", 1, "reloaded"))
    assert bed.ask("GET", "/v1/status").json()["not_deployed"] == []


def test_a_line_whose_last_try_failed_is_counted_with_the_reason(bed: Bed) -> None:
    bed.engine.ca.blocked.add("shop.example.com")
    issued(bed)
    status, line = bed.ask("GET", "/v1/status").json(), bed.ask("GET", "/v1/lines/shop").json()["line"]
    (found,) = status["failing"]
    assert (found["name"], status["counts"]["failing"], line["failing"]) == ("shop", 1, True)
    assert found["reason"].endswith("the CA will not issue for shop.example.com")
    assert line["standing"].count(found["reason"]) == 1


def test_a_line_is_counted_as_failing_while_its_order_waits_for_its_next_try(bed: Bed) -> None:
    asked(bed)
    bed.engine.ca.fail("newOrder", CaUnreachable("the CA is away"))
    bed.engine.turn()
    (found,) = bed.ask("GET", "/v1/status").json()["failing"]
    assert found["reason"] == "a failure, tried again at 2026-11-20 12:00 UTC: the CA is away"
    assert found["standing"] == f"an order is under way; {found['reason']}"
    bed.engine.run()
    assert bed.ask("GET", "/v1/status").json()["failing"] == []


def test_lines_come_in_pages(bed: Bed) -> None:
    lines = {f"line-{number}": {"follower": "web-1", "names": [f"n{number}.example.com"]} for number in range(5)}
    bed.apply(changed(lines=lines))
    first = bed.ask("GET", "/v1/lines?limit=3").json()
    rest = bed.ask("GET", f"/v1/lines?limit=9&after={first[-1]['name']}").json()
    assert [line["name"] for line in first + rest] == [*sorted(lines), "shop"]


def test_events_are_read_by_subject_and_from_a_known_one_on(bed: Bed) -> None:
    bed.apply(FLEET)
    (created,) = bed.ask("GET", "/v1/events?subject=line:shop").json()
    assert created["text"] == "line shop was created"
    newer = bed.ask("GET", f"/v1/events?after={created['id'] - 2}&newest_first=false").json()
    assert [event["id"] for event in newer][:2] == [created["id"] - 1, created["id"]]


def test_a_master_that_is_not_ready_says_why(bed: Bed) -> None:
    assert bed.http.get("/readyz").text == "ok\n"
    bed.not_ready.append("the store is sealed")
    answer = bed.http.get("/readyz")
    assert (answer.status_code, answer.json()["detail"]) == (503, "the store is sealed")
