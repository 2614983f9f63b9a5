"""A clock that stands still until a test moves it."""

import threading
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


class FakeClock:
    """The Clock port on set time: `now` and `monotonic` move by `advance` and by `pause` alone.

    `set` moves the wall clock only, as an operator or a dead battery does. `pauses` lists what was waited for.
    """

    def __init__(self, now: datetime = START) -> None:
        self._lock = threading.Lock()
        self._now = now
        self._monotonic = 1_000.0
        self.pauses: list[float] = []

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        with self._lock:
            return self._monotonic

    def set(self, now: datetime) -> None:
        with self._lock:
            self._now = now

    def advance(self, by: timedelta | float) -> datetime:
        """Move both readings by a duration, or by seconds; the new time."""
        seconds = by.total_seconds() if isinstance(by, timedelta) else by
        if seconds < 0:
            raise ValueError("time does not go back: use set for a wrong wall clock")
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds
            return self._now

    def pause(self, seconds: float, wake: threading.Event) -> bool:
        """Pass the time at once, unless `wake` is set already."""
        if wake.is_set():
            return True
        self.pauses.append(seconds)
        self.advance(max(0.0, seconds))
        return wake.is_set()
