"""Lines as they are shown: what is live, what comes next, and what is wrong with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from certline_master.api.rollouts import RolloutView
from certline_master.api.standings import standings
from certline_master.api.views import DeploymentView, OrderView, VersionView
from certline_master.domain.access import Caller
from certline_master.domain.alarms import Alarms
from certline_master.domain.deployment import NotDeployed, Standing, not_deployed
from certline_master.domain.line_settings import LineSetting
from certline_master.domain.model import LineSnapshot
from certline_master.domain.placement import live_version, wanted_requests
from certline_master.domain.planning import plan
from certline_master.domain.ports import Records
from certline_master.domain.reasons import renewals_of
from certline_master.domain.troubles import standing_with, why_failing
from certline_shared.names import display


@dataclass(frozen=True, slots=True)
class LineView:
    """`standing`: what it does or waits for, in words ("renews 2026-12-03 03:12 UTC: inside the CA's window"), and what
    is wrong with it; `why_failing` (null unless `failing`) and `not_deployed` (empty when all is well) tell that apart.
    """

    name: str
    owner: str
    custody: str  # follower | master: who keeps the private key
    follower: str | None  # null where the master keeps the key
    followers: tuple[str, ...]  # who is to have it
    names: tuple[str, ...]
    shown: tuple[str, ...]  # the names for people, IDNs in both spellings
    issuer: str | None
    profile: str | None
    key_types: tuple[str, ...]
    key: str  # the name of its key; its own where it names none
    version: int | None
    not_after: datetime | None
    renews: datetime | None
    standing: str
    failing: bool
    why_failing: str | None
    not_deployed: tuple[NotDeployed, ...]
    csr_wanted: tuple[str, ...]
    paused: str | None  # why it is renewed no more


@dataclass(frozen=True, slots=True)
class LineDetail:
    line: LineView
    versions: tuple[VersionView, ...]
    orders: tuple[OrderView, ...]
    hosts: tuple[Standing, ...]  # how far each follower is
    deployments: tuple[DeploymentView, ...]  # all that the hosts reported, the newest version first
    rollout: RolloutView | None
    settings: tuple[LineSetting, ...] = ()  # as they count, and where each is written
    tlsa: tuple[str, ...] = ()  # how its TLSA records stand, and what they wait for


@dataclass(frozen=True, slots=True)
class _Trouble:
    """What is wrong with a line."""

    failing: str | None
    missing: tuple[NotDeployed, ...]


def line_views(
    records: Records, caller: Caller, line_ids: Sequence[str], now: datetime, alarms: Alarms
) -> list[LineView]:
    """In the order asked for, without those that are missing."""
    return [view for view, _ in lines_with_hosts(records, caller, line_ids, now, alarms)]


def lines_with_hosts(
    records: Records, caller: Caller, line_ids: Sequence[str], now: datetime, alarms: Alarms
) -> list[tuple[LineView, tuple[Standing, ...]]]:
    """The same, each with how far its followers are."""
    orders = [order for order in records.orders.live(caller) if order.attempts]
    snapshots = records.lines.snapshots(caller, line_ids)
    every = standings(records, caller, snapshots, now, alarms)

    def view(snapshot: LineSnapshot) -> tuple[LineView, tuple[Standing, ...]]:
        hosts = every.found[snapshot.line.id]
        missing = sorted(filter(None, map(not_deployed, hosts)), key=lambda one: one.since)
        trouble = _Trouble(why_failing(snapshot, orders), tuple(missing))
        receivers = every.receivers.get(snapshot.line.id, ())
        return _view(snapshot, [one.name for one in receivers], trouble, now), hosts

    return [view(snapshot) for snapshot in snapshots]


def _view(snapshot: LineSnapshot, followers: Sequence[str], trouble: _Trouble, now: datetime) -> LineView:
    line, live = snapshot.line, live_version(snapshot)
    certificates = live.certificates if live else ()
    return LineView(
        name=line.name,
        owner=line.owner,
        custody=line.custody,
        follower=snapshot.follower.name if snapshot.follower else None,
        followers=tuple(followers),
        names=line.names,
        shown=tuple(display(name) for name in line.names),
        issuer=snapshot.issuer.name if snapshot.issuer else None,
        profile=line.profile,
        key_types=tuple(line.key_types),
        key=snapshot.key_name,
        version=live.number if live else None,
        not_after=min((one.not_after for one in certificates if one.not_after), default=None),
        renews=min((one.at for one in renewals_of(live, line)), default=None) if live else None,
        standing=standing_with(plan(snapshot, now).standing, trouble.failing, trouble.missing),
        failing=trouble.failing is not None,
        why_failing=trouble.failing,
        not_deployed=trouble.missing,
        csr_wanted=tuple(wanted_requests(line, snapshot.csrs)),
        paused=line.paused,
    )
