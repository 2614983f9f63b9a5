"""Lines as they are shown: what is live, what comes next, and what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from certline_master.api.views import DeploymentView, OrderView, VersionView
from certline_master.domain.access import Caller
from certline_master.domain.model import LineSnapshot
from certline_master.domain.placement import live_version, wanted_requests
from certline_master.domain.planning import plan
from certline_master.domain.ports import Records
from certline_master.domain.troubles import NotDeployed, not_deployed, standing_with, why_failing
from certline_shared.names import display


@dataclass(frozen=True, slots=True)
class LineView:
    """`standing`: what it does or waits for, in words ("renews 2026-12-03 03:12 UTC: inside the CA's window"), and what
    is wrong with it; `why_failing` (null unless `failing`) and `not_deployed` (null when all is well) tell that apart.
    """

    name: str
    owner: str
    follower: str | None  # null where the master keeps the key
    names: tuple[str, ...]
    shown: tuple[str, ...]  # the names for people, IDNs in both spellings
    issuer: str | None
    profile: str | None
    key_types: tuple[str, ...]
    version: int | None
    not_after: datetime | None
    renews: datetime | None
    standing: str
    failing: bool
    why_failing: str | None
    not_deployed: NotDeployed | None
    csr_wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LineDetail:
    line: LineView
    versions: tuple[VersionView, ...]
    orders: tuple[OrderView, ...]
    deployments: tuple[DeploymentView, ...]


def line_views(records: Records, caller: Caller, line_ids: Sequence[str], now: datetime) -> list[LineView]:
    """In the order asked for, without those that are missing."""
    orders = [order for order in records.orders.live(caller) if order.attempts]
    reported = records.followers.newest_deployments(caller, line_ids)
    since = records.versions.live_since(caller, line_ids)

    def view(snapshot: LineSnapshot) -> LineView:
        line_id = snapshot.line.id
        missing = not_deployed(snapshot, reported.get(line_id), since.get(line_id), now)
        return _view(snapshot, why_failing(snapshot, orders), missing, now)

    return [view(snapshot) for snapshot in records.lines.snapshots(caller, line_ids)]


def _view(snapshot: LineSnapshot, failing: str | None, missing: NotDeployed | None, now: datetime) -> LineView:
    line, live = snapshot.line, live_version(snapshot)
    certificates = live.certificates if live else ()
    return LineView(
        name=line.name,
        owner=line.owner,
        follower=snapshot.follower.name if snapshot.follower else None,
        names=line.names,
        shown=tuple(display(name) for name in line.names),
        issuer=snapshot.issuer.name if snapshot.issuer else None,
        profile=line.profile,
        key_types=tuple(line.key_types),
        version=live.number if live else None,
        not_after=min((one.not_after for one in certificates if one.not_after), default=None),
        renews=min((one.renewal.at for one in certificates if one.renewal), default=None),
        standing=standing_with(plan(snapshot, now).standing, failing, missing),
        failing=failing is not None,
        why_failing=failing,
        not_deployed=missing,
        csr_wanted=tuple(wanted_requests(line, snapshot.csrs)),
    )
