"""A master that can die, or stand still, wherever it touches the store, the CA or a solver, or passes a failpoint."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

from certline_master.domain.model import Challenge, Zone
from certline_master.domain.ports import Records, Store
from tests.fakes.ca import FakeCa
from tests.fakes.clock import FakeClock
from tests.fakes.solver import FakeSolver

T = TypeVar("T")


class Killed(BaseException):
    """SIGKILL: nothing of ours may catch it."""


class Switch:
    """Does `act` at the n-th place that is passed from now on; nothing while it is not armed."""

    def __init__(self) -> None:
        self._left = 0
        self._act: Callable[[str], None] = lambda _: None

    def arm(self, nth: int, act: Callable[[str], None]) -> None:
        self._left, self._act = nth, act

    def disarm(self) -> bool:
        """Tells whether the place was not reached."""
        was_armed, self._left = self._left > 0, 0
        return was_armed

    def passed(self, place: str) -> None:
        if self._left > 0:
            self._left -= 1
            if self._left == 0:
                self._act(place)


def kill(place: str) -> None:
    raise Killed(place)


class WatchedStore:
    """A store with a place before and after each write is committed."""

    def __init__(self, store: Store, switch: Switch) -> None:
        self._store, self._switch = store, switch

    def read(self) -> AbstractContextManager[Records]:
        return self._store.read()

    def write(self, work: Callable[[Records], T]) -> T:
        self._switch.passed("before a write")
        written = self._store.write(work)
        self._switch.passed("after a write")
        return written

    def close(self) -> None:
        self._store.close()


class WatchedCa(FakeCa):
    """A CA with a place before and after each request is done."""

    def __init__(self, clock: FakeClock, switch: Switch) -> None:
        super().__init__(clock)
        self._switch = switch

    def asked(self, kind: str, work: Callable[[], T]) -> T:
        self._switch.passed(f"before {kind}")
        answer = super().asked(kind, work)
        self._switch.passed(f"after {kind}")
        return answer


class WatchedSolver(FakeSolver):
    """A solver with a place before and after each change."""

    def __init__(self, switch: Switch) -> None:
        super().__init__()
        self._switch = switch

    def present(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        self._switch.passed("before present")
        super().present(zone, secret, challenges)
        self._switch.passed("after present")

    def clean_up(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        self._switch.passed("before clean_up")
        super().clean_up(zone, secret, challenges)
        self._switch.passed("after clean_up")
