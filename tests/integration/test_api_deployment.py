"""Deployment as a state: told by hosts, shown, late, recovered; over real HTTP with real signatures, on set time."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from certline_shared.messages import DeploymentReport, Report, encode, time_text
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET
from tests.integration.api_hosts import FollowerClient
from tests.integration.shared_keys import applied, enrolled, fleet

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
RELOAD = "service nginx: its reload failed: exit code 1"
SEEN = {"127.0.0.1:443": "ab" * 32}


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.ca.profiles = ("classic", "shortlived")
        yield running


def tell(host: FollowerClient, version: int, state: str, *, status: int = 204, **more: Any) -> Any:
    """What the host says of its line shop; `report` are members of the report itself."""
    report = more.pop("report", {})
    said = (DeploymentReport("shop", version, state, **more),)
    answer = host.ask("POST", "/v1/follower/reports", encode(Report("certline-follower test", 1, said, **report)))
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def issued(bed: Bed) -> FollowerClient:
    """web-1 with the first version of shop, whose key it keeps."""
    applied(bed, FLEET)
    host = bed.enrolled("web-1")
    assert host.wish("shop", csr_names=["shop.example.com", "*.shop.example.com"]).status_code == 200
    bed.engine.run()
    return host


def live_through(bed: Bed, span: timedelta, every: timedelta = 15 * MINUTE) -> None:
    """Let the engine work and the watch look for so long."""
    end = bed.clock.now() + span
    while bed.clock.now() < end:
        bed.engine.watch.turn()
        bed.engine.run(min(every, end - bed.clock.now()))
    bed.engine.watch.turn()


def hosts(bed: Bed, line: str = "shop") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bed.ask("GET", f"/v1/lines/{line}").json()["hosts"]
    return found


def told(bed: Bed, kind: str) -> list[str]:
    """The texts of events of this kind, the oldest first."""
    return [event.text for event in reversed(bed.events(kind))]


# --- each step ------------------------------------------------------------------------------------------------------


def test_a_version_is_followed_from_wanted_to_served(bed: Bed) -> None:
    host = issued(bed)
    (standing,) = hosts(bed)
    assert (standing["wanted"], standing["pulled"], standing["arrived"]) == (1, None, False)
    assert "web-1 has not pulled version 1 yet" in standing["text"]
    for state in ("pulled", "installed", "reloaded"):
        tell(host, 1, state, goal="served")
        (standing,) = hosts(bed)
        assert (standing[state], standing["served"], standing["arrived"]) == (1, None, False)
    tell(host, 1, "served", goal="served", seen=SEEN)
    (standing,) = hosts(bed)
    assert (standing["served"], standing["arrived"], standing["seen"]) == (1, True, SEEN)
    assert standing["text"] == "version 1 is served on web-1"
    assert bed.ask("GET", "/v1/followers/web-1").json()["standings"] == [standing]


def test_what_holds_a_version_back_is_shown_with_the_next_try(bed: Bed) -> None:
    host = issued(bed)
    due = bed.clock.now().replace(microsecond=0) + 10 * MINUTE
    tell(host, 1, "pulled", error=RELOAD, goal="served", retry_at=time_text(due), seen=SEEN)
    (standing,) = hosts(bed)
    assert (standing["error"], datetime.fromisoformat(standing["retry_at"])) == (RELOAD, due)
    assert standing["text"].endswith(f"{RELOAD}; tried again at {due:%Y-%m-%d %H:%M} UTC")
    (listed,) = bed.ask("GET", "/v1/followers").json()
    assert (listed["lines"], listed["deployed"], listed["late"]) == (1, 0, 1)


def test_a_new_try_is_written_down_but_is_no_event(bed: Bed) -> None:
    host = issued(bed)
    for minutes in (10, 20, 40):
        tell(host, 1, "pulled", error=RELOAD, retry_at=time_text(bed.clock.now() + minutes * MINUTE))
        bed.clock.advance(MINUTE)
    assert len(bed.events("deployment.failed")) == 1


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"goal": "pulled"}, "/deployments/0/goal"),
        ({"goal": "wanted"}, "/deployments/0/goal"),
        ({"retry_at": "soon"}, "/deployments/0/retry_at"),
        ({"retry_at": "2026-11-20T12:00:00+01:00"}, "/deployments/0/retry_at"),
        ({"seen": {"127.0.0.1:443": "AB" * 32}}, "/deployments/0/seen"),
        ({"seen": {"x" * 301: "ab" * 32}}, "/deployments/0/seen"),
        ({"seen": {f"127.0.0.1:{port}": "ab" * 32 for port in range(51)}}, "/deployments/0/seen"),
        ({"report": {"skew": 10**10 + 1}}, "/skew"),
        ({"report": {"skew": -(10**10) - 1}}, "/skew"),
    ],
)
def test_what_cannot_be_used_in_a_report_is_refused_by_member(bed: Bed, fields: dict[str, Any], place: str) -> None:
    problem = tell(issued(bed), 1, "pulled", status=422, **fields)
    assert [one["field"] for one in problem["errors"]] == [place]


def test_a_host_of_the_former_release_is_understood(bed: Bed) -> None:
    """It tells neither goal nor next try, nor its clock."""
    host = issued(bed)
    tell(host, 1, "reloaded")
    (standing,) = hosts(bed)
    assert (standing["arrived"], standing["goal"], standing["seen"]) == (True, None, {})


# --- late -----------------------------------------------------------------------------------------------------------


def test_a_version_that_does_not_arrive_in_time_is_one_alarm_until_it_does(bed: Bed) -> None:
    host = issued(bed)
    live_through(bed, HOUR)
    assert bed.events("deployment.late") == []
    live_through(bed, 5 * HOUR)
    (event,) = bed.events("deployment.late")
    assert event.subject == "line:shop"
    assert event.data == {"follower": "web-1", "version": 1, "state": "wanted", "error": None}
    assert "version 1 is not in use on web-1: wanted since 2026-11-20 12:00 UTC" in event.text
    tell(host, 1, "pulled", goal="served")
    assert bed.events("deployment.recovered") == []
    tell(host, 1, "served", goal="served")
    assert len(bed.events("deployment.recovered")) == 1
    live_through(bed, 5 * HOUR)
    assert len(bed.events("deployment.late")) == 1


def test_a_restart_of_the_master_tells_nothing_twice_and_forgets_nothing(bed: Bed) -> None:
    issued(bed)
    live_through(bed, HOUR)
    bed.engine.kill()
    live_through(bed, HOUR)
    bed.engine.kill()
    live_through(bed, 3 * HOUR)
    assert len(bed.events("deployment.late")) == 1


def test_what_breaks_after_it_was_served_has_its_time_and_is_an_alarm_of_its_own(bed: Bed) -> None:
    host = issued(bed)
    tell(host, 1, "served", goal="served")
    live_through(bed, DAY)
    tell(host, 1, "reloaded", goal="served", error="it serves another certificate")
    live_through(bed, HOUR)
    assert bed.events("deployment.late") == []
    live_through(bed, HOUR)
    assert told(bed, "deployment.late")[0].endswith("UTC: it serves another certificate")


def test_a_host_that_waits_for_its_window_is_late_only_some_time_after_it(bed: Bed) -> None:
    host = issued(bed)
    opens = bed.clock.now() + DAY
    tell(host, 1, "pulled", goal="served", retry_at=time_text(opens))
    live_through(bed, DAY + HOUR)
    assert bed.events("deployment.late") == []
    assert bed.ask("GET", "/v1/status").json()["not_deployed"] == []
    live_through(bed, HOUR)
    assert len(bed.events("deployment.late")) == 1


def test_a_version_that_another_succeeded_is_late_no_more(bed: Bed) -> None:
    issued(bed)
    live_through(bed, HOUR)
    bed.ask("POST", "/v1/lines/shop/issue", {"force": True})
    bed.engine.run()
    live_through(bed, 20 * MINUTE)
    assert bed.events("deployment.late") == []
    live_through(bed, HOUR)
    assert [event.data["version"] for event in bed.events("deployment.late")] == [2]


# --- many hosts -----------------------------------------------------------------------------------------------------


def test_each_host_of_a_shared_line_stands_by_itself(bed: Bed) -> None:
    applied(bed, fleet())
    one, _other = enrolled(bed, "web-1"), enrolled(bed, "web-2")
    bed.engine.run()
    tell(one, 1, "served", goal="served")
    assert [(each["follower"], each["served"]) for each in hosts(bed)] == [("web-1", 1), ("web-2", None)]
    live_through(bed, 3 * HOUR)
    (event,) = bed.events("deployment.late")
    assert event.data["follower"] == "web-2"
    status, line = bed.ask("GET", "/v1/status").json(), bed.ask("GET", "/v1/lines").json()[0]
    assert [each["follower"] for each in status["not_deployed"]] == ["web-2"]
    assert (line["followers"], line["not_deployed"]) == (["web-1", "web-2"], status["not_deployed"])


def test_a_host_that_may_pull_a_line_of_long_ago_has_its_time_from_then_on(bed: Bed) -> None:
    applied(bed, fleet())
    tell_after = enrolled(bed, "web-1")
    bed.engine.run()
    tell(tell_after, 1, "installed")
    live_through(bed, 2 * DAY, HOUR)
    enrolled(bed, "web-2")
    live_through(bed, HOUR)
    assert bed.events("deployment.late") == []
    live_through(bed, HOUR)
    assert len(bed.events("deployment.late")) == 1


# --- clocks --------------------------------------------------------------------------------------------------------


def test_a_clock_that_is_wrong_is_shown_where_the_host_is(bed: Bed) -> None:
    host = issued(bed)
    tell(host, 1, "pulled", report={"skew": -7200})
    assert bed.ask("GET", "/v1/followers/web-1").json()["skew_seconds"] == -7200
    assert bed.ask("GET", "/v1/status").json()["followers"][0]["skew_seconds"] == -7200


# --- how long it lasts ----------------------------------------------------------------------------------------------


def test_the_status_says_how_long_all_lasts_and_what_breaks_first(bed: Bed) -> None:
    host = issued(bed)
    until = bed.ask("GET", "/v1/lines/shop").json()["line"]["not_after"]
    assert {one["what"] for one in bed.ask("GET", "/v1/status").json()["survival"]} == {"ca", "dns"}
    tell(host, 1, "served", goal="served")
    survival = {one["what"]: one for one in bed.ask("GET", "/v1/status").json()["survival"]}
    assert set(survival) == {"master", "ca", "dns"}
    assert (survival["master"]["follower"], survival["master"]["line"]) == ("web-1", "shop")
    assert survival["master"]["until"] == survival["ca"]["until"] == until
    assert bed.ask("GET", "/v1/followers/web-1").json()["survives_until"] == until


def test_too_little_time_is_an_alarm_once_a_day(bed: Bed) -> None:
    """The CA is away, and the certificate runs out."""
    host = issued(bed)
    tell(host, 1, "served", goal="served")
    bed.engine.ca.blocked.add("shop.example.com")
    live_through(bed, 86 * DAY, 6 * HOUR)
    assert bed.events("fleet.survival-low") == []
    live_through(bed, 3 * DAY, 6 * HOUR)
    texts = told(bed, "fleet.survival-low")
    assert 2 <= len(texts) <= 3
    assert texts[0].startswith("if the master stops: 2 days (web-1, line shop); if the CA stops: 2 days (line shop)")
