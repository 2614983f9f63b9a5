"""A database that went back in time (a restored backup or snapshot): what comes before it is worked on again."""

from datetime import datetime, timedelta

from certline_master.domain.model import LineSnapshot, Version

HELD_UNTIL = "orders.held-until"
"""The fact of the installation that no new order is opened before."""

HOLD = timedelta(hours=1)
"""How long hosts have to come and show what was issued meanwhile, before it is ordered once more."""

WHY_HELD = "the master went back to a backup, and its host may hold a newer certificate"


def next_epoch(now: datetime, present: int) -> int:
    """Seconds, and higher than any before also where the clock went back."""
    return max(int(now.timestamp()), present + 1)


def held_until(snapshot: LineSnapshot, live: Version | None, now: datetime) -> datetime | None:
    """Until when nothing is ordered for the line; None where it need not or cannot wait."""
    until = snapshot.held_until
    if until is None or until <= now or snapshot.line.forced:
        return None
    ends = [one.not_after for one in live.certificates if one.not_after] if live else []
    return None if ends and min(ends) <= until else until
