"""In which order a line's versions were live: not always that of their numbers. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from certline_master.domain.model import Version, VersionState

NEVER = (datetime.min.replace(tzinfo=UTC), 0)

_ENDED = (VersionState.RETIRED, VersionState.REVOKED)


def came(version: Version) -> tuple[datetime, int]:
    """What puts versions into the order in which they were live last."""
    return version.live_since or version.created, version.number


def was_live(version: Version) -> bool:
    """Whether it was live and is not any more; one that was staged and dropped never was."""
    return version.state in _ENDED and (version.live_since is not None or version.staged_since is None)


def last_live(versions: Iterable[Version], numbers: Iterable[int]) -> int | None:
    """Of some numbers the version that was live last; one that is gone from here was before all that are there."""
    known = {version.number: came(version) for version in versions}
    return max(numbers, key=lambda number: (known.get(number, NEVER), number), default=None)


def went_down(live: Version, versions: Iterable[Version]) -> bool:
    """Whether hosts may have seen a higher number than what is live: an operator went back, or it was staged while
    another version was renewed.
    """
    return any(one.number > live.number and was_live(one) for one in versions)
