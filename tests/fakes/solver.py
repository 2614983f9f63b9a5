"""A solver that remembers what is present, can stay invisible for some looks, and can be told to fail."""

import threading
from collections.abc import Sequence

from certline_master.domain.errors import SolverError
from certline_master.domain.model import Challenge, Zone
from certline_master.domain.ports import Visibility


class FakeSolver:
    """The Solver port on a set of (record, value).

    `invisible_looks`: how many looks still find nothing. `fail_next`: method name → errors to raise, one a call.
    `calls` lists (method, zone name, records) in order; `faults` is what `check` answers. Thread-safe.
    """

    def __init__(self, *, invisible_looks: int = 0) -> None:
        self.invisible_looks = invisible_looks
        self.fail_next: dict[str, list[SolverError]] = {}
        self.faults: tuple[str, ...] = ()
        self.standing: set[tuple[str, str]] = set()
        self.calls: list[tuple[str, str | None, tuple[str, ...]]] = []
        self.secrets: list[bytes | None] = []
        self._lock = threading.Lock()

    def present(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        with self._lock:
            self._called("present", zone, challenges)
            self.secrets.append(secret)
            self.standing |= _pairs(challenges)

    def is_visible(self, zone: Zone | None, challenges: Sequence[Challenge]) -> Visibility:
        with self._lock:
            self._called("is_visible", zone, challenges)
            if self.invisible_looks > 0:
                self.invisible_looks -= 1
                return Visibility(complete=False, detail="not visible yet")
            missing = sorted(record for record, _ in _pairs(challenges) - self.standing)
            return Visibility(complete=not missing, detail=", ".join(missing))

    def clean_up(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        with self._lock:
            self._called("clean_up", zone, challenges)
            self.secrets.append(secret)
            self.standing -= _pairs(challenges)

    def check(self, zone: Zone) -> tuple[str, ...]:  # noqa: ARG002 the port's signature
        return self.faults

    def _called(self, method: str, zone: Zone | None, challenges: Sequence[Challenge]) -> None:
        self.calls.append((method, zone.name if zone else None, tuple(c.record for c in challenges)))
        if self.fail_next.get(method):
            raise self.fail_next[method].pop(0)


def _pairs(challenges: Sequence[Challenge]) -> set[tuple[str, str]]:
    return {(challenge.record, challenge.value) for challenge in challenges}
