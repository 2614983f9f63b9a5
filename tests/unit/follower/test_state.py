"""The state as a document, and what a kill leaves of it."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from certline_follower.state import (
    Debt,
    Pending,
    Retry,
    Shown,
    State,
    VersionRef,
    later,
    read,
    settled,
    swapped,
)  # fmt: skip
from certline_shared import codec
from certline_shared.messages import time_text
from tests.fakes.chance import SeededChance

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


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
