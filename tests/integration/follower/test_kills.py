"""kill -9 of the real program at each named place: the next start finishes what was begun, and the reload runs."""

import os
import subprocess
import sys

import pytest

from certline_follower import (
    carried,
    disk,
    enrolment,
    hooks,
    installing,
    introducing,
    joining,
    line_keys,
    rotation,
    steps,
)
from certline_follower.failpoints import FAILPOINTS
from certline_shared.messages import DeploymentReport
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed

GOING_BACK = ("install.going_back", "install.went_back")
FIRST_TIME = ("key.written", "line.asked")
NEXT_TIME = tuple(
    name for name in (*steps.FAILPOINTS, *installing.FAILPOINTS) if name not in (*FIRST_TIME, *GOING_BACK)
)


def follower(bed: Bed, *words: str, kill_at: str | None = None, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program to its end, which is sudden at `kill_at`."""
    env = {**os.environ, "CERTLINE_UNDER_TEST": "1"} | ({"CERTLINE_FAILPOINT": kill_at} if kill_at else {})
    command = [sys.executable, "-m", "certline_follower.entry", "--config", str(bed.file), *words]
    return subprocess.run(command, env=env, input=text, capture_output=True, text=True, timeout=60, check=False)


def killed(bed: Bed, *words: str, at: str, text: str = "") -> None:
    done = follower(bed, *words, kill_at=at, text=text)
    assert done.returncode == -9, f"{at} was not reached: {done.stdout}{done.stderr}"


def assert_converges(bed: Bed, master: FakeMaster, version: int) -> None:
    """One more run, and all is as if nothing had been; the run after it has nothing to do."""
    done = follower(bed, "sync", "--timeout", "20")
    assert done.returncode in (0, 10), done.stderr
    chain = master.lines["shop"].versions[version]["ecdsa-p256/chain.pem"]
    assert chain in bed.shown("shop")
    assert master.last_report("shop") == DeploymentReport("shop", version, "reloaded", goal="reloaded")
    assert bed.content() == bed.calls[-1].split()[2], "the last reload saw another version"
    calls = bed.calls
    again = follower(bed, "sync")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert bed.calls == calls


def test_every_place_is_named_once_and_belongs_to_a_test() -> None:
    assert len(set(FAILPOINTS)) == len(FAILPOINTS)
    mine = {*enrolment.FAILPOINTS, *FIRST_TIME, *NEXT_TIME, *GOING_BACK}
    elsewhere = {*disk.FAILPOINTS, *carried.FAILPOINTS, *hooks.FAILPOINTS}
    elsewhere |= {*line_keys.FAILPOINTS, *joining.FAILPOINTS, *introducing.FAILPOINTS, *rotation.FAILPOINTS}
    assert mine == set(FAILPOINTS) - elsewhere


@pytest.mark.parametrize("place", enrolment.FAILPOINTS)
def test_an_enrolment_killed_at_any_place_is_finished_with_the_same_token(
    fresh_bed: Bed, master: FakeMaster, place: str
) -> None:
    token = master.token()
    killed(fresh_bed, "enroll", at=place, text=token)
    done = follower(fresh_bed, "enroll", text=token)
    assert done.returncode == 0 or "enrolled already" in done.stderr
    assert len(master.used) == 1
    assert follower(fresh_bed, "sync", "--timeout", "20").returncode == 10


@pytest.mark.parametrize("place", FIRST_TIME)
def test_a_first_run_killed_at_any_place_is_finished_with_one_key(bed: Bed, master: FakeMaster, place: str) -> None:
    killed(bed, "sync", at=place)
    key = (bed.state_dir / "keys" / "shop" / "ecdsa-p256.pem").read_bytes()
    assert_converges(bed, master, 1)
    assert (bed.state_dir / "keys" / "shop" / "ecdsa-p256.pem").read_bytes() == key


@pytest.mark.parametrize("place", NEXT_TIME)
def test_a_renewal_killed_at_any_place_is_installed_and_reloaded(bed: Bed, master: FakeMaster, place: str) -> None:
    bed.settle()
    reloads = bed.reloads()
    master.issue("shop")
    killed(bed, "sync", at=place)
    assert_converges(bed, master, 2)
    assert bed.reloads() > reloads


@pytest.mark.parametrize("place", disk.FAILPOINTS[::3])
def test_a_renewal_killed_while_files_are_swapped_is_installed_and_reloaded(
    bed: Bed, master: FakeMaster, place: str
) -> None:
    bed.settle()
    master.issue("shop")
    follower(bed, "sync", kill_at=place)
    assert_converges(bed, master, 2)
    assert bed.reloads() > 1


@pytest.mark.parametrize(
    "place", ["install.intended", "install.after_each_staged", "install.after_each_output", "install.swapped"]
)
def test_a_mend_killed_at_any_place_is_finished_and_reloaded(bed: Bed, master: FakeMaster, place: str) -> None:
    bed.settle()
    (bed.folder / "shop.pem").unlink()
    killed(bed, "sync", at=place)
    assert_converges(bed, master, 1)
    assert bed.reloads() == 2


@pytest.mark.parametrize("place", GOING_BACK)
def test_going_back_killed_at_any_place_ends_at_the_former_version(bed: Bed, master: FakeMaster, place: str) -> None:
    bed.settle()
    good = bed.shown("shop")
    master.issue("shop")
    failure = bed.fail("web", "reload")
    killed(bed, "sync", at=place)
    failure.unlink()
    assert bed.turn().held_back
    assert bed.shown("shop") == good
    assert bed.content() == bed.calls[-1].split()[2]
    master.issue("shop")
    assert_converges(bed, master, 3)
