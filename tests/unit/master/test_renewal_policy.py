"""When a certificate is renewed, by what its line says: so long before its end, or at an age, and the CA's window."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.domain.model import LineOptions, Renewal
from certline_master.domain.ports import RenewalWindow
from certline_master.domain.renewal import by_policy, within, without_window

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def renewed(options: LineOptions, lifetime: timedelta, window_day: float | None = None) -> Renewal:
    """By the lifetime alone, or with a window of the CA at that day."""
    end = BEGIN + lifetime
    chosen = without_window(BEGIN, end, next_check=None)
    if window_day is not None:
        start = BEGIN + window_day * DAY
        chosen = within(RenewalWindow(start, start + DAY, None, start), 0.0, BEGIN)
    return by_policy(chosen, options, BEGIN, end)


def age(options: LineOptions, days: float, window_day: float | None = None) -> float:
    return (renewed(options, days * DAY, window_day).at - BEGIN) / DAY


def test_without_a_policy_the_cas_window_counts_else_the_fraction() -> None:
    assert age(LineOptions(), 90) == 60
    assert age(LineOptions(), 6) == 3
    assert age(LineOptions(), 90, window_day=70) == 70


@pytest.mark.parametrize(
    ("before", "days", "expected"),
    [("30d", 90, 60), ("42.42d", 90, 47.58), ("33%", 100, 67), ("10d", 90, 80), ("60d", 90, 45), ("30d", 45, 22.5)],
    ids=[
        "2.1-21: 30 days",
        "2.0-8: a fraction",
        "a share",
        "later than usual",
        "cut to half",
        "cut when it lives less",
    ],
)
def test_before_is_so_long_before_the_end_and_at_most_half_the_lifetime(
    before: str, days: float, expected: float
) -> None:
    """2.0 line 8; 2.1 line 21: with 29 days left it is due, with 31 it is not."""
    assert age(LineOptions(renew_before=before), days) == pytest.approx(expected)


def test_an_earlier_window_of_the_ca_counts_and_a_later_one_does_not() -> None:
    options = LineOptions(renew_before="30d")

    assert age(options, 90, window_day=50) == 50
    assert age(options, 90, window_day=70) == 60
    assert "window" in renewed(options, 90 * DAY, 50).reason
    assert renewed(options, 90 * DAY, 70).reason == "30d of its lifetime are left then"


@pytest.mark.parametrize("days", [90, 45, 10])
def test_after_is_that_age_whatever_the_lifetime(days: float) -> None:
    """2.0 line 10."""
    assert age(LineOptions(renew_after="7d"), days) == 7


def test_after_counts_before_before() -> None:
    """2.0 line 9: due at eight days, not at six."""
    assert age(LineOptions(renew_after="7d", renew_before="60d"), 90) == 7


def test_an_age_that_is_not_reached_leaves_a_tenth_of_the_lifetime() -> None:
    """2.0 line 10, for six days."""
    assert age(LineOptions(renew_after="7d"), 6) == pytest.approx(5.4)


def test_an_earlier_window_of_the_ca_counts_before_the_age_too() -> None:
    assert age(LineOptions(renew_after="80d"), 90, window_day=60) == 60


POLICIES = st.builds(
    LineOptions,
    renew_before=st.none() | st.integers(1, 400).map("{}d".format) | st.integers(1, 99).map("{}%".format),
    renew_after=st.none() | st.integers(1, 400).map("{}d".format),
)


@given(POLICIES, st.floats(1, 400), st.none() | st.floats(0.1, 0.9))
def test_every_policy_renews_before_the_end(options: LineOptions, days: float, window: float | None) -> None:
    at = age(options, days, None if window is None else window * days)

    assert 0 < at < days
