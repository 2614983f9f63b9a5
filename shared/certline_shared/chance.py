"""The one door to chance: the Chance port and the system's source."""

import secrets
import uuid
from typing import Protocol


class Chance(Protocol):
    """Where randomness comes from."""

    def token(self, length: int) -> bytes:
        """`length` unguessable bytes."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        ...

    def uuid(self) -> str:
        """A fresh identifier, RFC 9562 version 4, in lower-case text form."""
        ...


class SystemChance:
    """The operating system's randomness."""

    def __init__(self) -> None:
        self._random = secrets.SystemRandom()

    def token(self, length: int) -> bytes:
        return secrets.token_bytes(length)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def uuid(self) -> str:
        return str(uuid.uuid4())
