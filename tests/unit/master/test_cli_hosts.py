"""What the commands show of hosts: the table of steps, clocks, and how long all would last."""

from typing import Any

import pytest

from certline_master.cli.hosts import host_table, skew_text
from certline_master.cli.status import is_wrong, survival_lines
from certline_master.domain.durations import seconds_of, shown

SERVED: dict[str, Any] = {
    "line": "shop", "follower": "web-1", "wanted": 3, "pulled": 3, "installed": 3, "reloaded": 3, "served": 3,
    "arrived": True, "late": False, "error": None, "seen": {"127.0.0.1:443": "6bf2a1b3c9e0d144" + "0" * 48},
    "text": "version 3 is served on web-1",
}  # fmt: skip
LATE = SERVED | {
    "follower": "web-10", "installed": 2, "reloaded": 2, "served": None, "arrived": False, "late": True, "seen": {},
    "text": "web-10 has not installed version 3 yet (last seen never)",
}  # fmt: skip
WAITS = SERVED | {"wanted": 2, "seen": {}, "text": "version 2 is served on web-1; version 3 waits for its wave"}


def test_each_host_is_a_row_with_what_is_to_be_said_of_it_below() -> None:
    assert list(host_table([SERVED, LATE], "follower")) == [
        "  FOLLOWER  WANTED  PULLED  INSTALLED  RELOADED  SERVED",
        "  web-1     3       3       3          3         3",
        "      127.0.0.1:443 serves 6bf2a1b3c9e0d144…",
        "  web-10    3       3       2          2         -",
        "      LATE: web-10 has not installed version 3 yet (last seen never)",
    ]
    assert list(host_table([WAITS], "line"))[1:] == [
        "  shop  2       3       3          3         3",
        "      version 2 is served on web-1; version 3 waits for its wave",
    ]
    assert list(host_table([], "line")) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, None),
        (60, None),
        (-60, None),
        (61, "its clock is 1 minute ahead of the master's"),
        (-7200, "its clock is 2 hours behind the master's"),
        (86_400 * 365, "its clock is 365 days ahead of the master's"),
    ],
)
def test_a_clock_is_told_of_when_it_is_more_than_a_minute_off(seconds: int | None, told: str | None) -> None:
    assert skew_text(seconds) == told


def test_the_survival_budget_is_one_line_for_each_that_may_stop() -> None:
    budget = {"until": "2026-12-11T12:00:00Z", "seconds": 1_814_400, "line": "shop", "follower": "web-3", "low": False}
    low = budget | {"what": "ca", "seconds": 86_400, "follower": None, "low": True}
    assert list(survival_lines([budget | {"what": "master"}, low])) == [
        "if the master stops: 21 days (web-3, line shop)",
        "if the CA stops: 24 hours (line shop) SHORT",
    ]


@pytest.mark.parametrize(
    ("found", "line", "wrong"),
    [
        ({}, {}, False),
        ({"ready": "the store is sealed"}, {}, True),
        ({"survival": [{"low": True}]}, {}, True),
        ({}, {"failing": True}, True),
        ({}, {"not_deployed": [{}]}, True),
        ({}, {"paused": "nobody pulls it"}, True),
    ],
)
def test_status_knows_whether_somebody_should_look(found: dict[str, Any], line: dict[str, Any], wrong: bool) -> None:
    well: dict[str, Any] = {"failing": False, "not_deployed": [], "paused": None}
    assert is_wrong({"ready": None, "survival": []} | found, [well, well | line]) is wrong


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43_200), ("2d", 172_800), ("0s", 0)])
def test_a_length_of_time_is_shown_as_it_was_written(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds
    assert seconds_of(shown(seconds)) == seconds


@pytest.mark.parametrize("text", ["30", "m", "1w", "1.5h", "-1h", "1 h", "٣m", ""])
def test_anything_else_is_refused_with_how_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match="write for example 30m"):
        seconds_of(text)
