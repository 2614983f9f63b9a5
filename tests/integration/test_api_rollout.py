"""Waves over real HTTP with real signatures, on set time: canaries first, then groups, stopped by a failure, overridden
by expiry; each move is on record, so that a kill in between costs nothing.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certline_master.domain.access import Role
from certline_shared.failpoints import watched
from certline_shared.messages import DeploymentReport, Report, encode
from tests.fakes.killing import Killed
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET, faults, plan
from tests.integration.api_hosts import FollowerClient
from tests.integration.shared_keys import SHOP, applied, enrolled, installs, key_in, line_of, pulled

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NAMES = ("web-1", "web-2", "web-3", "web-4")
WAVES = {"canaries": ["web-2"], "wave": 2, "after": "30m"}
BY_COMMAND = {"canaries": ["web-2"], "wave": 2}


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.ca.profiles = ("classic", "shortlived")
        yield running


def rolled(rollout: Any, *, names: tuple[str, ...] = NAMES) -> dict[str, Any]:
    """A fleet of hosts that may pull shop, which reaches them by that rollout."""
    pulls = {"grants": {"pull": ["shop"]}}
    lines = {"shop": SHOP | ({"rollout": rollout} if rollout else {})}
    return FLEET | {"http": {}, "followers": dict.fromkeys(names, pulls), "lines": lines}


Hosts = dict[str, FollowerClient]


def all_with_the_first(bed: Bed, rollout: Any) -> Hosts:
    """Four hosts that have version 1."""
    applied(bed, rolled(rollout))
    hosts = {name: enrolled(bed, name) for name in NAMES}
    bed.engine.run()
    for host in hosts.values():
        assert offered(host) == 1
        installs(host, 1)
    look(bed, times=3)
    return hosts


def renewed(bed: Bed) -> None:
    bed.ask("POST", "/v1/lines/shop/issue", {"force": True})
    bed.engine.run(MINUTE)


def look(bed: Bed, *, after: timedelta = MINUTE, times: int = 2) -> None:
    """Time passes, and the watch looks as often as it takes."""
    bed.engine.run(after)
    for _ in range(times):
        bed.engine.watch.turn()


def offered(host: FollowerClient) -> int | None:
    line = line_of(host)
    return line.version if line else None


def versions(hosts: Hosts) -> dict[str, int | None]:
    return {name: offered(host) for name, host in hosts.items()}


def fails(host: FollowerClient, version: int) -> None:
    said = DeploymentReport("shop", version, "pulled", "nginx: check failed")
    assert host.ask("POST", "/v1/follower/reports", encode(Report("a", 1, (said,)))).status_code == 204


def rollout_of(bed: Bed) -> dict[str, Any]:
    found: dict[str, Any] = bed.ask("GET", "/v1/lines/shop").json()["rollout"]
    return found


def die_at(place: str) -> Callable[[str], None]:
    def reached(name: str) -> None:
        if name == place:
            raise Killed(name)

    return reached


def do(bed: Bed, action: str, status: int = 200) -> dict[str, Any]:
    answer = bed.ask("POST", "/v1/lines/shop/rollout", {"action": action}, role=Role.OPERATOR)
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


# --- waves ----------------------------------------------------------------------------------------------------------


def test_a_new_version_goes_to_the_canary_then_to_groups_by_name_each_some_time_after_the_last(bed: Bed) -> None:
    hosts = all_with_the_first(bed, WAVES)
    renewed(bed)
    assert versions(hosts) == {"web-1": 1, "web-2": 2, "web-3": 1, "web-4": 1}
    look(bed, after=5 * HOUR)  # the canary is not done
    assert versions(hosts)["web-1"] == 1
    assert rollout_of(bed)["text"] == "the canary step: waits for web-2"
    installs(hosts["web-2"], 2)
    look(bed, after=20 * MINUTE)
    assert versions(hosts)["web-1"] == 1
    look(bed, after=11 * MINUTE)
    assert versions(hosts) == {"web-1": 2, "web-2": 2, "web-3": 2, "web-4": 1}
    installs(hosts["web-1"], 2)
    look(bed, after=HOUR)
    assert offered(hosts["web-4"]) == 1
    installs(hosts["web-3"], 2)
    look(bed, after=31 * MINUTE)
    assert offered(hosts["web-4"]) == 2
    history = reversed(bed.ask("GET", "/v1/lines/shop/history").json())
    assert [(one["kind"], one["data"]["version"]) for one in history if one["kind"].startswith("rollout.")] == [
        ("rollout.finished", 1),  # there was nothing that anybody could have stayed with
        ("rollout.opened", 2),
        ("rollout.opened", 2),
        ("rollout.finished", 2),
    ]


def test_who_stays_behind_still_gets_the_former_version_with_its_key(bed: Bed) -> None:
    hosts = all_with_the_first(bed, BY_COMMAND)
    key = key_in(hosts["web-1"], pulled(hosts["web-1"], 1))
    renewed(bed)
    again = pulled(hosts["web-1"], 1)
    assert key_in(hosts["web-1"], again) == key
    assert offered(hosts["web-1"]) == 1


def test_a_new_host_gets_the_new_version_whatever_its_wave(bed: Bed) -> None:
    all_with_the_first(bed, BY_COMMAND)
    renewed(bed)
    applied(bed, rolled(BY_COMMAND, names=(*NAMES, "web-5")))
    assert offered(enrolled(bed, "web-5")) == 2


def test_a_host_in_the_open_steps_keeps_the_version_when_the_rollout_is_changed(bed: Bed) -> None:
    hosts = all_with_the_first(bed, BY_COMMAND)
    renewed(bed)
    look(bed)
    applied(bed, rolled(BY_COMMAND | {"canaries": ["web-4"]}))
    assert versions(hosts) == {"web-1": 1, "web-2": 2, "web-3": 1, "web-4": 2}
    applied(bed, rolled(None))
    assert set(versions(hosts).values()) == {2}


# --- stopped, and on ------------------------------------------------------------------------------------------------


def test_the_first_failure_stops_the_rollout_until_somebody_goes_on(bed: Bed) -> None:
    hosts = all_with_the_first(bed, WAVES)
    renewed(bed)
    fails(hosts["web-2"], 2)
    look(bed, after=DAY)
    assert versions(hosts) == {"web-1": 1, "web-2": 2, "web-3": 1, "web-4": 1}
    (event,) = bed.events("rollout.stopped")
    assert event.text == "version 2: stopped: version 2 failed on web-2: nginx: check failed"
    assert rollout_of(bed)["stopped"] == "version 2 failed on web-2: nginx: check failed"
    told = do(bed, "continue")
    assert [step["open"] for step in told["steps"]] == [True, True, False]
    look(bed, after=DAY)  # what was accepted stops nothing again, and is not waited for
    assert versions(hosts) == {"web-1": 2, "web-2": 2, "web-3": 2, "web-4": 1}
    for name in ("web-1", "web-3"):
        installs(hosts[name], 2)
    look(bed, after=31 * MINUTE)
    assert offered(hosts["web-4"]) == 2


def test_without_a_set_time_each_wave_is_opened_by_command(bed: Bed) -> None:
    hosts = all_with_the_first(bed, BY_COMMAND)
    renewed(bed)
    installs(hosts["web-2"], 2)
    look(bed, after=9 * DAY)
    assert rollout_of(bed)["text"] == "the canary step is well; it goes on by command"
    do(bed, "continue")
    assert [offered(hosts[name]) for name in ("web-1", "web-4")] == [2, 1]
    do(bed, "all")
    assert offered(hosts["web-4"]) == 2
    assert do(bed, "continue", 409)["detail"].startswith("no rollout of line shop is under way")


def test_a_rollout_is_stopped_by_command_and_says_by_whom(bed: Bed) -> None:
    hosts = all_with_the_first(bed, WAVES)
    renewed(bed)
    assert do(bed, "stop")["stopped"] == "by admin:the-operator"
    installs(hosts["web-2"], 2)
    look(bed, after=DAY)
    assert offered(hosts["web-1"]) == 1
    assert bed.ask("POST", "/v1/lines/shop/rollout", {"action": "faster"}).status_code == 422


def test_a_key_that_was_stolen_with_the_canary_is_replaced_everywhere_at_once(bed: Bed) -> None:
    hosts = all_with_the_first(bed, BY_COMMAND)
    bed.ask("POST", "/v1/followers/web-2/stolen", {"now": False})
    bed.engine.run(MINUTE)
    look(bed)
    assert {offered(hosts[name]) for name in NAMES if name != "web-2"} == {2}
    (event,) = bed.events("rollout.overridden")
    assert "is to be revoked: all get the new one" in event.text
    (line,) = bed.ask("GET", "/v1/followers/web-2/worklist").json()["lines"]
    assert (line["needs_key"], [one["version"] for one in line["certificates"]]) == (False, [1])


def test_expiry_overrides_a_rollout_that_stands_still(bed: Bed) -> None:
    hosts = all_with_the_first(bed, BY_COMMAND)
    bed.engine.run(59 * DAY)
    renewed(bed)
    do(bed, "stop")
    look(bed, after=15 * DAY)
    assert offered(hosts["web-1"]) == 1
    look(bed, after=2 * DAY)
    assert set(versions(hosts).values()) == {2}
    (event,) = bed.events("rollout.overridden")
    assert "version 1 ends" in event.text


def test_hosts_that_wait_for_their_wave_are_not_late(bed: Bed) -> None:
    hosts = all_with_the_first(bed, BY_COMMAND)
    renewed(bed)
    look(bed, after=3 * HOUR)
    look(bed, after=3 * HOUR)
    assert [event.data["follower"] for event in bed.events("deployment.late")] == ["web-2"]
    (web_1, *_) = bed.ask("GET", "/v1/lines/shop").json()["hosts"]
    assert (web_1["wanted"], web_1["arrived"], web_1["late"]) == (1, True, False)
    assert web_1["text"] == "version 1 is installed on web-1; version 2 waits for its wave"
    assert offered(hosts["web-1"]) == 1


# --- kills ----------------------------------------------------------------------------------------------------------


def test_a_kill_after_a_wave_was_opened_costs_nothing(bed: Bed) -> None:
    hosts = all_with_the_first(bed, WAVES)
    renewed(bed)
    installs(hosts["web-2"], 2)
    bed.engine.run(31 * MINUTE)
    with watched(die_at("rollout.moved")), pytest.raises(Killed):
        bed.engine.watch.turn()
    bed.engine.kill()
    look(bed)
    assert versions(hosts) == {"web-1": 2, "web-2": 2, "web-3": 2, "web-4": 1}
    assert len(bed.events("rollout.opened")) == 1


# --- the wish -------------------------------------------------------------------------------------------------------


def test_a_rollout_is_planned_like_any_other_member(bed: Bed) -> None:
    applied(bed, rolled(None))
    (change,) = plan(bed, rolled(WAVES))["changes"]
    (field,) = change["fields"]
    assert (field["field"], field["before"], field["after"]) == ("rollout", None, WAVES)
    applied(bed, rolled(WAVES))
    assert plan(bed, rolled(WAVES))["changes"] == []
    assert plan(bed, rolled(WAVES | {"after": "1800s"}))["changes"] == []


@pytest.mark.parametrize(
    ("rollout", "place", "told"),
    [
        ({"canaries": []}, "/canaries", "is empty"),
        ({"canaries": ["web-2", "web-9"]}, "/canaries/1", "no follower 'web-9' may pull this line"),
        ({"canaries": ["web-2"], "wave": 0}, "/wave", "1 or more"),
        ({"canaries": ["web-2"], "after": "soon"}, "/after", "'soon' is not a duration"),
    ],
)
def test_a_rollout_that_cannot_be_used_is_told_by_member(bed: Bed, rollout: Any, place: str, told: str) -> None:
    found = faults(bed, rolled(rollout))
    assert told in found[f"/lines/shop/rollout{place}"]


def test_a_line_for_one_follower_has_no_waves(bed: Bed) -> None:
    line = {"follower": "web-1", "names": ["shop.example.com"], "rollout": {"canaries": ["web-1"]}}
    found = faults(bed, rolled(None) | {"lines": {"shop": line}, "followers": {"web-1": {}}})
    assert "this line has one follower" in found["/lines/shop/rollout"]
