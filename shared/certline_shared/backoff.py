"""How long to wait before the next try: doubling with jitter, bounded."""

from datetime import timedelta

from certline_shared.chance import Chance


def delay(attempt: int, chance: Chance, *, first: timedelta, most: timedelta) -> timedelta:
    """The pause before try number `attempt` + 1: `first` doubled per attempt, at most `most`, jittered to 50..100 %.

    `attempt` counts failures so far and starts at 1.
    """
    doubled = first.total_seconds() * 2.0 ** min(attempt - 1, 40)
    capped = min(doubled, most.total_seconds())
    return timedelta(seconds=chance.uniform(capped / 2, capped))
