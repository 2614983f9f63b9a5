"""When a certificate is to be renewed: by the CA's window (RFC 9773), else by a fraction of its real lifetime, and what
a line's own policy makes of that. Pure.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from certline_master.domain.durations import length_of
from certline_master.domain.model import LineOptions, Renewal
from certline_master.domain.ports import RenewalWindow

SHORT_LIVED = timedelta(days=10)

LEAST_AGE = timedelta(hours=1)
"""No policy renews a younger certificate."""

LAST_CHANCE = 10
"""By age alone nothing is renewed later than with this part of the lifetime left."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a line says of its renewals; None: nothing."""

    before: timedelta | None = None  # so long before it expires
    share: float | None = None  # or with this part of its lifetime left
    after: timedelta | None = None  # at that age; it counts before the others


def policy_of(options: LineOptions) -> Policy:
    """Raises ValueError that says what to write."""
    return _policy(options.renew_before, options.renew_after)


@lru_cache(maxsize=1024)  # of a whole fleet's lines most say the same
def _policy(before: str | None, after: str | None) -> Policy:
    share = _share_of(before) if before and before.endswith("%") else None
    length = length_of(before) if before and share is None else None
    if length is not None and length <= timedelta(0):
        raise ValueError("is no time before the end: write for example 30d, 42.42d or 33%")
    age = length_of(after) if after else None
    if age is not None and age < LEAST_AGE:
        raise ValueError("renews certificates younger than an hour: write for example 7d")
    return Policy(length, share, age)


def _share_of(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        raise ValueError(f"{text!r} is no part of a lifetime: write for example 33%") from None
    if not 0 < share < 1:
        raise ValueError(f"{text!r} is not between 0% and 100%: write for example 33%")
    return share


def before_expiry(policy: Policy, lifetime: timedelta) -> timedelta | None:
    """How long before its end a certificate of this lifetime is wished to be renewed, uncut; None: not said."""
    return policy.before if policy.share is None else lifetime * policy.share


def by_policy(renewal: Renewal, options: LineOptions, not_before: datetime, not_after: datetime) -> Renewal:
    """What the line's policy makes of the time that was chosen without it. An earlier window of the CA stays."""
    if renewal.fixed or (options.renew_before is None and options.renew_after is None):
        return renewal
    at, reason = _by_policy(policy_of(options), options, not_before, not_after)
    if renewal.window_start is not None and renewal.at <= at:
        return renewal
    return replace(renewal, at=at.replace(microsecond=0), reason=reason)


def _by_policy(policy: Policy, options: LineOptions, not_before: datetime, not_after: datetime) -> tuple[datetime, str]:
    lifetime = not_after - not_before
    if policy.after is not None:
        latest = lifetime - lifetime / LAST_CHANCE
        reason = f"it is {options.renew_after} old then"
        if policy.after > latest:
            reason = f"a tenth of its lifetime is left then, for it does not live for {options.renew_after}"
        return not_before + min(policy.after, latest), reason
    left, half = before_expiry(policy, lifetime) or lifetime, lifetime / 2
    if left > half:
        return not_after - half, f"half its lifetime is left then, the most that {options.renew_before} may mean"
    return not_after - left, f"{options.renew_before} of its lifetime are left then"


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
