"""An operator's word on a line's versions, over real HTTP: going back to an older one, and revoking what is live."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaUnreachable
from certline_master.domain.model import VersionState
from certline_shared.failpoints import watched
from tests.fakes.killing import Killed
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET
from tests.integration.line_versions import (
    DAY,
    HOUR,
    MINUTE,
    NAMES,
    WAVES,
    do,
    renewed,
    rolled_over,
    shown,
    standing,
    states,
    tells,
    versions,
    wished,
    with_the_first,
)
from tests.integration.shared_keys import SHOP, applied, installs, line_of, materials, pulled


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.ca.profiles = ("classic",)
        yield running


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


def test_revoked_once_more_for_another_reason_the_key_is_replaced_once(bed: Bed) -> None:
    with_the_first(bed)
    renewed(bed)
    do(bed, "revoke")
    (replaced,) = [one for one in materials(bed) if one.slot == "current"]
    do(bed, "revoke", {"reason": "key-compromise"})
    assert [one.id for one in materials(bed) if one.slot == "current"] == [replaced.id]


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
