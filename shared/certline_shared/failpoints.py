"""Named failpoints: places where a test may kill the process. Armed by the environment, and only under test.

CERTLINE_FAILPOINT=NAME[:N] kills the process (SIGKILL to itself) when it reaches that place for the N-th time (default
the first). It has an effect only when CERTLINE_UNDER_TEST=1 is set too. A test in the same process uses `watched`.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_counts: dict[str, int] = {}
_watchers: list[Callable[[str], None]] = []


@contextmanager
def watched(reached: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, `reached` hears the name of each place; what it raises ends the work there."""
    _watchers.append(reached)
    try:
        yield
    finally:
        _watchers.remove(reached)


def failpoint(name: str) -> None:
    """Die here, without any clean-up, if a test armed this place."""
    for reached in _watchers:
        reached(name)
    armed = os.environ.get("CERTLINE_FAILPOINT")
    if not armed or os.environ.get("CERTLINE_UNDER_TEST") != "1":
        return
    wanted, _, nth = armed.partition(":")
    if wanted != name:
        return
    _counts[name] = _counts.get(name, 0) + 1
    if _counts[name] >= int(nth or "1"):
        os.kill(os.getpid(), signal.SIGKILL)
