"""Maintenance windows: how they are written, and when they are open, by a wall clock that jumps twice a year."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from certline_shared.windows import DAYS, BadWindow, Window, is_open, next_common, next_open, read

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def berlin(text: str, fold: int = 0) -> datetime:
    """The moment when Berlin's clocks show that."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).astimezone(UTC)


def test_a_window_is_open_from_its_first_moment_to_before_its_last() -> None:
    window = read("Sat 02:00-05:00 Europe/Berlin")
    assert not is_open([window], berlin("2026-11-21T01:59:59"))
    assert is_open([window], berlin("2026-11-21T02:00"))
    assert is_open([window], berlin("2026-11-21T04:59:59"))
    assert not is_open([window], berlin("2026-11-21T05:00"))
    assert not is_open([window], berlin("2026-11-22T03:00"))


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    window = read("Fri 22:00-04:00 UTC")
    assert is_open([window], at("2026-11-21T03:59"))
    assert not is_open([window], at("2026-11-20T03:59"))


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Mon-Fri 22:00-23:00 UTC", (0, 1, 2, 3, 4)),
        ("Sat,Sun 22:00-23:00 UTC", (5, 6)),
        ("Sat-Mon, wed 22:00-23:00 UTC", (0, 2, 5, 6)),
        ("22:00-23:00 UTC", (0, 1, 2, 3, 4, 5, 6)),
        ("mon 22:00 - 23:00 UTC", (0,)),
    ],
)
def test_days_are_lists_and_ranges_and_without_any_it_is_every_day(text: str, days: tuple[int, ...]) -> None:
    assert read(text).days == days


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", 'write DAYS HH:MM-HH:MM ZONE, as "Sat 02:00-05:00 Europe/Berlin"'),
        ("always", 'write DAYS HH:MM-HH:MM ZONE, as "Sat 02:00-05:00 Europe/Berlin"'),
        ("Sat 2-5 UTC", "'2' is no time of day: write HH:MM"),
        ("Sat 02:00-25:00 UTC", "'25:00' is no time of day"),
        ("Sat 02:00-24:30 UTC", "'24:30' is no time of day"),
        ("Sat 02:00-05:00", "has no time zone: add one, such as Europe/Berlin or UTC"),
        ("Sat 02:00-05:00 Europe/Nowhere", "no time zone 'Europe/Nowhere' is known"),
        ("Sat 02:00-05:00 ../../etc/passwd", "no time zone '../../etc/passwd' is known"),
        ("Sonnabend 02:00-05:00 UTC", "'Sonnabend' is no day: write Mon, Tue"),
        ("Mon-Fri- 02:00-05:00 UTC", "is no"),
        ("02:00-02:00 UTC", "write 00:00-24:00 for a whole day"),
        ("24:00-02:00 UTC", "begins at 24:00"),
    ],
)
def test_what_is_no_window_is_refused_with_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(BadWindow) as refused:
        read(text)
    assert advice in str(refused.value)


def test_where_the_clock_jumps_over_its_beginning_it_opens_with_the_jump() -> None:
    window = read("Sun 02:30-05:00 Europe/Berlin")
    assert next_open([window], berlin("2026-03-29T01:00")) == at("2026-03-29T01:00")  # 03:00 summer time
    assert next_open([read("Sun 02:00-02:30 Europe/Berlin")], berlin("2026-03-29T00:00")) == berlin("2026-04-05T02:00")


def test_where_the_clock_is_put_back_into_it_it_opens_again() -> None:
    window = read("Sun 02:00-02:30 Europe/Berlin")
    assert next_open([window], berlin("2026-10-25T02:30")) == berlin("2026-10-25T02:00", fold=1)
    assert next_open([window], berlin("2026-10-25T02:10", fold=1)) == berlin("2026-10-25T02:10", fold=1)


def test_an_open_window_is_next_open_now() -> None:
    now = at("2026-11-21T03:00")
    assert next_open([read("Sat 02:00-05:00 UTC")], now) == now


def test_of_several_windows_the_first_to_open_counts() -> None:
    windows = [read("Sun 02:00-05:00 UTC"), read("Sat 23:00-01:00 UTC")]
    assert next_open(windows, at("2026-11-20T12:00")) == at("2026-11-21T23:00")


def test_a_line_of_two_services_waits_for_windows_that_are_open_together() -> None:
    groups = [[read("Sat 02:00-05:00 UTC")], [read("04:00-06:00 UTC")]]
    assert next_common(groups, at("2026-11-20T12:00")) == at("2026-11-21T04:00")
    assert next_common([[read("Sat 02:00-03:00 UTC")], [read("Sun 02:00-03:00 UTC")]], at("2026-11-20T12:00")) is None


times = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
days = st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True).map(",".join)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
texts = st.tuples(days, times, times, zones).filter(lambda parts: parts[1] != parts[2])
changes = st.sampled_from(
    [at("2026-03-29T01:00"), at("2026-10-25T01:00"), at("2026-11-01T06:00"), at("2026-04-04T15:00")]
)
moments = st.tuples(changes, st.integers(-3 * 24 * 60, 2 * 24 * 60)).map(lambda near: near[0] + near[1] * MINUTE)


def by_the_wall(window: Window, moment: datetime) -> bool:
    """Whether a clock on the wall shows a time in the window: the definition, asked minute by minute."""
    wall = moment.astimezone(window.zone).replace(tzinfo=None)
    midnights = [datetime(wall.year, wall.month, wall.day) - timedelta(days=back) for back in (0, 1)]  # noqa: DTZ001 a wall's
    return any(
        day.weekday() in window.days and day + window.start <= wall < day + window.start + window.length
        for day in midnights
    )


@settings(max_examples=40, deadline=None)
@given(texts, moments)
def test_next_open_is_the_first_minute_at_which_the_wall_clock_is_in_the_window(
    parts: tuple[str, str, str, str], now: datetime
) -> None:
    window = read("{} {}-{} {}".format(*parts))
    assert is_open([window], now) == by_the_wall(window, now)
    scanned = next((now + n * MINUTE for n in range(2 * 24 * 60) if by_the_wall(window, now + n * MINUTE)), None)
    found = next_open([window], now)
    assert found >= now
    if scanned is not None:
        assert found == scanned
    else:
        assert found >= now + timedelta(days=2)
        assert by_the_wall(window, found)
        assert not by_the_wall(window, found - MINUTE)


@given(st.text(max_size=40))
def test_any_text_is_a_window_or_is_refused(text: str) -> None:
    with suppress(BadWindow):
        assert read(text).days
