"""Waiting for what other processes bring about: looked at often, given up at a deadline."""

import threading
from collections.abc import Callable
from typing import TypeVar

from certline_shared.clock import SystemClock

T = TypeVar("T")

_LOOK_AGAIN = 0.02  # seconds
_CLOCK = SystemClock()
_NEVER = threading.Event()


def eventually(condition: Callable[[], T], within: float, what: str, *, every: float = _LOOK_AGAIN) -> T:
    """What `condition` gives as soon as that is true; AssertionError naming `what` after `within` seconds.

    Looks `every` so many seconds: what takes long at a master is asked for seldom, for it limits its callers.
    """
    give_up_at = _CLOCK.monotonic() + within
    while not (found := condition()):
        if _CLOCK.monotonic() > give_up_at:
            raise AssertionError(f"not within {within:g} s: {what}")
        _CLOCK.pause(every, _NEVER)
    return found


def seconds() -> float:
    """A clock for measuring, in seconds."""
    return _CLOCK.monotonic()
