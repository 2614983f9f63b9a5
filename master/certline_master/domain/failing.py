"""When a wish that failed is tried again. Pure."""

from datetime import datetime, timedelta

from certline_master.domain import going_back
from certline_master.domain.model import FailureClass, LineSnapshot, VersionState
from certline_master.domain.reasons import live_of
from certline_master.domain.wish import is_for_this_wish

LADDER = (timedelta(minutes=1), timedelta(minutes=10), timedelta(minutes=100), timedelta(days=1))
"""Pauses after the first, second ... failure in a row, as Let's Encrypt's integration guide asks."""

STUCK = timedelta(days=1)
"""How long until a fault that somebody has to mend is tried again unasked."""


def held_back_until(snapshot: LineSnapshot, now: datetime) -> tuple[datetime, str] | None:
    """When the next try may be made after failures in a row with this very wish, and the last one's reason."""
    if snapshot.line.forced:
        return None
    if (until := going_back.held_until(snapshot, live_of(snapshot), now)) is not None:
        return until, going_back.WHY_HELD
    failed = [v for v in snapshot.versions if v.state is VersionState.FAILED and is_for_this_wish(v, snapshot)]
    if not failed or failed[0].failure is None:
        return None
    last = failed[0].failure
    ended = failed[0].ended or failed[0].created
    pause = STUCK if _somebody_must_act(last.failure) else LADDER[min(len(failed), len(LADDER)) - 1]
    until = max(ended + pause, last.retry_at or ended)
    if last.failure is FailureClass.RETRY_AT and last.retry_at:
        until = last.retry_at
    return (until, last.detail) if until > now else None


def _somebody_must_act(failure: FailureClass) -> bool:
    return failure in (FailureClass.FIX_CONFIGURATION, FailureClass.NEEDS_PERSON)
