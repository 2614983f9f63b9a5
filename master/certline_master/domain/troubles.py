"""What is wrong with a line, for people: orders that fail, and a live version that its host does not use. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.domain.model import (
    Deployment,
    DeploymentState,
    FollowerState,
    LineSnapshot,
    Order,
    Version,
    VersionState,
)
from certline_master.domain.placement import live_version

LATE = timedelta(minutes=75)
"""How long a follower may take for its next step: one that runs by the timer comes once in 50 to 70 minutes."""

_SHUT_OUT = (FollowerState.REVOKED, FollowerState.SUSPENDED)


@dataclass(frozen=True, slots=True)
class NotDeployed:
    """A version that its host does not use. `error`: what the host reported; None when it reported nothing."""

    line: str
    follower: str
    version: int
    since: datetime
    error: str | None
    text: str  # the whole, for people


def why_failing(snapshot: LineSnapshot, orders: Iterable[Order]) -> str | None:
    """Why the line's order fails: the last try's reason, or that of the one under way; `orders` may be of any line."""
    own = {certificate.id for version in snapshot.versions for certificate in version.certificates}
    troubled = next((order for order in orders if order.certificate_id in own and order.attempts), None)
    if troubled is not None:
        times = f"{troubled.attempts} failures in a row" if troubled.attempts > 1 else "a failure"
        return f"{times}, tried again at {_minute(troubled.due)}: {troubled.waiting}"
    tried = max(_ended(snapshot.versions), key=lambda version: version.number, default=None)
    return tried.failure.detail if tried and tried.failure else None


def not_deployed(
    snapshot: LineSnapshot, reported: Deployment | None, live_since: datetime | None, now: datetime
) -> NotDeployed | None:
    """`reported`: the newest version that the host spoke of; `live_since`: when the live one became so."""
    live, follower = live_version(snapshot), snapshot.follower
    if live is None or follower is None or follower.state in _SHUT_OUT:
        return None
    since, missing = _missing_step(live, reported, live_since)
    if missing and now - since >= LATE:
        seen = _minute(follower.last_seen) if follower.last_seen else "never"
        text = f"{follower.name} has not {missing} version {live.number} yet (last seen {seen})"
        return NotDeployed(snapshot.line.name, follower.name, live.number, since, None, text)
    if reported is None or not reported.error:
        return None
    number, since, error = reported.version, reported.updated, reported.error
    text = f"version {number} is held back on {follower.name} since {_minute(since)}: {error}"
    return NotDeployed(snapshot.line.name, follower.name, number, since, error, text)


def _missing_step(live: Version, reported: Deployment | None, live_since: datetime | None) -> tuple[datetime, str]:
    """What the host has not done with the live version without saying why ("" when nothing), and since when."""
    if reported is None or reported.version < live.number:
        return live_since or live.created, "pulled"
    waits = reported.state is DeploymentState.PULLED and not reported.error
    return reported.updated, "installed" if waits else ""


def standing_with(standing: str, failing: str | None, missing: NotDeployed | None) -> str:
    """The planner's word on a line, with what is wrong beside it."""
    more = [failing] if failing and failing not in standing else []
    return "; ".join([standing, *more, *([missing.text] if missing else [])])


def _ended(versions: Sequence[Version]) -> Iterable[Version]:
    return (version for version in versions if version.state is not VersionState.ORDERED)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
