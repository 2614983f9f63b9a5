"""Maintenance windows such as `Sat 02:00-05:00 Europe/Berlin`: read, and asked when they are open.

A window is a stretch of wall-clock time. Where a clock is put forward over its beginning it opens at the first moment
there is; where the clock is put back into it, it opens again.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EXAMPLE = "Sat 02:00-05:00 Europe/Berlin"

_FORM = re.compile(r"(?:(?P<days>[A-Za-z,\- ]*[A-Za-z]) +)?(?P<start>\S+?) ?- ?(?P<end>\S+)(?: +(?P<zone>\S+))?")
_TIME = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")
_DAY = timedelta(days=1)
_STEP = timedelta(hours=6)  # no zone changes its offset twice within it
_HORIZON = timedelta(days=15)  # a weekly window may fall into the gap of one week
_COMMON = timedelta(days=60)


class BadWindow(ValueError):
    """A text that is no window; says what is wrong and what to write."""


@dataclass(frozen=True, slots=True)
class Window:
    """Open from `start` to `end` (after midnight if it is not later) on the given days, by the zone's clock."""

    text: str
    days: tuple[int, ...]  # of the beginning; Monday is 0
    start: timedelta  # since midnight
    length: timedelta
    zone: ZoneInfo = field(repr=False)

    def __repr__(self) -> str:
        """For the tags of settings: ZoneInfo's own tells where it was read from."""
        return f"Window({self.text!r})"


def read(text: str) -> Window:
    """Raises BadWindow."""
    form = _FORM.fullmatch(text.strip())
    if form is None:
        raise BadWindow(f'{text!r} is no window: write DAYS HH:MM-HH:MM ZONE, as "{EXAMPLE}"')
    start, end = _time(text, form["start"]), _time(text, form["end"])
    if start == end:
        raise BadWindow(f"{text!r} begins and ends at the same time: write 00:00-24:00 for a whole day")
    if start == _DAY:
        raise BadWindow(f"{text!r} begins at 24:00: write 00:00 and the day after")
    return Window(" ".join(text.split()), _days(text, form["days"]), start, (end - start) % _DAY or _DAY, _zone(form))


def _time(text: str, part: str) -> timedelta:
    found = _TIME.fullmatch(part)
    if found is None or (found[1] == "24" and found[2] != "00"):
        raise BadWindow(f"{text!r}: {part!r} is no time of day: write HH:MM, 00:00 to 24:00")
    return timedelta(hours=int(found[1]), minutes=int(found[2]))


def _days(text: str, listed: str | None) -> tuple[int, ...]:
    if listed is None:
        return tuple(range(7))
    return tuple(sorted({day for part in listed.split(",") for day in _range(text, part.strip())}))


def _range(text: str, part: str) -> Iterator[int]:
    first, dash, last = (piece.strip() for piece in part.partition("-"))
    begin, end = _day(text, first), _day(text, last) if dash else _day(text, first)
    for offset in range((end - begin) % 7 + 1):
        yield (begin + offset) % 7


def _day(text: str, name: str) -> int:
    if name.capitalize() not in DAYS:
        raise BadWindow(f"{text!r}: {name!r} is no day: write {', '.join(DAYS)}, a list Sat,Sun or a range Mon-Fri")
    return DAYS.index(name.capitalize())


def _zone(form: "re.Match[str]") -> ZoneInfo:
    name = form["zone"]
    if name is None:
        raise BadWindow(f"{form.string!r} has no time zone: add one, such as Europe/Berlin or UTC")
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):  # ZoneInfoNotFoundError is a KeyError
        raise BadWindow(
            f"{form.string!r}: no time zone {name!r} is known on this machine: write one such as Europe/Berlin, or "
            "install its package tzdata"
        ) from None


def is_open(windows: Sequence[Window], now: datetime) -> bool:
    """Whether one of them is open at that moment."""
    return any(_opening(window, now, now + timedelta(minutes=1)) == now for window in windows)


def next_open(windows: Sequence[Window], now: datetime) -> datetime:
    """The first moment from `now` on at which one of them is open, aware UTC; there must be one window at least."""
    return min(_next(window, now) for window in windows)


def next_common(groups: Sequence[Sequence[Window]], now: datetime) -> datetime | None:
    """The first moment from `now` on at which each group has an open one; None when there is none for two months."""
    moment = now
    while moment < now + _COMMON:
        later = max((next_open(group, moment) for group in groups), default=moment)
        if later == moment:
            return moment
        moment = later
    return None


def _next(window: Window, now: datetime) -> datetime:
    end = now + _HORIZON
    found = _opening(window, now, end)
    return end if found is None else found  # unreachable for the zones there are: looked at again then


def _opening(window: Window, begin: datetime, end: datetime) -> datetime | None:
    """The first open moment in [begin, end)."""
    for piece_begin, piece_end, offset in _pieces(window.zone, begin, end):
        found = _in_piece(window, piece_begin, piece_end, offset)
        if found is not None:
            return found
    return None


def _pieces(zone: ZoneInfo, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """The stretches of one offset between the zone's clock and UTC."""
    here, offset = begin, _offset(zone, begin)
    piece = begin
    while here < end:
        there = min(here + _STEP, end)
        if _offset(zone, there) != offset:
            there = _change(zone, here, there)
            yield piece, there, offset
            piece, offset = there, _offset(zone, there)
        here = there
    yield piece, end, offset


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second at which the offset changes between the two."""
    old = _offset(zone, before)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        before, after = (middle, after) if _offset(zone, middle) == old else (before, middle)
    return after.replace(microsecond=0)


def _offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _in_piece(window: Window, begin: datetime, end: datetime, offset: timedelta) -> datetime | None:
    wall = (begin + offset).replace(hour=0, minute=0, second=0, microsecond=0)
    day = wall - _DAY  # one that began yesterday may reach into today
    while day - offset < end:
        opens = day + window.start - offset
        first = max(begin, opens)
        if day.weekday() in window.days and first < min(end, opens + window.length):
            return first
        day += _DAY
    return None
