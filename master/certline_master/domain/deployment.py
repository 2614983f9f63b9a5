"""How far each follower is with a line's version: wanted, pulled, installed, reloaded, served, or what holds it back.

Pure: plain data and a time in, standings with their reasons out.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from certline_master.domain.model import Deployment, DeploymentState, FollowerState, Version

IN_TIME = timedelta(minutes=75)
"""How long a version may take to its goal: a follower that runs by the timer comes once in 50 to 70 minutes."""

LONGEST_WAIT = timedelta(days=31)
"""A window opens sooner than that; no host can put its alarm off for good."""

_STEPS = tuple(DeploymentState)
_DONE = {
    DeploymentState.WANTED: "",
    DeploymentState.STAGED: "staged",
    DeploymentState.PULLED: "pulled",
    DeploymentState.INSTALLED: "installed",
    DeploymentState.RELOADED: "reloaded",
    DeploymentState.SERVED: "served",
}


@dataclass(frozen=True, slots=True)
class Receiver:
    """A follower that is to have a line: the one it is for, or each that was granted it."""

    id: str
    name: str
    state: FollowerState
    enrolled: datetime | None = None
    last_seen: datetime | None = None

    @property
    def counts(self) -> bool:
        """Whether something is expected of it: not of a host that has not enrolled yet, or that was shut out."""
        return self.state is FollowerState.ACTIVE


@dataclass(frozen=True, slots=True)
class Behind:
    """A follower that has not reached its goal with a line's live version."""

    receiver: Receiver
    line_id: str
    line: str
    shared: bool  # the master keeps the key, so that several followers may have it
    version: int
    live_since: datetime
    deployment: Deployment | None


@dataclass(frozen=True, slots=True)
class InUse:
    """The version of a line that a follower has installed, as it last reported."""

    receiver: Receiver
    line_id: str
    line: str
    version: int
    not_before: datetime
    not_after: datetime  # when the first of its certificates ends


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line's version that a follower is to have, with all that the follower reported on the line's versions."""

    line: str
    receiver: Receiver
    version: Version
    since: datetime  # when it was offered
    reported: Mapping[int, Deployment] = field(default_factory=dict)  # by version
    newer: int | None = None  # the live version, where a rollout holds it back from this follower


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a follower is with a line. `pulled` to `served` name the newest version that got that far (null: none);
    `text` is the whole in words.
    """

    line: str
    follower: str
    wanted: int
    pulled: int | None
    installed: int | None
    reloaded: int | None
    served: int | None
    staged: int | None  # the version that waits there until it is live
    goal: str | None  # the last step that the host has configured; null: it has not told
    arrived: bool
    late: bool
    since: datetime  # wanted since; of what is held back: since the host said so
    error: str | None
    retry_at: datetime | None
    seen: dict[str, str]  # what the host's probe was shown: target -> SHA-256 of the leaf
    text: str


@dataclass(frozen=True, slots=True)
class NotDeployed:
    """A version that its host does not use. `error`: what the host reported; None when it reported nothing."""

    line: str
    follower: str
    version: int
    since: datetime
    error: str | None
    text: str  # the whole, for people


def steps_from(step: DeploymentState) -> tuple[DeploymentState, ...]:
    """This step and those after it."""
    return _STEPS[_STEPS.index(step) :]


def arrived(deployment: Deployment | None) -> bool:
    """Whether the host reached the last step that it has configured; one that does not tell it has installed."""
    if deployment is None or deployment.error:
        return False
    return _STEPS.index(deployment.state) >= _STEPS.index(deployment.goal or DeploymentState.INSTALLED)


def merged(former: Deployment | None, said: Deployment) -> Deployment:
    """What a host says now, with what is known of it. An error in other words (each try may have some) is the same
    trouble: since when stays. What had arrived and has not any more is wanted anew.
    """
    if former is None:
        return said
    same = (former.state, bool(former.error)) == (said.state, bool(said.error))
    fell_back = arrived(former) and not arrived(said)
    return replace(
        said,
        updated=former.updated if same else said.updated,
        wanted_since=said.updated if fell_back else former.wanted_since,
        alarmed=None if arrived(said) else former.alarmed,
    )


def waits_until(deployment: Deployment | None) -> datetime | None:
    """Until when the host waits on purpose, for its maintenance window or a version's first valid moment: it tells a
    next try, but no error.
    """
    return deployment.retry_at if deployment and not deployment.error else None


def late_at(since: datetime, deployment: Deployment | None, in_time: timedelta = IN_TIME) -> datetime:
    """When a version that has not arrived is late, whatever the host says it waits for."""
    until = min(waits_until(deployment) or since, since + LONGEST_WAIT)
    return max(since, until) + in_time


def wanted_since(
    deployment: Deployment | None, live_since: datetime, enrolled: datetime | None, offered: datetime | None = None
) -> datetime:
    """Since when a follower could have had a version: as on record, else since it was live and the follower there."""
    if deployment is not None and deployment.wanted_since:
        return deployment.wanted_since
    return max(moment for moment in (live_since, enrolled, offered) if moment)


def standing(wanted: Wanted, now: datetime, in_time: timedelta = IN_TIME) -> Standing:
    """How far the follower is with the version it is to have."""
    deployment = wanted.reported.get(wanted.version.number)
    trouble = _trouble(wanted) if wanted.receiver.counts else None
    there = arrived(deployment)
    late = not there and wanted.receiver.counts and late_at(wanted.since, deployment, in_time) <= now
    said = trouble or deployment
    return Standing(
        line=wanted.line,
        follower=wanted.receiver.name,
        wanted=wanted.version.number,
        **{_DONE[step]: _newest(wanted.reported.values(), step) for step in steps_from(DeploymentState.PULLED)},
        staged=_staged(wanted),
        goal=said.goal if said else None,
        arrived=there,
        late=late,
        since=trouble.updated if trouble else wanted.since,
        error=trouble.error if trouble else None,
        retry_at=said.retry_at if said else None,
        seen=dict(said.seen) if said else {},
        text=_text(wanted, deployment, trouble, late=late),
    )


def not_deployed(found: Standing) -> NotDeployed | None:
    """What is wrong, where something is: an error of the host, or a version that is late."""
    if not (found.late or found.error):
        return None
    return NotDeployed(found.line, found.follower, found.wanted, found.since, found.error, found.text)


def _trouble(wanted: Wanted) -> Deployment | None:
    """Of the wanted version, if the host spoke of it; else of the newest that it spoke of: a former one's trouble lasts
    until the host pulled the wanted one. A staged version's trouble is told where there is no other.
    """
    spoken_of = {one.version: one for one in wanted.reported.values() if one.state is not DeploymentState.WANTED}
    former = [one for one in spoken_of.values() if one.state is not DeploymentState.STAGED]
    last = spoken_of.get(wanted.version.number) or max(former, key=lambda one: one.version, default=None)
    staged = (one for one in spoken_of.values() if one.state is DeploymentState.STAGED)
    return next((one for one in (last, *staged) if one is not None and one.error), None)


def _staged(wanted: Wanted) -> int | None:
    waiting = (one for one in wanted.reported.values() if one.state is DeploymentState.STAGED and not one.error)
    return max((one.version for one in waiting if one.version != wanted.version.number), default=None)


def _newest(reported: Iterable[Deployment], step: DeploymentState) -> int | None:
    """A version that failed at a step was put back, so it got no further than it says."""
    reached = (one.version for one in reported if _STEPS.index(one.state) >= _STEPS.index(step))
    return max(reached, default=None)


def _text(wanted: Wanted, deployment: Deployment | None, trouble: Deployment | None, *, late: bool) -> str:
    name, number = wanted.receiver.name, wanted.version.number
    if trouble is not None:
        again = f"; tried again at {_minute(trouble.retry_at)}" if trouble.retry_at else ""
        text = f"version {trouble.version} is held back on {name} since {_minute(trouble.updated)}: {trouble.error}"
        return f"{text}{again}"
    if deployment is not None and arrived(deployment):
        text = f"version {number} is {deployment.state} on {name}"
        staged = _staged(wanted)
        text = f"{text}; version {staged} is staged there" if staged else text
        return f"{text}; version {wanted.newer} waits for its wave" if wanted.newer else text
    if not wanted.receiver.counts:
        return f"{name} is {wanted.receiver.state}: nothing is expected of it"
    missing = f"{name} has not {_next_step(deployment)} version {number} yet"
    until = waits_until(deployment)
    if until is not None and not late:
        return f"{missing}: it waits until {_minute(until)}"
    seen = _minute(wanted.receiver.last_seen) if wanted.receiver.last_seen else "never"
    return f"{missing} (last seen {seen})"


def _next_step(deployment: Deployment | None) -> str:
    done = deployment.state if deployment else DeploymentState.STAGED
    done = max(done, DeploymentState.STAGED, key=_STEPS.index)  # who is not to stage it pulls it at once
    return _DONE[_STEPS[min(_STEPS.index(done) + 1, len(_STEPS) - 1)]]


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
