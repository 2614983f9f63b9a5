"""Versions of a line over real HTTP: staged ones on their hosts, going back, revoking, and using the next key."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certline_master.domain.access import SYSTEM, Role
from certline_master.domain.errors import CaUnreachable
from certline_master.domain.model import VersionState
from certline_shared.failpoints import watched
from certline_shared.manifest import check_files
from certline_shared.messages import DeploymentReport, Report, encode, read_time
from tests.fakes.killing import Killed
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET
from tests.integration.api_hosts import FollowerClient
from tests.integration.shared_keys import SHOP, applied, enrolled, installs, line_of, materials, pulled

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NAMES = ("web-1", "web-2", "web-3")
WAVES = {"canaries": ["web-2"], "wave": 2, "after": "30m"}

Hosts = dict[str, FollowerClient]


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.ca.profiles = ("classic",)
        yield running


def wished(bed: Bed, *, rollout: Any = None, **options: Any) -> None:
    pulls = {"grants": {"pull": ["shop"]}}
    line = SHOP | ({"rollout": rollout} if rollout else {}) | ({"options": options} if options else {})
    applied(bed, FLEET | {"http": {}, "followers": dict.fromkeys(NAMES, pulls), "lines": {"shop": line}})


def with_the_first(bed: Bed, *, rollout: Any = None, **options: Any) -> Hosts:
    """Three hosts that have version 1, and a next key that was made ahead."""
    wished(bed, rollout=rollout, **options)
    hosts = {name: enrolled(bed, name) for name in NAMES}
    bed.engine.run()
    for host in hosts.values():
        assert versions(host) == (1, None)
        installs(host, 1)
    bed.engine.run(HOUR)
    bed.engine.watch.turn()
    assert len(materials(bed, ahead=True)) == 1
    return hosts


def versions(host: FollowerClient) -> tuple[int | None, int | None]:
    """What the host is to have, and to stage."""
    line = line_of(host)
    assert line is not None
    return line.version, line.staged.number if line.staged else None


def do(bed: Bed, deed: str, body: Any = None, status: int = 200) -> dict[str, Any]:
    answer = bed.ask("POST", f"/v1/lines/shop/{deed}", body or {}, role=Role.OPERATOR)
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


def states(bed: Bed) -> dict[int, str]:
    return {one["number"]: one["state"] for one in shown(bed)["versions"]}


def shown(bed: Bed) -> dict[str, Any]:
    found: dict[str, Any] = bed.ask("GET", "/v1/lines/shop").json()
    return found


def standing(bed: Bed, name: str) -> dict[str, Any]:
    return next(one for one in shown(bed)["hosts"] if one["follower"] == name)


def tells(host: FollowerClient, version: int, state: str, error: str | None = None) -> None:
    said = DeploymentReport("shop", version, state, error, goal="installed")
    answer = host.ask("POST", "/v1/follower/reports", encode(Report("certline-follower test", 1, (said,))))
    assert answer.status_code == 204, answer.text


def rolled_over(bed: Bed) -> None:
    do(bed, "rollover")
    bed.engine.run()


def renewed(bed: Bed) -> None:
    do(bed, "issue", {"force": True})
    bed.engine.run(MINUTE)


# --- staged ---------------------------------------------------------------------------------------------------------


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


# --- going back -----------------------------------------------------------------------------------------------------


def test_an_older_version_is_live_again_on_all_hosts(bed: Bed) -> None:
    """peers 2.2.8: roll back to what is still there; the number goes down, marked."""
    hosts = with_the_first(bed)
    renewed(bed)
    for host in hosts.values():
        installs(host, 2)
    told = do(bed, "rollback")
    assert (told["version"], told["former"]) == (1, 2)
    assert states(bed) == {2: "retired", 1: "live"}
    for host in hosts.values():
        line = line_of(host)
        assert line is not None
        assert (line.version, line.rollback) == (1, True)
        pulled(host, 1)
    assert bed.events("version.rolled_back")[0].data == {"version": 1, "former": 2}


def test_the_next_renewal_goes_on_from_there_and_does_not_come_at_once(bed: Bed) -> None:
    with_the_first(bed)
    bed.engine.run(65 * DAY)
    assert states(bed) == {2: "live", 1: "retired"}
    do(bed, "rollback")
    bed.engine.run(10 * DAY)
    assert states(bed) == {2: "retired", 1: "live"}
    bed.engine.run(10 * DAY)
    assert states(bed)[3] == "live"
    assert states(bed)[1] == "retired"


def test_what_an_operator_went_back_from_is_not_ordered_again_for_its_names(bed: Bed) -> None:
    with_the_first(bed)
    pulls = {"grants": {"pull": ["shop"]}}
    more = {"shop": SHOP | {"names": ["shop.example.com", "www.example.com"]}}
    applied(bed, FLEET | {"http": {}, "followers": dict.fromkeys(NAMES, pulls), "lines": more})
    bed.engine.run(HOUR)
    assert states(bed) == {2: "live", 1: "retired"}
    do(bed, "rollback")
    bed.engine.run(DAY)
    assert states(bed) == {2: "retired", 1: "live"}


def test_back_over_a_rollover_the_former_key_is_current_again(bed: Bed) -> None:
    hosts = with_the_first(bed)
    before = [one.spki_sha256 for one in materials(bed) if one.slot == "current"]
    rolled_over(bed)
    assert states(bed) == {2: "live", 1: "retired"}
    do(bed, "rollback")
    bed.engine.run(DAY)
    assert states(bed) == {2: "retired", 1: "live"}
    assert [one.spki_sha256 for one in materials(bed) if one.slot == "current"] == before
    assert sorted(pulled(hosts["web-1"], 1).files) == ["ecdsa-p256/chain.pem", "ecdsa-p256/key.sealed"]


def test_a_host_counts_as_done_only_once_it_installed_the_older_version_again(bed: Bed) -> None:
    hosts = with_the_first(bed)
    renewed(bed)
    tells(hosts["web-1"], 2, "installed")
    tells(hosts["web-2"], 2, "pulled", "nginx: check failed")
    do(bed, "rollback")
    assert {name: standing(bed, name)["arrived"] for name in NAMES} == {"web-1": False, "web-2": False, "web-3": True}
    for name in ("web-1", "web-2"):
        installs(hosts[name], 1)
    found = {name: standing(bed, name) for name in NAMES}
    assert {name: (one["arrived"], one["error"]) for name, one in found.items()} == dict.fromkeys(NAMES, (True, None))


def test_going_back_ends_a_rollout_at_its_canary(bed: Bed) -> None:
    hosts = with_the_first(bed, rollout=WAVES)
    renewed(bed)
    tells(hosts["web-2"], 2, "pulled", "nginx: check failed")
    bed.engine.watch.turn()
    do(bed, "rollback")
    assert {versions(host) for host in hosts.values()} == {(1, None)}
    assert shown(bed)["rollout"]["finished"] is not None


def test_the_version_after_going_back_goes_in_waves_again(bed: Bed) -> None:
    hosts = with_the_first(bed, rollout=WAVES)
    renewed(bed)
    do(bed, "rollback")
    renewed(bed)
    assert {name: versions(host)[0] for name, host in hosts.items()} == {"web-1": 1, "web-2": 3, "web-3": 1}


@pytest.mark.parametrize(
    ("to", "why"),
    [(1, "has expired"), (2, "is live"), (None, "no other version of it can be used any more")],
)
def test_nobody_goes_back_to_what_cannot_be_used(bed: Bed, to: int | None, why: str) -> None:
    with_the_first(bed)
    bed.engine.run(91 * DAY)
    assert states(bed)[2] == "live"
    assert why in do(bed, "rollback", {"to": to} if to else {}, status=409)["detail"]
    assert do(bed, "rollback", {"to": 7}, status=404)


def test_nobody_goes_back_to_a_revoked_version_not_even_while_that_is_only_asked_for(bed: Bed) -> None:
    with_the_first(bed)
    bed.engine.ca.fail("revokeCert", CaUnreachable("no route"), times=100)
    do(bed, "revoke")
    bed.engine.run(MINUTE)
    assert states(bed)[2] == "live"
    assert "version 1 is revoked" in do(bed, "rollback", {"to": 1}, status=409)["detail"]


# --- revoking -------------------------------------------------------------------------------------------------------


def test_a_revoked_line_has_a_new_version_for_a_new_key_and_hosts_keep_their_files_until_then(bed: Bed) -> None:
    """peers 2.1.35"""
    hosts = with_the_first(bed)
    (key,) = materials(bed)
    told = do(bed, "revoke", {"reason": "superseded"})
    assert "hosts keep their files" in told["text"]
    assert [one["state"] for one in told["certificates"]] == ["intended"]
    assert versions(hosts["web-1"]) == (1, None)
    bed.engine.run(HOUR)
    assert list(bed.engine.ca.revoked.values()) == [4]
    assert states(bed) == {2: "live", 1: "revoked"}
    (held,) = shown(bed)["versions"][0]["certificates"]
    assert held["spki_sha256"] != key.spki_sha256


@pytest.mark.parametrize("options", [{}, {"stage_for": "25h"}])
def test_the_version_after_a_revocation_is_not_staged(bed: Bed, options: dict[str, str]) -> None:
    with_the_first(bed, **options)
    do(bed, "revoke", {"reason": "key-compromise"})
    bed.engine.run(MINUTE)
    assert states(bed) == {2: "live", 1: "revoked"}


def test_with_a_compromised_key_all_its_certificates_are_revoked_else_only_the_live_one(bed: Bed) -> None:
    with_the_first(bed)
    renewed(bed)
    assert {one["version"] for one in do(bed, "revoke")["certificates"]} == {2}
    assert {one["version"] for one in do(bed, "revoke", {"reason": "key-compromise"})["certificates"]} == {1, 2}


def test_a_line_is_revoked_while_the_ca_is_away_as_soon_as_it_is_back(bed: Bed) -> None:
    with_the_first(bed)
    bed.engine.ca.fail("revokeCert", CaUnreachable("no route"), times=3)
    do(bed, "revoke")
    bed.engine.run(DAY)
    assert len(bed.engine.ca.revoked) == 1
    assert states(bed) == {2: "live", 1: "revoked"}


def test_a_kill_between_asking_and_recording_revokes_once_more_and_loses_nothing(bed: Bed) -> None:
    with_the_first(bed)
    do(bed, "revoke")

    def die(reached: str) -> None:
        if reached == "revocation.asked":
            raise Killed(reached)

    with watched(die), pytest.raises(Killed):
        bed.engine.run(HOUR)
    bed.engine.kill()
    bed.engine.run(DAY)
    assert len(bed.engine.ca.revoked) == 1
    assert states(bed)[1] == "revoked"


def test_without_a_live_version_there_is_nothing_to_revoke_or_roll_over(bed: Bed) -> None:
    wished(bed)
    assert "nothing to revoke" in do(bed, "revoke", status=409)["detail"]
    assert "no live version" in do(bed, "rollover", status=409)["detail"]


@pytest.mark.parametrize("body", [{"reason": "boredom"}, {"reason": 1}, {"why": "superseded"}])
def test_a_reason_that_no_ca_takes_is_refused(bed: Bed, body: dict[str, Any]) -> None:
    with_the_first(bed)
    assert do(bed, "revoke", body, status=422)["errors"][0]["field"].startswith(("/reason", "/why"))


def test_a_staged_version_of_a_revoked_line_goes_live_at_once(bed: Bed) -> None:
    with_the_first(bed, stage_for="25h")
    rolled_over(bed)
    do(bed, "revoke", {"reason": "superseded"})
    bed.engine.run(MINUTE)
    with bed.store.read() as records:
        line = records.lines.get(SYSTEM, "shop")
        live = records.versions.live(SYSTEM, [line.id])[line.id]
        first = records.versions.get(SYSTEM, line.id, 1)
    assert live.number >= 2
    assert first.state is VersionState.REVOKED
