"""`renew` and `rollover` by hand, with and without a daemon."""

import json

import pytest

from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed
from tests.integration.follower.test_deploy import daemon, follower, reported, wait_for


@pytest.fixture
def installed(bed: Bed) -> Bed:
    """A host with version 1 of shop."""
    bed.settle()
    return bed


@pytest.mark.parametrize("what", ["renew", "rollover"])
def test_without_a_daemon_the_master_is_asked_and_the_next_run_gets_it(
    installed: Bed, master: FakeMaster, what: str
) -> None:
    done = follower(installed, what, "shop")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "shop: asked for by hand\nthe next run gets it: certline-follower sync\n"
    assert master.asked(f"POST /v1/follower/lines/shop/{what}")
    assert follower(installed, "sync", "--changed-is-zero").returncode == 0
    assert reported(master) == 2


def test_the_running_daemon_asks_and_installs_at_once(installed: Bed, master: FakeMaster) -> None:
    with daemon(installed):
        done = follower(installed, "renew", "shop", "--output", "json")
        assert done.returncode == 0
        assert json.loads(done.stdout) == {
            "line": "shop", "asked": "renew", "standing": "asked for by hand", "failures": [], "exit_code": 0,
        }  # fmt: skip
        wait_for(lambda: reported(master) == 2)


@pytest.mark.parametrize("running", [False, True])
def test_what_the_master_refuses_ends_with_3_and_its_reason(
    installed: Bed, master: FakeMaster, *, running: bool
) -> None:
    master.refuses["rollover"] = "line shop is shared with other hosts: certline line rollover shop"
    if running:
        with daemon(installed):
            done = follower(installed, "rollover", "shop")
    else:
        done = follower(installed, "rollover", "shop")
    assert (done.returncode, done.stdout) == (3, "")
    assert master.refuses["rollover"] in done.stderr


def test_without_the_master_it_ends_with_5(installed: Bed) -> None:
    installed.master_goes_away()
    assert follower(installed, "renew", "shop").returncode == 5


def test_a_line_that_is_not_in_the_file_is_refused(installed: Bed, master: FakeMaster) -> None:
    done = follower(installed, "renew", "blog")
    assert (done.returncode, "lines there: shop" in done.stderr) == (2, True)
    assert master.asked("POST /v1/follower/lines") == []


def test_a_key_that_is_made_elsewhere_is_rolled_over_there(installed: Bed, master: FakeMaster) -> None:
    text = installed.file.read_text()
    installed.file.write_text(text.replace('name = "shop"', 'name = "shop"\nkey_file = "/etc/pki/shop.pem"', 1))
    done = follower(installed, "rollover", "shop")
    assert (done.returncode, "/etc/pki/shop.pem" in done.stderr) == (3, True)
    assert master.asked("POST /v1/follower/lines") == []


def test_each_request_counts(installed: Bed, master: FakeMaster) -> None:
    follower(installed, "renew", "shop")
    follower(installed, "renew", "shop")
    counts = [number for number in master.sequences if number is not None]
    assert counts == sorted(set(counts))
    assert None not in master.sequences
