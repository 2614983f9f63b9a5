"""Token buckets: a burst, then a pace; in bounded memory, and nobody pays for another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.api.limits import Buckets, Limits, Rate, Rates, site_of
from certline_master.api.problems import Refused
from tests.fakes.clock import FakeClock

FIVE_THEN_ONE_A_SECOND = Rate(5, 60)


def taken(buckets: Buckets, key: str, times: int) -> list[float]:
    return [buckets.take(key) for _ in range(times)]


def test_a_burst_passes_and_then_one_for_each_span() -> None:
    clock = FakeClock()
    buckets = Buckets(clock, FIVE_THEN_ONE_A_SECOND)
    assert taken(buckets, "a", 5) == [0.0] * 5
    assert buckets.take("a") == pytest.approx(1.0)
    clock.advance(0.5)
    assert buckets.take("a") == pytest.approx(0.5)
    clock.advance(0.5)
    assert taken(buckets, "a", 2) == [0.0, pytest.approx(1.0)]


def test_what_is_refused_does_not_count() -> None:
    clock = FakeClock()
    buckets = Buckets(clock, FIVE_THEN_ONE_A_SECOND)
    taken(buckets, "a", 500)
    clock.advance(1)
    assert buckets.take("a") == 0.0


def test_one_key_does_not_pay_for_another() -> None:
    buckets = Buckets(FakeClock(), FIVE_THEN_ONE_A_SECOND)
    taken(buckets, "a", 50)
    assert taken(buckets, "b", 5) == [0.0] * 5


def test_a_bucket_is_full_again_after_its_time_and_never_more_than_full() -> None:
    clock = FakeClock()
    buckets = Buckets(clock, FIVE_THEN_ONE_A_SECOND)
    taken(buckets, "a", 6)
    clock.advance(3600)
    assert taken(buckets, "a", 6) == [0.0] * 5 + [pytest.approx(1.0)]


def test_no_pace_is_no_limit_and_keeps_nothing() -> None:
    buckets = Buckets(FakeClock(), Rate(1, 0))
    assert taken(buckets, "a", 1000) == [0.0] * 1000
    assert len(buckets) == 0


def test_the_table_is_bounded_and_forgets_who_asked_longest_ago() -> None:
    buckets = Buckets(FakeClock(), FIVE_THEN_ONE_A_SECOND, most=100)
    taken(buckets, "victim", 5)
    for number in range(99):
        buckets.take(f"other-{number}")
    for number in range(1000):
        assert buckets.take("victim") > 0, "who goes on asking is not forgotten"
        buckets.take(f"one more {number}")
    assert len(buckets) == 100


def test_forgetting_a_key_never_refuses_it() -> None:
    buckets = Buckets(FakeClock(), FIVE_THEN_ONE_A_SECOND, most=10)
    taken(buckets, "victim", 3)
    for number in range(1000):
        buckets.take(f"attacker-{number}")
    assert taken(buckets, "victim", 5) == [0.0] * 5


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 3)), max_size=60))
def test_in_any_span_no_key_gets_more_than_a_burst_and_the_pace(asked: list[tuple[str, float]]) -> None:
    clock, passed = FakeClock(), dict.fromkeys("abc", 0)
    buckets, began = Buckets(clock, FIVE_THEN_ONE_A_SECOND), clock.monotonic()
    for key, seconds in asked:
        clock.advance(seconds)
        passed[key] += buckets.take(key) == 0.0
    most = 5 + (clock.monotonic() - began) + 1e-6
    assert all(count <= most for count in passed.values())


@pytest.mark.parametrize(
    ("address", "site"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_one_hosts_many_addresses_are_one(address: str, site: str) -> None:
    assert site_of(address) == site


def test_what_could_not_be_refused_is_paid_for_later() -> None:
    clock = FakeClock()
    limits = Limits(clock, Rates(records=Rate(2, 60)))
    for _ in range(10):
        limits.noted("web-1")
    with pytest.raises(Refused):
        limits.change("web-1")
    limits.change("web-2")
    clock.advance(9)
    limits.change("web-1")


def test_refusals_of_strangers_are_put_on_record_a_few_at_a_time_however_many_addresses_they_have() -> None:
    limits = Limits(FakeClock(), Rates(strangers=Rate(3, 60)))
    assert [limits.may_note(f"address:192.0.2.{last}") for last in range(5)] == [True] * 3 + [False] * 2
    assert limits.may_note("follower:web-1")


def test_who_is_over_a_limit_is_told_when_to_come_again() -> None:
    limits = Limits(FakeClock(), Rates(failures=Rate(1, 6)))
    limits.failed("192.0.2.1")
    with pytest.raises(Refused) as refused:
        limits.failed("192.0.2.1")
    assert (refused.value.problem.status, refused.value.headers) == (429, {"Retry-After": "10"})
    limits.failed("192.0.2.2")
