"""How far the followers are with their lines' versions, and who is late."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Integer, and_, bindparam, func, null, or_, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.deployment import Behind, InUse, Receiver, steps_from
from certline_master.domain.model import Deployment, DeploymentState, FollowerState, VersionState
from certline_master.domain.survival import LiveUntil
from certline_master.store.receivers import RECEIVER, pairs, read_receiver
from certline_master.store.scope import REHEARSED, sees_all
from certline_master.store.session import Session, Shape, Upsert, number, param, several
from certline_master.store.tables import certificates, deployments, followers, lines, versions

DEPLOYMENT = Shape(Deployment, deployments)
_MOST_REMEMBERED = 5  # versions of a line on one follower: the wanted one, what it uses, and what went wrong between

_LAST_TOLD = (deployments.c.updated.desc(), deployments.c.version.desc())
_RANKED = (
    select(
        deployments,
        func.row_number()
        .over(partition_by=[deployments.c.follower_id, deployments.c.line_id], order_by=_LAST_TOLD)
        .label("place"),
    )
    .where(deployments.c.line_id.in_(several("wanted")))
    .subquery()
)
_NEWEST = select(*[_RANKED.c[name] for name in DEPLOYMENT.names]).where(_RANKED.c.place <= _MOST_REMEMBERED)

_AMONG = pairs(lines.c.id.in_(several("wanted")))
_RECEIVERS = (
    select(*RECEIVER, _AMONG.c.line_id).join(_AMONG, _AMONG.c.follower_id == followers.c.id).order_by(followers.c.name)
)
_OF_FOLLOWER = pairs()
_LINES_OF = select(_OF_FOLLOWER.c.line_id).where(_OF_FOLLOWER.c.follower_id == param("whose"))

# Never NULL, for what is not known to have arrived has not.
_GOAL = func.coalesce(deployments.c.goal, DeploymentState.INSTALLED, type_=deployments.c.goal.type)
_ARRIVED = and_(
    deployments.c.error.is_(None),
    or_(
        *[
            and_(_GOAL.in_((goal,)), deployments.c.state.in_(steps_from(goal)))
            for goal in steps_from(DeploymentState.WANTED)
        ]
    ),
)
_ALL_PAIRS = pairs(~REHEARSED)  # of a rehearsal nobody is late and nothing runs out
_LIVE_SINCE = func.coalesce(versions.c.live_since, versions.c.created, type_=versions.c.live_since.type)
_BEHIND = (
    select(
        *RECEIVER, lines.c.id, lines.c.name, lines.c.follower_id, versions.c.number, _LIVE_SINCE, *DEPLOYMENT.columns
    )
    .select_from(versions)
    .join(lines)
    .join(_ALL_PAIRS, _ALL_PAIRS.c.line_id == lines.c.id)
    .join(followers, followers.c.id == _ALL_PAIRS.c.follower_id)
    .outerjoin(
        deployments,
        and_(
            deployments.c.line_id == lines.c.id,
            deployments.c.follower_id == followers.c.id,
            deployments.c.version == versions.c.number,
        ),
    )
    .where(
        versions.c.state == VersionState.LIVE,
        followers.c.state == FollowerState.ACTIVE,
        or_(deployments.c.line_id.is_(None), and_(~_ARRIVED, deployments.c.alarmed.is_(None))),
        # Of a line that several share, who was offered it is noted at once; of the others only who is late matters.
        or_(lines.c.follower_id.is_(None), param("before", versions.c.live_since) >= _LIVE_SINCE),
    )
)
_WANT = Upsert(
    deployments,
    ("follower_id", "line_id", "version"),
    ("state", "wanted_since"),
    where=lambda _new: deployments.c.state == DeploymentState.STAGED,
)
_THIS = (
    deployments.c.follower_id == param("whose"),
    deployments.c.line_id == param("line"),
    deployments.c.version == number("which"),
)
_LATER = deployments.alias("later")
_WANT_AGAIN = (
    update(deployments)
    .where(
        deployments.c.line_id == param("line"),
        deployments.c.version == number("which"),
        select(_LATER.c.version)
        .where(
            _LATER.c.line_id == deployments.c.line_id,
            _LATER.c.follower_id == deployments.c.follower_id,
            _LATER.c.version.in_(bindparam("later", type_=Integer(), expanding=True)),
            _LATER.c.state.in_(steps_from(DeploymentState.PULLED)),
        )
        .correlate(deployments)
        .exists(),
    )
    .values(
        state=DeploymentState.WANTED,
        error=null(),
        retry_at=null(),
        alarmed=null(),
        updated=param("since", deployments.c.updated),
        wanted_since=param("since", deployments.c.wanted_since),
    )
)
_ALARM = (
    update(deployments)
    .where(*_THIS, deployments.c.alarmed.is_(None), ~_ARRIVED)
    .values(alarmed=param("now", deployments.c.alarmed))
)

_LIVE_UNTIL = (
    select(
        lines.c.name,
        lines.c.names,
        func.min(certificates.c.not_before, type_=certificates.c.not_before.type).label("begins"),
        func.min(certificates.c.not_after, type_=certificates.c.not_after.type).label("ends"),
    )
    .select_from(versions)
    .join(lines)
    .join(certificates, certificates.c.version_id == versions.c.id)
    .where(
        versions.c.state == VersionState.LIVE,
        lines.c.paused.is_(None),
        lines.c.id.in_(
            select(_ALL_PAIRS.c.line_id)
            .join(followers, followers.c.id == _ALL_PAIRS.c.follower_id)
            .where(followers.c.state == FollowerState.ACTIVE)
        ),
    )
    .group_by(lines.c.name, lines.c.names)
)
_EVER_INSTALLED = (
    select(
        deployments.c.follower_id,
        deployments.c.line_id,
        deployments.c.version,
        func.row_number()
        .over(
            partition_by=[deployments.c.follower_id, deployments.c.line_id],
            order_by=(_LIVE_SINCE.desc(), deployments.c.version.desc()),
        )
        .label("place"),
    )
    .join(versions, and_(versions.c.line_id == deployments.c.line_id, versions.c.number == deployments.c.version))
    .where(deployments.c.state.in_(steps_from(DeploymentState.INSTALLED)))
    .subquery()
)
_INSTALLED = select(_EVER_INSTALLED).where(_EVER_INSTALLED.c.place == 1).subquery()
_IN_USE = (
    select(
        *RECEIVER,
        lines.c.id,
        lines.c.name,
        versions.c.number,
        func.min(certificates.c.not_before, type_=certificates.c.not_before.type).label("begins"),
        func.min(certificates.c.not_after, type_=certificates.c.not_after.type).label("ends"),
    )
    .select_from(_INSTALLED)
    .join(followers, followers.c.id == _INSTALLED.c.follower_id)
    .join(lines, lines.c.id == _INSTALLED.c.line_id)
    .join(_ALL_PAIRS, and_(_ALL_PAIRS.c.line_id == lines.c.id, _ALL_PAIRS.c.follower_id == followers.c.id))
    .join(versions, and_(versions.c.line_id == lines.c.id, versions.c.number == _INSTALLED.c.version))
    .join(certificates, certificates.c.version_id == versions.c.id)
    .where(followers.c.state == FollowerState.ACTIVE, certificates.c.not_after.is_not(None))
    .group_by(*RECEIVER, lines.c.id, lines.c.name, versions.c.number)
)
_IN_USE_THERE = _IN_USE.where(followers.c.id == param("whose"))


class Standings:
    def __init__(self, session: Session) -> None:
        self._session = session

    def receivers(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, tuple[Receiver, ...]]:
        """Who is to have each line, by name; by line id."""
        found: dict[str, list[Receiver]] = defaultdict(list)
        for row in self._session.rows(_RECEIVERS, {"wanted": list(line_ids)}) if sees_all(caller) else ():
            found[row.line_id].append(read_receiver(row))
        return {line_id: tuple(receivers) for line_id, receivers in found.items()}

    def lines_of(self, caller: Caller, follower_id: str) -> list[str]:
        """Ids of the lines that a follower is to have."""
        if not sees_all(caller):
            return []
        return [row.line_id for row in self._session.rows(_LINES_OF, {"whose": follower_id})]

    def reported(self, caller: Caller, line_ids: Sequence[str]) -> dict[tuple[str, str], dict[int, Deployment]]:
        """The newest versions' deployments, by line and follower, then by version."""
        found: dict[tuple[str, str], dict[int, Deployment]] = defaultdict(dict)
        for row in self._session.rows(_NEWEST, {"wanted": list(line_ids)}) if sees_all(caller) else ():
            one = DEPLOYMENT.read(row)
            found[one.line_id, one.follower_id][one.version] = one
        return dict(found)

    def behind(self, caller: Caller, before: datetime) -> list[Behind]:
        """Who has not reached the goal with a live version and was not told of: of a line for one follower if it is
        live since before that moment.
        """
        rows = self._session.rows(_BEHIND, {"before": before}) if sees_all(caller) else ()
        return [_behind(row) for row in rows]

    def want(self, caller: Caller, follower_id: str, line_id: str, version: int, *, since: datetime) -> None:
        """Note that a follower was offered a version, unless it is known; one that it has staged is wanted then."""
        caller.require(Role.OPERATOR)
        wanted = Deployment(follower_id, line_id, version, DeploymentState.WANTED, None, since, wanted_since=since)
        self._session.run(_WANT.on(self._session), DEPLOYMENT.write(wanted))

    def want_again(self, caller: Caller, line_id: str, version: int, later: Sequence[int], *, since: datetime) -> None:
        """Of whoever pulled one of the later versions."""
        caller.require(Role.OPERATOR)
        wanted = {"line": line_id, "which": version, "later": list(later), "since": since}
        if later:
            self._session.run(_WANT_AGAIN, wanted)

    def alarm(self, caller: Caller, follower_id: str, line_id: str, version: int, *, now: datetime) -> bool:
        """Note that the deployment's lateness was told; False when it was before, or it arrived. It must be on record
        (`want`).
        """
        caller.require(Role.OPERATOR)
        key = {"whose": follower_id, "line": line_id, "which": version}
        return self._session.run(_ALARM, key | {"now": now}) == 1

    def in_use(self, caller: Caller, follower_id: str | None = None) -> list[InUse]:
        """What each active follower, or this one, has installed, as it last reported."""
        statement, wanted = (_IN_USE, {}) if follower_id is None else (_IN_USE_THERE, {"whose": follower_id})
        rows = self._session.rows(statement, wanted) if sees_all(caller) else ()
        return [InUse(read_receiver(row), *row[len(RECEIVER) :]) for row in rows]

    def live_until(self, caller: Caller) -> list[LiveUntil]:
        """The live versions of the lines that an active follower is to have."""
        rows = self._session.rows(_LIVE_UNTIL) if sees_all(caller) else ()
        return [LiveUntil(row.name, row.names, row.begins, row.ends) for row in rows]


def _behind(row: Any) -> Behind:
    line_id, line, owner, version, live_since, *rest = row[len(RECEIVER) :]
    deployment = DEPLOYMENT.read(rest) if rest[0] is not None else None
    if deployment is not None:
        deployment = replace(deployment, seen=deployment.seen or {})
    return Behind(read_receiver(row), line_id, line, owner is None, version, live_since, deployment)
