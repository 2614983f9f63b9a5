"""A host changes its own keys: at no moment, killed anywhere, is it without a key that its master takes (F7)."""

import json
import stat
from datetime import timedelta

import pytest

from certline_follower import identity as identities
from certline_follower import rotation
from certline_follower.host import Host
from certline_follower.identity import Identity
from certline_follower.lock import RunLock
from certline_shared import sealing, signing
from certline_shared.failpoints import watched
from tests.fakes.master import FOLLOWER_ID, FakeMaster, Reply
from tests.integration.follower.host_bed import Bed, MovableClock
from tests.integration.follower.test_kills import follower, killed


def identity(bed: Bed) -> Identity:
    return identities.load(bed.state_dir)


def public(bed: Bed) -> bytes:
    return signing.identity_public(identity(bed).identity_key)


def settled(bed: Bed, master: FakeMaster) -> None:
    """The host and its master know one and the same key, and nothing is left of the change."""
    assert master.followers[FOLLOWER_ID] == public(bed)
    assert master.next_keys == {}
    assert not (bed.state_dir / rotation.NAME).exists()
    assert not (bed.state_dir / rotation.WANTED).exists()


def test_the_command_changes_both_keys_and_installs_nothing_anew(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    before, calls = identity(bed), bed.calls
    done = follower(bed, "rotate-keys")
    assert (done.returncode, done.stdout) == (0, "this host has new keys of its own\n"), done.stderr
    after = identity(bed)
    assert after.identity_key != before.identity_key
    assert after.sealing_key != before.sealing_key
    assert (after.follower_id, after.signing_keys, after.mark) == (before.follower_id, before.signing_keys, before.mark)
    settled(bed, master)
    assert not bed.settle().failures
    assert bed.calls == calls


def test_its_place_in_time_stays(bed: Bed, master: FakeMaster) -> None:
    """A manifest from before is refused as ever: only an enrolment proves a master that went back."""
    bed.settle()
    seen = bed.host().state.serial
    follower(bed, "rotate-keys")
    assert bed.host().state.serial == seen
    master.epoch = 0
    assert "rollback" in str(bed.turn().away)


def test_the_new_pair_is_for_this_user_only_while_it_waits(bed: Bed) -> None:
    bed.settle()
    modes: list[int] = []

    def look(place: str) -> None:
        if place == "keys.written":
            modes.append(stat.S_IMODE((bed.state_dir / rotation.NAME).stat().st_mode))

    rotation.ask_for(bed.state_dir)
    with watched(look):
        bed.turn()
    assert modes == [0o600]


@pytest.mark.parametrize("place", rotation.FAILPOINTS)
def test_killed_at_any_place_the_next_run_finishes_the_change(bed: Bed, master: FakeMaster, place: str) -> None:
    bed.settle()
    before = public(bed)
    killed(bed, "rotate-keys", at=place)
    done = follower(bed, "sync")
    assert done.returncode == 0, done.stderr
    assert public(bed) != before
    settled(bed, master)


@pytest.mark.parametrize("place", rotation.FAILPOINTS)
def test_killed_twice_it_is_finished_too(bed: Bed, master: FakeMaster, place: str) -> None:
    bed.settle()
    killed(bed, "rotate-keys", at="keys.written")
    if place != "keys.written":  # that was
        killed(bed, "sync", at=place)
    assert follower(bed, "sync").returncode == 0
    settled(bed, master)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_with_the_network_cut_at_any_request_it_goes_on_when_it_is_back(bed: Bed, master: FakeMaster, nth: int) -> None:
    """The answer is lost, what was asked was done (F7)."""
    bed.settle()
    before, seen = public(bed), 0

    def lost(_path: str, reply: Reply) -> Reply:
        nonlocal seen
        seen += 1
        return Reply(503) if seen == nth else reply

    master.tampering.after_signing = lost
    follower(bed, "rotate-keys")
    master.tampering.after_signing = None
    assert follower(bed, "sync").returncode == 0
    assert public(bed) != before
    settled(bed, master)


def test_a_pair_that_lapsed_on_the_master_is_announced_again(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    killed(bed, "rotate-keys", at="keys.announced")
    master.next_keys.clear()
    assert follower(bed, "sync").returncode == 0
    settled(bed, master)
    assert len(master.asked("POST /v1/follower/keys")) == 2


def test_a_master_that_is_away_leaves_the_present_keys_and_the_wish(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    before = public(bed)
    bed.master_goes_away()
    done = follower(bed, "rotate-keys")
    assert done.returncode == 5
    assert "the next run goes on with it" in done.stderr
    assert public(bed) == before
    master.ready_replies.clear()
    assert follower(bed, "sync").returncode == 0
    assert public(bed) != before
    settled(bed, master)


def test_an_older_master_is_named_and_the_present_keys_stay(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    before = public(bed)
    master.takes_keys = False
    rotation.ask_for(bed.state_dir)
    outcome = bed.turn()
    assert "its release does not know how" in outcome.failures[0]
    assert not bed.turn().failures
    assert public(bed) == before
    settled(bed, master)


def test_a_suspended_host_waits_with_its_new_pair(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    killed(bed, "rotate-keys", at="keys.announced")
    master.revoked = True
    assert "revoked" in str(bed.turn().away)
    assert (bed.state_dir / rotation.NAME).exists()


def test_while_the_daemon_runs_the_command_leaves_it_to_it(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    with RunLock(bed.state_dir) as lock:
        assert lock.acquire(wait=False)
        done = follower(bed, "rotate-keys", "--output", "json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"state": "wanted"})
    before = public(bed)
    bed.turn()
    assert public(bed) != before
    settled(bed, master)


def test_the_former_sealing_key_is_kept_until_a_turn_went_well(bed: Bed) -> None:
    bed.settle()
    former = identity(bed).sealing_key
    rotation.ask_for(bed.state_dir)
    host = bed.host()
    rotation.settle(host)
    assert identity(bed).former_sealing_key == former
    assert host.identity.sealing_keys == (host.identity.sealing_key, former)
    assert sealing.public_of(host.identity.sealing_key) != sealing.public_of(former)
    bed.turn(host)
    assert identity(bed).former_sealing_key is None


def aged(bed: Bed, days: str, old: timedelta) -> Host:
    bed.configure(bed.line("shop", "shop.example.org"), more=f"rotate_keys_days = {days}")
    bed.enrol(replace=True)
    bed.clock = MovableClock(old)
    return bed.host()


def test_keys_that_got_too_old_are_changed_without_being_asked(fresh_bed: Bed, master: FakeMaster) -> None:
    host = aged(fresh_bed, "30", timedelta(days=0))
    before = public(fresh_bed)
    fresh_bed.turn(host)
    assert public(fresh_bed) == before
    master.clock = MovableClock(timedelta(days=30))
    fresh_bed.clock = MovableClock(timedelta(days=30))
    fresh_bed.turn()
    assert public(fresh_bed) != before
    settled(fresh_bed, master)
    fresh_bed.turn()
    assert len(master.asked("POST /v1/follower/keys")) == 1


def test_without_the_setting_keys_are_never_changed_by_themselves(bed: Bed, master: FakeMaster) -> None:
    master.clock = bed.clock = MovableClock(timedelta(days=3_000))
    bed.turn()
    assert master.asked("POST /v1/follower/keys") == []


def test_a_new_enrolment_ends_a_change_that_was_begun(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    killed(bed, "rotate-keys", at="keys.written")
    bed.enrol(replace=True)
    bed.turn()
    settled(bed, master)
    assert master.asked("POST /v1/follower/keys") == []


def test_a_damaged_pair_is_dropped_and_the_present_keys_serve(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    (bed.state_dir / rotation.NAME).write_text("{")
    assert not bed.turn().away
    settled(bed, master)


def test_plan_changes_no_keys(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    rotation.ask_for(bed.state_dir)
    assert follower(bed, "plan").returncode == 0
    assert master.asked("POST /v1/follower/keys") == []


# --- the count of changing requests -----------------------------------------------------------------------------------


def test_every_changing_request_has_a_higher_number_across_restarts(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    master.issue("shop")
    bed.settle()
    follower(bed, "rotate-keys")
    numbers = master.sequences
    assert len(numbers) >= 4
    assert None not in numbers
    assert numbers == sorted(set(numbers), key=lambda one: one or 0)


def test_a_lost_count_goes_on_above_all_that_was_sent(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    (bed.state_dir / "sequence").unlink()
    bed.clock = MovableClock(timedelta(days=-3_650))  # the clock may be wrong: the master's time counts
    master.issue("shop")
    bed.settle()
    numbers = [one or 0 for one in master.sequences]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("damage", ["", "x", "-5", "9" * 40, "٣"])
def test_a_damaged_count_is_begun_anew(bed: Bed, master: FakeMaster, damage: str) -> None:
    (bed.state_dir / "sequence").write_text(damage)
    bed.settle()
    assert all(one and one > 1_700_000_000_000 for one in master.sequences)


def test_two_copies_of_a_host_part_with_their_next_requests(bed: Bed) -> None:
    bed.settle()
    kept = (bed.state_dir / "sequence").read_text()
    sent = set()
    for _ in range(8):
        (bed.state_dir / "sequence").write_text(kept)
        sent.add(bed.host().next_sequence())
    assert len(sent) > 1
    assert all(one > int(kept) for one in sent)
