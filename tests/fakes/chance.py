"""Chance that a test can repeat."""

import hashlib
import threading
import uuid


class SeededChance:
    """The Chance port from a seed: the same seed gives the same values in the same order."""

    def __init__(self, seed: str = "certline") -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self._count = 0

    def token(self, length: int) -> bytes:
        with self._lock:
            self._count += 1
            return hashlib.shake_256(f"{self._seed}/{self._count}".encode()).digest(length)

    def uniform(self, low: float, high: float) -> float:
        share = int.from_bytes(self.token(6), "big") / (1 << 48)
        return low + (high - low) * share

    def uuid(self) -> str:
        return str(uuid.UUID(bytes=self.token(16), version=4))
