"""The survival budget: what ends first if the master, the CA or the DNS stops now, and when that is an alarm."""

from datetime import timedelta

import pytest

from certline_master.domain.deployment import InUse
from certline_master.domain.survival import Budget, Held, LiveUntil, budget, budgets, in_words
from tests.unit.master.deployments import DAY, HOUR, MINUTE, NOW, host


def held(left: float, *, days: float = 90, line: str = "shop", follower: str | None = "web-1") -> Held:
    ends = NOW + left * DAY
    return Held(line, follower, ends - days * DAY, ends)


def installed(line: str, name: str, left: float) -> InUse:
    ends = NOW + left * DAY
    return InUse(host(name), f"l-{line}", line, 3, ends - 90 * DAY, ends)


def live(line: str, left: float, *names: str) -> LiveUntil:
    ends = NOW + left * DAY
    return LiveUntil(line, names or (f"{line}.example.com",), ends - 90 * DAY, ends)


def test_the_first_certificate_to_end_says_how_long_all_lasts_and_where_it_breaks() -> None:
    found = budget("master", [held(60), held(21, line="mail", follower="web-3"), held(40)], NOW)
    assert found == Budget("master", NOW + 21 * DAY, 21 * 86_400, "mail", "web-3", low=False)
    assert in_words(found) == "21 days (web-3, line mail)"
    assert budget("ca", [], NOW) is None


def test_the_master_counts_what_is_installed_the_ca_what_is_live_the_dns_what_it_proves() -> None:
    """shop is renewed but web-1 has not installed that; blog is proven by http-01."""
    found = budgets(
        [installed("shop", "web-1", 10), installed("blog", "web-2", 30)],
        [live("shop", 80), live("blog", 20), live("star", 50, "*.example.com")],
        {"blog.example.com", "*.example.com-is-none"},
        NOW,
    )
    assert [(one.what, one.line, one.follower, one.seconds // 86_400) for one in found] == [
        ("master", "shop", "web-1", 10),
        ("ca", "blog", None, 20),
        ("dns", "star", None, 50),
    ]


def test_a_line_with_one_name_that_dns_proves_depends_on_it() -> None:
    found = budgets([], [live("shop", 9, "a.example.com", "b.example.com")], {"a.example.com"}, NOW)
    assert [one.what for one in found] == ["ca", "dns"]


@pytest.mark.parametrize(
    ("left", "days", "limit", "low"),
    [
        (3.01, 90, None, False),
        (2.99, 90, None, True),
        (2.9, 6, None, False),  # a certificate of six days is renewed with three left: a tenth of its life counts
        (0.61, 6, None, False),
        (0.59, 6, None, True),
        (19, 90, 20, True),
        (21, 90, 20, False),
        (2.9, 6, 1, False),
        (-1, 90, None, True),
    ],
)
def test_time_is_short_below_three_days_or_a_tenth_of_the_lifetime_or_as_set(
    left: float, days: float, limit: float | None, low: bool
) -> None:
    found = budget("ca", [held(left, days=days)], NOW, None if limit is None else limit * DAY)
    assert found is not None
    assert found.low is low


def test_time_may_be_short_for_another_than_the_first() -> None:
    found = budget("ca", [held(2, days=6, line="quick"), held(2.5, line="slow")], NOW)
    assert found is not None
    assert (found.line, found.low) == ("quick", True)


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (90 * DAY, "90 days"),
        (2 * DAY, "2 days"),
        (47 * HOUR, "47 hours"),
        (2 * HOUR, "2 hours"),
        (119 * MINUTE, "119 minutes"),
        (MINUTE, "less than 2 minutes"),
        (timedelta(seconds=-1), "over already"),
    ],
)
def test_a_budget_in_words(left: timedelta, told: str) -> None:
    found = budget("ca", [Held("shop", None, NOW - DAY, NOW + left)], NOW)
    assert found is not None
    assert in_words(found) == f"{told} (line shop)"
