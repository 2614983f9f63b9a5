"""A CA's unused nonces (RFC 8555 section 6.5): newest first, none older than a few minutes."""

import re
import threading
from datetime import timedelta
from typing import TypeGuard

from certline_shared.clock import Clock

MOST_AGE = timedelta(minutes=5)
MOST_KEPT = 256

_NONCE = re.compile(r"[A-Za-z0-9_-]{1,512}")


class NoncePool:
    """Nonces as the CA sent them, base64url text. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: list[tuple[float, str]] = []
        self._lock = threading.Lock()

    def take(self) -> str | None:
        """The newest nonce, or None; the others are older still, so an over-aged one empties the pool."""
        oldest = self._clock.monotonic() - MOST_AGE.total_seconds()
        with self._lock:
            if not self._kept:
                return None
            came, nonce = self._kept.pop()
            if came >= oldest:
                return nonce
            self._kept.clear()
            return None

    def put(self, nonce: str | None) -> None:
        """Keep a nonce that came with an answer; what is none is ignored."""
        if not is_nonce(nonce):
            return
        with self._lock:
            self._kept.append((self._clock.monotonic(), nonce))
            del self._kept[:-MOST_KEPT]


def is_nonce(text: str | None) -> TypeGuard[str]:
    """Whether it has the form of one (RFC 8555 section 6.5.1)."""
    return text is not None and _NONCE.fullmatch(text) is not None
