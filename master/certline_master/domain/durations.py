"""Lengths of time as people write them: `90s`, `30m`, `12h`, `2d`. Pure."""

import re
from datetime import timedelta

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str) -> int:
    """Raises ValueError that says how to write one."""
    found = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration: write for example 30m, 12h or 2d")
    return int(found[1]) * _SECONDS[found[2]]


def length_of(text: str) -> timedelta:
    """The same with a fraction, as in 42.42d. Raises ValueError that says how to write one."""
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smhd])", text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration: write for example 30d, 42.42d or 36h")
    return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])


def shown(seconds: int) -> str:
    """In the largest unit that says it exactly."""
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"
