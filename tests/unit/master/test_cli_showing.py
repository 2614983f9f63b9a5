"""What the commands show: bars, columns, plans and durations."""

from datetime import UTC, datetime, timedelta
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.cli.asking import columns, shown_time
from certline_master.cli.failures import one_line
from certline_master.cli.fleet_showing import MOST_SHOWN, plan_lines, summary
from certline_master.cli.followers import Duration
from certline_master.cli.status import status_lines
from certline_master.cli.timeline import bar

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_bar_is_full_until_the_expiry_and_marks_the_renewal() -> None:
    assert bar(NOW, NOW + 60 * DAY, NOW + 90 * DAY, 90 * DAY, 9) == "━━━━━━◆━━"


def test_all_bars_have_one_scale() -> None:
    assert bar(NOW, NOW + 10 * DAY, NOW + 30 * DAY, 90 * DAY, 9) == "━◆━······"


def test_a_renewal_that_is_due_stands_at_the_start() -> None:
    assert bar(NOW, NOW - DAY, NOW + 90 * DAY, 90 * DAY, 4) == "◆━━━"


@pytest.mark.parametrize("expires", [None, NOW - DAY])
def test_without_a_certificate_in_force_the_bar_is_empty(expires: datetime | None) -> None:
    assert bar(NOW, None, expires, 90 * DAY, 4) == "····"


@given(renews=st.integers(-500, 500), expires=st.integers(-500, 500), horizon=st.integers(-5, 500))
def test_a_bar_always_has_its_width(renews: int, expires: int, horizon: int) -> None:
    assert len(bar(NOW, NOW + renews * DAY, NOW + expires * DAY, horizon * DAY, 30)) == 30


def test_columns_are_aligned_and_an_outside_text_cannot_steer_the_terminal() -> None:
    assert columns([("LINE", "STANDING"), ("shop", "a\x1b[2Jb\nc")]) == ["LINE  STANDING", "shop  a\\x1b[2Jb\\nc"]
    assert one_line("bücher\r\x07") == "bücher\\r\\x07"


def test_a_time_is_shown_to_the_minute_in_utc() -> None:
    assert shown_time("2026-12-03T04:12:59+01:00") == "2026-12-03 03:12 UTC"
    assert shown_time(None) == "never"


def test_a_long_value_of_a_plan_is_cut_and_certificates_are_counted() -> None:
    fields = [
        {"field": "names", "before": None, "after": ["x" * 500]},
        {"field": "ca_certificates", "before": None, "after": "-----BEGIN CERTIFICATE-----\n" * 2},
    ]
    change = {"kind": "line", "action": "create", "name": "shop", "fields": fields}
    plan = {"changes": [change], "orders": [], "terms": [], "guard": None}

    head, names, certificates, end = plan_lines(plan)

    assert (head, end) == ("+ line shop", "plan: 1 created")
    assert len(names) < MOST_SHOWN + 20
    assert certificates == "    ca_certificates: 2 certificate(s)"


def test_a_plan_shows_the_members_of_settings_in_one_order() -> None:
    before, after = {"port": 53, "server": "a"}, {"server": "b", "port": 53}
    fields = [{"field": "settings", "before": before, "after": after}]
    change = {"kind": "zone", "action": "update", "name": "example.com", "fields": fields}
    plan = {"changes": [change], "orders": [], "terms": [], "guard": None}

    assert list(plan_lines(plan))[1] == ("""    settings: {"port": 53, "server": "a"} -> {"port": 53, "server": "b"}""")


def test_status_counts_in_words_and_marks_what_is_wrong() -> None:
    counts = {"lines": 1, "lines_live": 1, "failing": 0, "not_deployed": 1, "orders_live": 1, "followers": 2}
    found: dict[str, Any] = {"version": "0.1.0", "ready": None, "counts": counts, "followers": [], "survival": []}
    held = "version 3 is live; version 3 is held back on web-1 since 2026-11-20 11:00 UTC: its reload failed"
    line: dict[str, Any] = {
        "name": "shop",
        "follower": "web-1",
        "not_after": None,
        "failing": False,
        "not_deployed": [],
        "paused": None,
    }
    well, bad = line | {"standing": "version 3 is live"}, line | {"standing": held, "not_deployed": [{"version": 3}]}

    assert list(status_lines(found, [well, bad], quiet=False)) == [
        "certline 0.1.0: ready",
        "1 line, 1 with a certificate, 0 failing, 1 not deployed; 1 order under way; 2 followers",
        "line          shop  web-1  no certificate  version 3 is live",
        f"NOT DEPLOYED  shop  web-1  no certificate  {held}",
    ]
    assert list(status_lines(found, [well, bad], quiet=True))[2:] == [
        f"NOT DEPLOYED  shop  web-1  no certificate  {held}"
    ]


def test_a_summary_counts_each_kind_of_change_and_the_orders() -> None:
    changes = [{"action": action} for action in ("delete", "create", "create", "update")]

    assert summary({"changes": changes, "orders": [{}, {}]}) == "2 created, 1 changed, 1 deleted; 2 orders"


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43_200), ("2d", 172_800)])
def test_a_duration_is_a_number_and_its_unit(text: str, seconds: int) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["30", "m", "1w", "1.5h", "-1h", "1 h", "٣m"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        Duration().convert(text, None, None)
