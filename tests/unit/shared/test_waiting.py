"""Waits grow, stay bounded and differ; and the fakes behave as the ports they stand for."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from certline_shared import backoff
from certline_shared.chance import Chance, SystemChance
from certline_shared.clock import Clock, SystemClock
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock

FIRST = timedelta(milliseconds=50)
MOST = timedelta(minutes=5)


@pytest.mark.parametrize("attempt", [1, 2, 5, 13, 100, 10_000])
def test_a_wait_doubles_with_each_failure_up_to_its_bound_and_is_at_least_half_of_that(attempt: int) -> None:
    full = min(FIRST * 2.0 ** min(attempt - 1, 40), MOST)
    for seed in "abcdef":
        wait = backoff.delay(attempt, SeededChance(seed), first=FIRST, most=MOST)
        assert full / 2 <= wait <= full


def test_two_hosts_do_not_wait_alike() -> None:
    waits = {backoff.delay(5, SeededChance(str(host)), first=FIRST, most=MOST) for host in range(100)}
    assert len(waits) > 90


@pytest.mark.parametrize("chance", [SystemChance(), SeededChance()], ids=["system", "seeded"])
def test_chance_gives_bytes_numbers_and_identifiers(chance: Chance) -> None:
    assert len(chance.token(32)) == 32
    assert chance.token(32) != chance.token(32)
    assert 2.0 <= chance.uniform(2.0, 3.0) <= 3.0
    assert chance.uuid()[14] == "4"
    assert chance.uuid() != chance.uuid()


def test_the_same_seed_gives_the_same_chances() -> None:
    one, two = SeededChance("x"), SeededChance("x")
    assert [one.token(8), one.uniform(0, 1), one.uuid()] == [two.token(8), two.uniform(0, 1), two.uuid()]


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock()], ids=["system", "fake"])
def test_a_clock_tells_aware_times_and_pauses_until_woken(clock: Clock) -> None:
    assert clock.now().tzinfo == UTC
    wake = threading.Event()
    before = clock.monotonic()
    assert clock.pause(0.001, wake) is False
    assert clock.pause(-1.0, wake) is False
    assert clock.monotonic() >= before
    wake.set()
    assert clock.pause(3_600.0, wake) is True


def test_a_fake_clock_moves_only_when_told() -> None:
    clock = FakeClock(datetime(2026, 11, 20, 12, tzinfo=UTC))
    assert clock.advance(timedelta(days=1)) == clock.now() == datetime(2026, 11, 21, 12, tzinfo=UTC)
    clock.pause(60, threading.Event())
    assert clock.now() == datetime(2026, 11, 21, 12, 1, tzinfo=UTC)
    assert clock.pauses == [60]


def test_a_wrong_wall_clock_leaves_the_monotonic_one_alone() -> None:
    clock = FakeClock()
    before = clock.monotonic()
    clock.set(datetime(2016, 1, 1, tzinfo=UTC))
    assert clock.now().year == 2016
    assert clock.monotonic() == before
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
