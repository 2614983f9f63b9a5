"""The state file: what it survives, and what is refused (B5)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_follower.state import (
    Debt,
    Pending,
    Retry,
    Shown,
    State,
    StateError,
    VersionRef,
    later,
    read,
    settled,
    swapped,
)  # fmt: skip
from certline_shared import codec
from certline_shared.messages import time_text
from tests.fakes.chance import SeededChance
from tests.fakes.master import FakeMaster
from tests.unit.follower.host_bed import Bed

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def damaged(bed: Bed, content: bytes) -> None:
    (bed.state_dir / "state.json").write_bytes(content)


@pytest.mark.parametrize("how", ["empty", "cut", "garbage", "wrong types", "bad time"])
def test_a_damaged_state_is_rebuilt_from_what_is_installed_and_the_master(
    bed: Bed, master: FakeMaster, how: str
) -> None:
    bed.settle()
    whole, shown, reloads = (bed.state_dir / "state.json").read_bytes(), bed.shown("shop"), bed.reloads()
    damaged(
        bed,
        {
            "empty": b"",
            "cut": whole[: len(whole) // 2],
            "garbage": b"\x00\xff" * 100,
            "wrong types": whole.replace(b'"lines":{', b'"lines":[{', 1),
            "bad time": whole.replace(b'"due":"2', b'"due":"x'),
        }[how],
    )
    outcome = bed.settle()
    assert not outcome.failures
    assert bed.shown("shop") == shown
    assert bed.reloads() == reloads
    assert len(master.asked("PUT")) == 1
    master.issue("shop")
    bed.settle()
    assert bed.shown("shop") != shown


def test_a_lost_state_is_rebuilt_with_the_same_key(bed: Bed) -> None:
    bed.settle()
    key = (bed.state_dir / "keys" / "shop" / "ecdsa-p256.pem").read_bytes()
    (bed.state_dir / "state.json").unlink()
    bed.settle()
    assert (bed.state_dir / "keys" / "shop" / "ecdsa-p256.pem").read_bytes() == key
    assert bed.reloads() == 1


def test_a_state_of_a_newer_version_is_refused_and_left_as_it_is(bed: Bed) -> None:
    bed.settle()
    file = bed.state_dir / "state.json"
    newer = file.read_bytes().replace(b'"format":1', b'"format":9')
    file.write_bytes(newer)
    with pytest.raises(StateError, match=r"format 9.* reads up to 1"):
        bed.host()
    assert file.read_bytes() == newer


def test_the_state_and_the_keys_are_for_their_user_only(bed: Bed) -> None:
    bed.settle()
    files = [path for path in bed.state_dir.rglob("*.json") if "generations" not in path.parts]
    files += list((bed.state_dir / "keys").rglob("*.pem"))
    assert len(files) > 2
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


def test_a_key_that_was_removed_by_hand_is_made_anew_and_asked_with(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    (bed.state_dir / "keys" / "shop" / "ecdsa-p256.pem").unlink()
    assert not bed.settle().failures
    assert len(master.asked("PUT")) == 2
    assert bed.reloads() == 2


# The document itself

refs = st.builds(VersionRef, st.integers(1, 99), st.text("0123456789abcdef", max_size=16))
names = st.sampled_from(["shop", "mail"])
retries = st.builds(
    Retry, st.integers(1, 9), st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001 made aware
        lambda moment: time_text(moment.replace(tzinfo=UTC))), st.text(max_size=20)
)  # fmt: skip
shown = st.builds(Shown, st.integers(1, 99), st.dictionaries(names, refs), st.dictionaries(names, st.text(max_size=5)))
debts = st.dictionaries(
    st.sampled_from(["web", "smtp"]), st.builds(Debt, st.integers(1, 99), st.tuples(names), st.booleans(), retries)
)
states = st.builds(
    State,
    live=st.none() | shown,
    former=st.none() | shown,
    pending=st.none() | st.builds(Pending, shown, debts, st.booleans()),
    debts=debts,
    failed=st.dictionaries(st.text("abc", min_size=1), retries),
)


@given(states)
def test_what_is_written_is_read_back(state: State) -> None:
    assert read(codec.write(state)) == state


@given(states, st.integers(1, 99))
def test_settling_twice_is_settling_once(state: State, generation: int) -> None:
    once = settled(state, generation, {"shop": 1})
    assert settled(once, generation, {"shop": 1}) == once
    assert once.live
    assert once.live.generation == generation


@given(states)
def test_a_swap_that_was_made_leaves_its_debts_owed(state: State) -> None:
    if state.pending:
        after = settled(state, state.pending.shown.generation, {})
        assert after == swapped(state)
        assert set(state.pending.debts) <= set(after.debts)


@given(st.integers(0, 50))
def test_a_pause_is_never_longer_than_half_an_hour(failures: int) -> None:
    former = Retry(failures, time_text(NOW), "") if failures else None
    due = later(former, "x", NOW, SeededChance()).due
    assert timedelta(0) < datetime.fromisoformat(due) - NOW <= timedelta(minutes=30)


def test_a_due_time_that_a_wrong_clock_wrote_counts_as_come() -> None:
    assert Retry(1, time_text(NOW + timedelta(days=3650)), "").is_due(NOW)
    assert not Retry(1, time_text(NOW + timedelta(minutes=20)), "").is_due(NOW)
