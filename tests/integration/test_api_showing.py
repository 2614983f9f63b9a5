"""Lines, status and events as people and scripts see them, over real HTTP."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import Role
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET, changed


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.ca.profiles = ("classic", "shortlived")
        yield running


def issued(bed: Bed) -> None:
    bed.apply(FLEET)
    host = bed.enrolled("web-1")
    assert host.wish("shop", csr_names=["shop.example.com", "*.shop.example.com"]).status_code == 200
    bed.engine.run()


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
        "lines": 1, "lines_live": 1, "orders_live": 0, "followers": 1, "followers_active": 1,
    }  # fmt: skip
    assert status["soonest_expiry"] == bed.ask("GET", "/v1/lines/shop").json()["line"]["not_after"]
    assert status["failing"] == []


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
