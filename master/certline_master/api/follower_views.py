"""Followers with what they have: how many of their lines are in use, which are not, and how long that lasts."""

from collections import Counter, defaultdict
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from certline_master.api.standings import of_follower, standings
from certline_master.api.views import FollowerView
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.alarms import Alarms
from certline_master.domain.deployment import Standing
from certline_master.domain.model import Follower
from certline_master.domain.ports import Records


@dataclass(frozen=True, slots=True)
class FollowerListed(FollowerView):
    """`lines` it is to have with a version; of these `deployed` are in use as wanted, and `late` are told of."""

    skew_seconds: int | None  # its clock against the master's, as it last reported
    lines: int
    deployed: int
    late: int


@dataclass(frozen=True, slots=True)
class FollowerDetail(FollowerView):
    skew_seconds: int | None
    standings: tuple[Standing, ...]
    survives_until: datetime | None  # when the first certificate ends that it has installed


def listed(records: Records, caller: Caller, now: datetime, alarms: Alarms) -> list[FollowerListed]:
    """All followers, by name."""
    counts = _counts(records, caller, now, alarms)
    return [
        FollowerListed(
            **_view(one),
            skew_seconds=one.skew_seconds,
            lines=counts[one.name].total(),
            deployed=counts[one.name]["deployed"],
            late=counts[one.name]["late"],
        )
        for one in records.followers.all(caller)
    ]


def detail(records: Records, caller: Caller, name: str, now: datetime, alarms: Alarms) -> FollowerDetail:
    """Raises NotFound."""
    found = records.followers.get(caller, name)
    ends = [one.not_after for one in records.standings.in_use(caller, found.id)]
    return FollowerDetail(
        **_view(found),
        skew_seconds=found.skew_seconds,
        standings=of_follower(records, caller, found.id, now, alarms),
        survives_until=min(ends, default=None),
    )


def _counts(records: Records, caller: Caller, now: datetime, alarms: Alarms) -> dict[str, Counter[str]]:
    lines = [line.id for line in records.lines.all(caller, limit=1_000_000)]
    every = standings(records, caller, records.lines.snapshots(SYSTEM, lines), now, alarms)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in (one for group in every.found.values() for one in group):
        counts[one.follower]["late" if one.late or one.error else "deployed" if one.arrived else "under way"] += 1
    return counts


def _view(follower: Follower) -> dict[str, Any]:
    view = FollowerView.of(follower)
    return {field.name: getattr(view, field.name) for field in fields(view)}
