"""Followers suspended and resumed, bound to networks, in groups, and held to a pace: over real HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from certline_master.api.limits import Limits, Rate, Rates
from certline_master.domain.model import FollowerState
from certline_shared import signing
from certline_shared.messages import Report, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient, opened

FLEET: dict[str, Any] = {
    "issuers": {"ca": {"directory": "https://fake-ca.example/dir", "default": True}},
    "zones": {"example.com": {"solver": "rfc2136"}},
}


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        assert running.apply(FLEET).status_code == 200
        yield running


@pytest.fixture
def host(bed: Bed) -> FollowerClient:
    return bed.follower()


def suspend(bed: Bed, reason: str | None = None) -> httpx.Response:
    return bed.ask("POST", "/v1/followers/web-1/suspend", {"reason": reason})


# --- suspended ------------------------------------------------------------------------------------------------------


def test_a_suspended_follower_is_told_why_at_its_next_request_reads_too(bed: Bed, host: FollowerClient) -> None:
    assert suspend(bed, "the host is being rebuilt").json()["state_reason"] == "the host is being rebuilt"
    for answer in (host.manifest(), host.wish("blog", "blog.example.com")):
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:certline:problem:suspended")
        assert "(the host is being rebuilt)" in answer.json()["detail"]


def test_who_only_names_a_suspended_follower_is_not_told_why(bed: Bed, host: FollowerClient) -> None:
    suspend(bed, "we suspect the night shift")
    thief = FollowerClient(bed, *signing.generate_identity(), follower_id=host.follower_id)
    answer = thief.send("GET", "/v1/follower/manifest", thief.signed("GET", "/v1/follower/manifest"))
    assert answer.status_code == 403
    assert "night shift" not in answer.text


def test_no_order_is_begun_for_a_suspended_follower_and_one_under_way_ends(bed: Bed, host: FollowerClient) -> None:
    host.wish("blog", "blog.example.com")
    bed.engine.turn()
    suspend(bed)
    bed.engine.run()
    assert bed.ask("GET", "/v1/lines/blog@web-1").json()["line"]["version"] == 1
    bed.ask("POST", "/v1/lines/blog@web-1/issue", {"force": True})
    bed.engine.run()
    shown = bed.ask("GET", "/v1/lines/blog@web-1").json()
    assert (shown["line"]["version"], len(shown["versions"])) == (1, 1)
    assert "is suspended" in shown["line"]["standing"]


def test_a_resumed_follower_goes_on_at_once(bed: Bed, host: FollowerClient) -> None:
    suspend(bed)
    assert host.manifest().status_code == 403
    assert bed.ask("POST", "/v1/followers/web-1/resume").json()["state_reason"] is None
    assert host.wish("blog", "blog.example.com").status_code == 200
    bed.engine.run()
    assert [line.version for line in opened(host).lines] == [1]
    assert [event.kind for kind in ("follower.suspended", "follower.resumed") for event in bed.events(kind)] == [
        "follower.suspended",
        "follower.resumed",
    ]


def test_suspending_twice_is_one_event_and_another_reason_a_second(bed: Bed, host: FollowerClient) -> None:
    for reason in ("a", "a", "b"):
        assert suspend(bed, reason).status_code == 200
    assert [event.data for event in bed.events("follower.suspended")] == [{"reason": "b"}, {"reason": "a"}]
    assert host.manifest().status_code == 403


@pytest.mark.parametrize("state", [FollowerState.INVITED, FollowerState.REVOKED])
def test_what_is_not_enrolled_cannot_be_suspended_or_resumed(
    bed: Bed, host: FollowerClient, state: FollowerState
) -> None:
    bed.set_state(host.name, state)
    assert suspend(bed).status_code == 409
    assert bed.ask("POST", "/v1/followers/web-1/resume").status_code == 409


# --- networks -------------------------------------------------------------------------------------------------------


def test_requests_from_elsewhere_are_refused_with_a_signed_answer_and_an_event(bed: Bed, host: FollowerClient) -> None:
    bed.ask("PUT", "/v1/followers/web-1", {"networks": ["192.0.2.0/24", "2001:db8::/32"]})
    answer = host.manifest()  # whose signature the client checks
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:certline:problem:forbidden")
    assert [event.data for event in bed.events("follower.refused")] == [
        {"reason": "other network", "address": "127.0.0.1"}
    ]
    bed.ask("PUT", "/v1/followers/web-1", {"networks": ["127.0.0.0/8"]})
    assert host.manifest().status_code == 200


def test_only_who_has_the_key_learns_that_the_network_is_wrong(bed: Bed, host: FollowerClient) -> None:
    bed.ask("PUT", "/v1/followers/web-1", {"networks": ["192.0.2.0/24"]})
    thief = FollowerClient(bed, *signing.generate_identity(), follower_id=host.follower_id)
    answer = thief.send("GET", "/v1/follower/manifest", thief.signed("GET", "/v1/follower/manifest"))
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:certline:problem:unauthorized")


# --- groups ---------------------------------------------------------------------------------------------------------


def test_a_groups_grant_counts_as_the_followers_own_until_it_leaves(bed: Bed, host: FollowerClient) -> None:
    assert host.wish("status", "status.example.com").status_code == 403
    bed.ask("PUT", "/v1/groups/web", {"grants": {"request": ["Status.Example.com."]}})
    bed.ask("PUT", "/v1/followers/web-1", {"groups": ["web"]})
    assert opened(host).grants == ("status.example.com",)
    assert host.wish("status", "status.example.com").status_code == 200
    bed.engine.run()
    bed.ask("PUT", "/v1/followers/web-1", {"groups": []})
    assert host.wish("more", "status.example.com").status_code == 403
    (stopped,) = bed.events("line.stopped")
    assert stopped.subject == "line:status@web-1"


def test_what_a_group_loses_all_its_followers_lose(bed: Bed) -> None:
    hosts = [bed.follower(name, ()) for name in ("web-1", "web-2")]
    bed.ask("PUT", "/v1/groups/web", {"grants": {"request": ["a.example.com", "b.example.com"]}})
    for host in hosts:
        bed.ask("PUT", f"/v1/followers/{host.name}", {"groups": ["web"]})
        assert host.wish("a", "a.example.com").status_code == 200
    bed.ask("PUT", "/v1/groups/web", {"grants": {"request": ["b.example.com"]}})
    assert {event.subject for event in bed.events("line.stopped")} == {"line:a@web-1", "line:a@web-2"}
    assert [opened(host).grants for host in hosts] == [("b.example.com",)] * 2


def test_one_of_the_group_sees_nothing_of_the_others(bed: Bed) -> None:
    mine, theirs = (bed.follower(name, ()) for name in ("web-1", "web-2"))
    bed.ask("PUT", "/v1/groups/web", {"grants": {"request": ["a.example.com"]}})
    for host in (mine, theirs):
        bed.ask("PUT", f"/v1/followers/{host.name}", {"groups": ["web"]})
    theirs.wish("a", "a.example.com")
    bed.engine.run()
    assert opened(mine).lines == ()
    assert mine.ask("GET", "/v1/follower/lines/a/versions/1").status_code == 404


@pytest.mark.parametrize(
    ("section", "wanted", "field"),
    [
        ("followers/web-1", {"groups": ["none"]}, "/groups/0"),
        ("followers/web-1", {"networks": ["10.0.0.1/8"]}, "/networks/0"),
        ("followers/web-1", {"grants": {"pull": ["none"]}}, "/grants/pull/0"),
        ("groups/web", {"grants": {"request": ["-bad-.example.com"]}}, "/grants/request/0"),
        ("groups/web", {"grants": {"pull": ["blog@web-1"]}}, "/grants/pull/0"),
    ],
)
def test_a_wrong_grant_group_or_network_is_told_by_its_field(
    bed: Bed, host: FollowerClient, section: str, wanted: dict[str, Any], field: str
) -> None:
    host.wish("blog", "blog.example.com")
    answer = bed.ask("PUT", f"/v1/{section}", wanted)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_group_with_followers_in_it_is_not_deleted(bed: Bed, host: FollowerClient) -> None:
    bed.ask("PUT", "/v1/groups/web", {})
    bed.ask("PUT", f"/v1/followers/{host.name}", {"groups": ["web"]})
    assert bed.ask("DELETE", "/v1/groups/web").status_code == 409
    bed.ask("PUT", f"/v1/followers/{host.name}", {})
    assert bed.ask("DELETE", "/v1/groups/web").status_code == 200


# --- pace -----------------------------------------------------------------------------------------------------------


def test_a_follower_that_asks_too_often_waits_and_another_does_not(bed: Bed, host: FollowerClient) -> None:
    bed.services.limits = Limits(bed.clock, replace(Rates(), follower=Rate(3, 60)))
    other = bed.follower("web-2")
    assert [host.manifest().status_code for _ in range(5)] == [200] * 3 + [429] * 2
    assert host.manifest().headers["Retry-After"] == "1"
    assert other.manifest().status_code == 200
    bed.clock.advance(1)
    assert host.manifest().status_code == 200


def test_nobody_can_use_up_a_followers_pace_without_its_key(bed: Bed, host: FollowerClient) -> None:
    bed.services.limits = Limits(bed.clock, replace(Rates(), follower=Rate(3, 60)))
    thief = FollowerClient(bed, *signing.generate_identity(), follower_id=host.follower_id)
    for _ in range(80):
        thief.send("GET", "/v1/follower/manifest", thief.signed("GET", "/v1/follower/manifest"))
    assert host.manifest().status_code == 200


def test_refused_signatures_from_one_address_become_429_after_a_while(bed: Bed, host: FollowerClient) -> None:
    thief = FollowerClient(bed, *signing.generate_identity(), follower_id=host.follower_id)
    path = "/v1/follower/manifest"
    statuses = [thief.send("GET", path, thief.signed("GET", path)).status_code for _ in range(70)]
    assert statuses == [401] * 60 + [429] * 10
    assert len(bed.events("follower.refused")) == 1
    assert host.manifest().status_code == 200, "from the same address"


def test_a_wrong_clock_is_no_failure(bed: Bed, host: FollowerClient) -> None:
    path, long_ago = "/v1/follower/manifest", bed.clock.now() - timedelta(days=9000)
    answers = [host.send("GET", path, host.signed("GET", path, created=long_ago)) for _ in range(70)]
    assert {answer.status_code for answer in answers} == {401}
    assert "Certline-Nonce" in answers[-1].headers


def test_a_flood_of_events_by_a_follower_ends(bed: Bed, host: FollowerClient) -> None:
    bed.services.limits = Limits(bed.clock, replace(Rates(), records=Rate(5, 60)))
    statuses = [host.wish(f"line-{number}", "foreign.example.com").status_code for number in range(20)]
    assert statuses == [403] * 5 + [429] * 15
    assert len(bed.events("wish.refused")) == 5
    report = encode(Report("agent", 0, ()))
    assert host.ask("POST", "/v1/follower/reports", report).status_code == 429
    assert host.manifest().status_code == 200, "reading goes on"
