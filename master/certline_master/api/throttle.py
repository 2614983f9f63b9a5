"""At most one of a thing per span of time and key, in a table that cannot grow without bound."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from certline_shared.clock import Clock


class Throttle:
    """Thread-safe. Beyond `most` keys the one that was let through longest ago is forgotten."""

    def __init__(self, clock: Clock, *, seconds: float, most: int = 4096) -> None:
        self._clock, self._seconds, self._most = clock, seconds, most
        self._passed: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = threading.Lock()

    def allows(self, key: Hashable) -> bool:
        """Whether the last one of this key that was let through is `seconds` ago; if so, this one is."""
        now = self._clock.monotonic()
        with self._lock:
            last = self._passed.get(key)
            if last is not None and now - last < self._seconds:
                return False
            self._passed[key] = now
            self._passed.move_to_end(key)
            while len(self._passed) > self._most:
                self._passed.popitem(last=False)
            return True
