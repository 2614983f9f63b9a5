"""The one door to time: the Clock port and the system's clock."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where time comes from. Times are aware UTC."""

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an unspecified moment; never goes back."""
        ...

    def pause(self, seconds: float, wake: threading.Event) -> bool:
        """Wait at most `seconds`, or until `wake` is set; tell whether it was set."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float, wake: threading.Event) -> bool:
        return wake.wait(max(0.0, seconds))
