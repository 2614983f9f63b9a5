"""Staged versions over real HTTP: on their hosts ahead of their time, shown, and in waves once they are live."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from certline_shared.manifest import check_files
from certline_shared.messages import DeploymentReport, Report, encode, read_time
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.line_versions import (
    HOUR,
    MINUTE,
    WAVES,
    rolled_over,
    shown,
    standing,
    states,
    tells,
    versions,
    with_the_first,
)
from tests.integration.shared_keys import line_of, pulled


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.ca.profiles = ("classic",)
        yield running


def test_a_staged_version_is_pulled_ahead_with_its_sealed_key_and_goes_live_at_the_moment_told(bed: Bed) -> None:
    hosts = with_the_first(bed, stage_for="25h")
    rolled_over(bed)
    host = hosts["web-1"]
    line = line_of(host)
    assert line is not None
    assert line.staged is not None
    content = pulled(host, 2)
    check_files(line.staged.files, content.files)
    assert sorted(content.files) == ["ecdsa-p256/chain.pem", "ecdsa-p256/key.sealed"]
    assert line.staged.activate_at is not None
    bed.engine.run(read_time(line.staged.activate_at) - bed.clock.now())
    assert versions(host) == (2, None)
    now = line_of(host)
    assert now is not None
    assert now.files == line.staged.files  # nothing is pulled again


def test_hosts_say_what_they_have_staged_and_it_is_shown(bed: Bed) -> None:
    hosts = with_the_first(bed, stage_for="25h")
    rolled_over(bed)
    tells(hosts["web-1"], 2, "staged")
    found = standing(bed, "web-1")
    assert (found["installed"], found["pulled"], found["staged"], found["arrived"]) == (1, 1, 2, True)
    assert found["text"] == "version 1 is installed on web-1; version 2 is staged there"
    assert standing(bed, "web-2")["staged"] is None
    seen = bed.ask("GET", "/v1/followers/web-1").json()
    assert seen["standings"][0]["staged"] == 2
    (staged,) = [one for one in shown(bed)["versions"] if one["state"] == "staged"]
    assert staged["held_by"] == "a new key is staged for 25h"
    assert staged["activate_at"] is not None
    assert "version 2 is staged until" in shown(bed)["line"]["standing"]


def test_what_cannot_be_staged_on_a_host_is_told_beside_what_it_serves(bed: Bed) -> None:
    hosts = with_the_first(bed, stage_for="25h")
    rolled_over(bed)
    tells(hosts["web-1"], 2, "staged", "the disk is full")
    found = standing(bed, "web-1")
    assert (found["arrived"], found["error"]) == (True, "the disk is full")
    assert shown(bed)["line"]["not_deployed"][0]["version"] == 1


def test_waves_begin_when_a_staged_version_goes_live_and_only_canaries_know_the_moment(bed: Bed) -> None:
    hosts = with_the_first(bed, rollout=WAVES, stage_for="25h")
    rolled_over(bed)
    told = {name: line.staged for name, host in hosts.items() if (line := line_of(host))}
    assert {name: bool(one and one.activate_at) for name, one in told.items()} == {
        "web-1": False, "web-2": True, "web-3": False,
    }  # fmt: skip
    for host in hosts.values():
        pulled(host, 2)
        tells(host, 2, "staged")
    bed.engine.run(26 * HOUR)
    assert {name: versions(host) for name, host in hosts.items()} == {
        "web-1": (1, 2), "web-2": (2, None), "web-3": (1, 2),
    }  # fmt: skip
    tells(hosts["web-2"], 2, "installed")
    bed.engine.run(31 * MINUTE)
    for _ in range(3):
        bed.engine.watch.turn()
    assert {versions(host) for host in hosts.values()} == {(2, None)}


def test_a_follower_cannot_set_a_goal_of_staging(bed: Bed) -> None:
    hosts = with_the_first(bed)
    said = DeploymentReport("shop", 1, "installed", goal="staged")
    answer = hosts["web-1"].ask("POST", "/v1/follower/reports", encode(Report("a", 1, (said,))))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "/deployments/0/goal"


def test_a_bundle_has_what_is_live_and_nothing_that_is_staged(bed: Bed) -> None:
    with_the_first(bed, stage_for="25h")
    rolled_over(bed)
    answer = bed.ask("POST", "/v1/followers/web-1/bundle")
    assert answer.status_code == 200
    assert "staged" not in answer.text


def test_a_rollover_that_is_asked_for_twice_is_one(bed: Bed) -> None:
    with_the_first(bed, stage_for="25h")
    rolled_over(bed)
    rolled_over(bed)
    assert states(bed) == {2: "staged", 1: "live"}
    assert len(bed.events("line.rollover")) == 1
