"""The pool of nonces: newest first, none too old."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from certline_master.ca.nonces import MOST_AGE, MOST_KEPT, NoncePool
from tests.fakes.clock import FakeClock


def test_the_newest_nonce_is_taken_first_and_each_once() -> None:
    pool = NoncePool(FakeClock())
    for nonce in ("one", "two", "three"):
        pool.put(nonce)
    assert [pool.take() for _ in range(4)] == ["three", "two", "one", None]


def test_a_nonce_is_not_used_after_five_minutes() -> None:
    """Case 16."""
    clock = FakeClock()
    pool = NoncePool(clock)
    pool.put("old")
    clock.advance(MOST_AGE - timedelta(seconds=1))
    pool.put("new")
    clock.advance(timedelta(seconds=2))
    assert [pool.take(), pool.take()] == ["new", None]


def test_a_wall_clock_that_jumps_does_not_age_nonces() -> None:
    clock = FakeClock()
    pool = NoncePool(clock)
    pool.put("kept")
    clock.set(clock.now() + timedelta(days=45))
    assert pool.take() == "kept"


@pytest.mark.parametrize("text", [None, "", "no nonce", "a=", "a+b", "é", "a\n", "x" * 513])
def test_what_is_no_nonce_is_ignored(text: str | None) -> None:
    """RFC 8555 section 6.5.1: a client must not use it."""
    pool = NoncePool(FakeClock())
    pool.put(text)
    assert pool.take() is None


def test_the_oldest_go_when_there_are_too_many() -> None:
    pool = NoncePool(FakeClock())
    for number in range(MOST_KEPT + 10):
        pool.put(str(number))
    taken = [pool.take() for _ in range(MOST_KEPT + 1)]
    assert taken[0] == str(MOST_KEPT + 9)
    assert taken[-2:] == ["10", None]


def test_no_two_threads_get_the_same_nonce() -> None:
    pool = NoncePool(FakeClock())
    for number in range(200):
        pool.put(str(number))
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda _: pool.take(), range(200)))
    assert set(taken) == {str(number) for number in range(200)}
