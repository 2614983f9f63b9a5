"""How often is too often."""

from certline_master.api.throttle import Throttle
from tests.fakes.clock import FakeClock


def test_one_is_let_through_per_span_and_key() -> None:
    clock = FakeClock()
    throttle = Throttle(clock, seconds=1)
    assert [throttle.allows("a"), throttle.allows("a"), throttle.allows("b")] == [True, False, True]
    clock.advance(0.5)
    assert not throttle.allows("a")
    clock.advance(0.5)
    assert throttle.allows("a")


def test_the_table_does_not_grow_beyond_its_bound() -> None:
    throttle = Throttle(FakeClock(), seconds=60, most=3)
    assert all(throttle.allows(key) for key in "abcd")
    assert [throttle.allows(key) for key in "dcb"] == [False, False, False]
    assert throttle.allows("a")  # forgotten, the price of the bound
