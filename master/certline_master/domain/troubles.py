"""What is wrong with a line, for people: orders that fail, and a live version that its host does not use. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from certline_master.domain.deployment import NotDeployed
from certline_master.domain.model import LineSnapshot, Order, Version, VersionState

MOST_TOLD = 3
"""Of the hosts that do not use a line's version; all of them stand in the line's own story."""


def why_failing(snapshot: LineSnapshot, orders: Iterable[Order]) -> str | None:
    """Why the line's order fails: the last try's reason, or that of the one under way; `orders` may be of any line."""
    own = {certificate.id for version in snapshot.versions for certificate in version.certificates}
    troubled = next((order for order in orders if order.certificate_id in own and order.attempts), None)
    if troubled is not None:
        times = f"{troubled.attempts} failures in a row" if troubled.attempts > 1 else "a failure"
        return f"{times}, tried again at {_minute(troubled.due)}: {troubled.waiting}"
    tried = max(_ended(snapshot.versions), key=lambda version: version.number, default=None)
    return tried.failure.detail if tried and tried.failure else None


def standing_with(standing: str, failing: str | None, missing: Sequence[NotDeployed]) -> str:
    """The planner's word on a line, with what is wrong beside it."""
    more = [failing] if failing and failing not in standing else []
    told = [one.text for one in missing[:MOST_TOLD]]
    rest = len(missing) - len(told)
    return "; ".join([standing, *more, *told, *([f"and {rest} more"] if rest else [])])


def _ended(versions: Sequence[Version]) -> Iterable[Version]:
    return (version for version in versions if version.state is not VersionState.ORDERED)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
