"""When a certificate is to be renewed: by the CA's window (RFC 9773), else by a fraction of its real lifetime."""

from dataclasses import replace
from datetime import datetime, timedelta

from certline_master.domain.model import Renewal
from certline_master.domain.ports import RenewalWindow

SHORT_LIVED = timedelta(days=10)


def by_lifetime(not_before: datetime, not_after: datetime) -> datetime:
    """A third of the lifetime left; half for lifetimes under 10 days."""
    lifetime = not_after - not_before
    left = lifetime / 2 if lifetime < SHORT_LIVED else lifetime / 3
    return (not_after - left).replace(microsecond=0)


def without_window(not_before: datetime, not_after: datetime, *, next_check: datetime | None) -> Renewal:
    """The fall-back when the CA gives no window; `next_check` None: it has no renewal information at all."""
    short = not_after - not_before < SHORT_LIVED
    reason = f"{'half' if short else 'a third'} of its lifetime is left then; the CA gives no window"
    return Renewal(at=by_lifetime(not_before, not_after), reason=reason, next_check=next_check)


def within(window: RenewalWindow, position: float, now: datetime) -> Renewal:
    """A time inside the window, at `position` 0..1 of it (a number drawn once and stored); a window in the past means
    now.
    """
    at = window.start + (window.end - window.start) * position
    reason = "inside the CA's window"
    if at <= now:
        at, reason = now, "the CA's window has come"
    if window.end <= now:
        reason = "the CA asks for it now"
    if window.explanation_url:
        reason += f" ({window.explanation_url})"
    return Renewal(
        at=at.replace(microsecond=0),
        reason=reason,
        next_check=window.next_check,
        window_start=window.start,
        window_end=window.end,
        explanation_url=window.explanation_url,
    )


def not_at_once(renewal: Renewal, *, ordered: datetime, lifetime: timedelta, is_first: bool) -> Renewal:
    """The time, but some while after the certificate was ordered: one that is due as soon as it is there, by a wrong
    window or a wrong clock, would be ordered in a loop. `is_first`: no time was chosen for it before; a CA that changes
    its mind later has a reason.
    """
    pause = min(timedelta(days=1), lifetime / 10) if is_first else min(timedelta(hours=1), lifetime / 100)
    soonest = (ordered + pause).replace(microsecond=0)
    if renewal.at >= soonest:
        return renewal
    return replace(renewal, at=soonest, reason=f"{renewal.reason}; not sooner, for it is new")


def same_window(renewal: Renewal | None, window: RenewalWindow) -> bool:
    """Whether the stored time was chosen for this window, so that it stays."""
    return renewal is not None and (renewal.window_start, renewal.window_end) == (window.start, window.end)
