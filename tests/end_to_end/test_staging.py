"""A staged version among real programs: a host of today has it ahead, one of a former release when it is live; and
going back reaches both.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.assertions import assert_installed
from tests.end_to_end.harness import Bed, fleet
from tests.end_to_end.host import CHANGED, NOTHING, FollowerHost, HostLine
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.testbed.releases import former_releases, prefix_for

NAME = "shop.example.test"
LINE = HostLine("shop")
KEYS_FROM_THE_MASTER = [release for release in former_releases() if not release.startswith("0.1.")]


def wish(here: Bed, master: MasterProcess, stage_for: str) -> None:
    line = {"custody": "master", "names": [NAME], "stage_for": stage_for}
    wanted = fleet(here.ca, {}, lines={"shop": line})
    master.set_fleet(wanted | {"followers": {"web": {"grants": {"pull": ["shop"]}}}})


def with_the_first(here: Bed, release: list[str], stage_for: str = "1h") -> tuple[MasterProcess, FollowerHost, str]:
    master = here.serving({"web": []})
    wish(here, master, stage_for)
    host = here.enrolled(master, "web", release=release)
    host.configure(LINE)
    first = master.issued("shop")
    host.sync().well(CHANGED)
    assert_installed(host.tls, first)
    return master, host, first


def _serves(host: FollowerHost, version: dict[str, Any]) -> bool:
    try:
        assert_installed(host.tls, version["certificates"][0]["serial"])
    except AssertionError:
        return False
    return True


def state_of(master: MasterProcess, number: int) -> str | None:
    versions = (master.line("shop") or {"versions": []})["versions"]
    return next((str(one["state"]) for one in versions if one["number"] == number), None)


def rolled_over(master: MasterProcess) -> None:
    """The next key is made ahead; the version for it is staged."""
    eventually(lambda: len(master.get("/v1/keys/shop")["keys"]) > 1, 30, "a next key")
    master.command("line", "rollover", "shop").well()
    eventually(lambda: state_of(master, 2) == "staged", 30, f"version 2 is staged: {master.line('shop')}")


@pytest.mark.parametrize("former", KEYS_FROM_THE_MASTER)
def test_a_host_of_a_former_release_gets_a_staged_version_once_it_is_live(
    here: Bed, former: str, tmp_path: Path
) -> None:
    master, host, first = with_the_first(here, prefix_for(former, tmp_path))
    rolled_over(master)
    host.sync().well(NOTHING)
    assert_installed(host.tls, first)

    wish(here, master, "1s")

    second = master.issued("shop", after=first)
    host.sync().well(CHANGED)
    assert_installed(host.tls, second)
    assert not master.events("follower.refused")


def test_a_host_of_today_has_it_ahead_and_switches_at_the_moment_with_the_master_away(here: Bed) -> None:
    master, host, first = with_the_first(here, [], stage_for="20s")
    rolled_over(master)
    host.sync().well(CHANGED)
    assert (master.line("shop") or {})["hosts"][0]["staged"] == 2
    assert_installed(host.tls, first)
    staged = next(one for one in (master.line("shop") or {})["versions"] if one["number"] == 2)
    master.stop()

    def switched() -> bool:
        host.sync()
        return _serves(host, staged)

    eventually(switched, 60, "it switched")

    master.start()
    eventually(lambda: state_of(master, 2) == "live", 30, "version 2 is live on the master")
    host.sync()
    assert_installed(host.tls, staged["certificates"][0]["serial"])


@pytest.mark.parametrize("former", ["", *KEYS_FROM_THE_MASTER])
def test_going_back_reaches_hosts_of_all_releases(here: Bed, former: str, tmp_path: Path) -> None:
    master, host, first = with_the_first(here, prefix_for(former, tmp_path) if former else [])
    master.renew("shop")
    second = master.issued("shop", after=first)
    host.sync().well(CHANGED)
    assert_installed(host.tls, second)

    said = master.command("line", "rollback", "shop").well().out

    assert "version 1 is live again; version 2 is retired" in said
    host.sync().well(CHANGED)
    assert_installed(host.tls, first)
    host.sync().well(NOTHING)


def test_lines_are_revoked_by_name_and_never_without(here: Bed) -> None:
    """peers 2.1.35: without names it is refused; with them the next version is for another key."""
    master, host, first = with_the_first(here, [])
    refused = master.command("line", "revoke")
    assert refused.code == 2
    assert "NAME" in refused.err
    assert "there is no line" in master.command("line", "revoke", "shop", "nowhere").err
    assert state_of(master, 1) == "live"  # one that is not there keeps the others from being revoked

    said = master.command("line", "revoke", "shop", "--reason", "superseded").well().out

    assert "hosts keep their files" in said
    second = master.issued("shop", after=first)
    eventually(lambda: state_of(master, 1) == "revoked", 30, "version 1 is revoked")
    assert_installed(host.tls, first)
    host.sync().well(CHANGED)
    assert_installed(host.tls, second)
