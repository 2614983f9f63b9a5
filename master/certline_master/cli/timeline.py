"""A certificate's time left as a bar of text: where it is renewed, and where it ends. Pure."""

from datetime import datetime, timedelta

FULL, RENEWAL, EMPTY = "━", "◆", "·"


def bar(now: datetime | None, renews: datetime | None, expires: datetime | None, horizon: timedelta, cells: int) -> str:
    """`cells` characters from now to `now + horizon`: full until the expiry, a mark where it is renewed."""
    if now is None or expires is None or horizon <= timedelta(0):
        return EMPTY * cells
    full = _cell(expires - now, horizon, cells)
    drawn = [FULL] * full + [EMPTY] * (cells - full)
    if renews is not None and full:
        drawn[min(_cell(renews - now, horizon, cells), full - 1)] = RENEWAL
    return "".join(drawn)


def _cell(ahead: timedelta, horizon: timedelta, cells: int) -> int:
    return max(0, min(cells, round(ahead / horizon * cells)))
