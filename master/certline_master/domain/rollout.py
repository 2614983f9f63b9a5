"""Waves: a new version goes to the canaries first, then to the others group by group, and stops where one fails. Pure.

A follower may have a version once it was offered to it: that is on record as its deployment, and never taken back.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from certline_master.domain.deployment import Receiver, arrived
from certline_master.domain.model import Deployment, Rollout, Version, VersionState

MARGIN = 6
"""All get the new version once less than this part of the former one's lifetime is left."""


@dataclass(frozen=True, slots=True)
class Wave:
    """How far a version's rollout has come; step 0 are the canaries. Without a Wave all may have the version."""

    line_id: str
    version: int
    step: int
    opened: datetime
    stopped: str | None = None  # why no further step is opened, in words for the operator
    finished: datetime | None = None  # since when all may have it


class Move(StrEnum):
    WAIT = "wait"
    OPEN = "open"
    STOP = "stop"
    FINISH = "finish"
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a wave. `wave` is what it becomes; `text` says why, or what it waits for."""

    move: Move
    wave: Wave
    text: str


def steps(rollout: Rollout, receivers: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The followers of each step: the canaries, then the others by name, in groups."""
    names = sorted(receivers)
    canaries = tuple(name for name in names if name in rollout.canaries)
    others = [name for name in names if name not in rollout.canaries]
    size = rollout.wave or max(len(others), 1)
    return (canaries, *(tuple(others[start : start + size]) for start in range(0, len(others), size)))


def opened(rollout: Rollout, receivers: Iterable[str], step: int) -> frozenset[str]:
    """The followers of this step and of those before it."""
    return frozenset(name for group in steps(rollout, receivers)[: step + 1] for name in group)


def may_have(version: int, follower: str, rollout: Rollout | None, wave: Wave | None, offered: Collection[int]) -> bool:
    """Whether a version may be given to a follower; `offered` are the versions that were."""
    if rollout is None or wave is None or wave.finished or version in offered:
        return True
    return follower in rollout.canaries


def choose(
    live: Version,
    versions: Iterable[Version],
    follower: str,
    rollout: Rollout | None,
    waves: Mapping[int, Wave],
    offered: Collection[int],
    now: datetime,
) -> Version:
    """The version that a follower is to have: the newest it may have, never one before what it was offered.

    One that has none yet, or has nothing left to fall back on, gets the live one.
    """
    floor = max(offered, default=live.number)
    held = [one for one in versions if one.state is VersionState.RETIRED and floor <= one.number < live.number]
    for version in (live, *sorted(held, key=lambda one: -one.number)):
        good = version is live or _good_until(version) > now
        if good and may_have(version.number, follower, rollout, waves.get(version.number), offered):
            return version
    return live


def _good_until(version: Version) -> datetime:
    return min(one.not_after for one in version.certificates if one.not_after)


def decide(
    wave: Wave,
    rollout: Rollout | None,
    receivers: Sequence[Receiver],
    reported: Mapping[str, Deployment],
    former: Version | None,
    now: datetime,
) -> Decision:
    """What becomes of a rollout. `reported`: of this version, by the follower's name; `former`: what the others have.

    A failure that was there when the present step was opened was seen by whoever opened it, and stops nothing.
    """
    if wave.finished:
        return Decision(Move.WAIT, wave, f"version {wave.version} may go to all followers")
    done = replace(wave, finished=now, stopped=None)
    if rollout is None:
        return Decision(Move.FINISH, done, "the line has no rollout any more")
    groups = steps(rollout, (one.name for one in receivers))
    if wave.step >= len(groups) - 1:
        return Decision(Move.FINISH, done, f"the last wave is open: all {len(receivers)} followers may have it")
    urgent = _cannot_wait(former, now)
    if urgent:
        return Decision(Move.OVERRIDE, done, urgent)
    if wave.stopped:
        return Decision(Move.WAIT, wave, f"stopped: {wave.stopped}")
    return _go_on(_Step(wave, rollout, receivers, reported), len(groups), now)


@dataclass(frozen=True, slots=True)
class _Step:
    """A rollout's present step, and how its followers do."""

    wave: Wave
    rollout: Rollout
    receivers: Sequence[Receiver]
    reported: Mapping[str, Deployment]

    def failures(self) -> list[Deployment]:
        found = (one for name, one in sorted(self.reported.items()) if name in self.members())
        return [one for one in found if one.error and one.updated >= self.wave.opened]

    def missing(self) -> list[str]:
        """Who has to get there before the next step; a failure that was accepted is waited for no more."""
        expected = (one.name for one in self.receivers if one.counts and one.name in self.members())
        return sorted(name for name in expected if not self._over(self.reported.get(name)))

    def served(self) -> datetime:
        """Since when nothing of the step is missing."""
        moments = (one.updated for name, one in self.reported.items() if name in self.members() and arrived(one))
        return max((self.wave.opened, *moments))

    def _over(self, one: Deployment | None) -> bool:
        return one is not None and (arrived(one) or (bool(one.error) and one.updated < self.wave.opened))

    def _names(self) -> frozenset[str]:
        return opened(self.rollout, (one.name for one in self.receivers), self.wave.step)


def _go_on(step: _Step, count: int, now: datetime) -> Decision:
    wave, rollout = step.wave, step.rollout
    failures = step.failures()
    if failures:
        names = {one.id: one.name for one in step.receivers}
        why = f"version {wave.version} failed on {names[failures[0].follower_id]}: {failures[0].error}"
        return Decision(Move.STOP, replace(wave, stopped=why), why)
    missing = step.missing()
    if missing:
        return Decision(Move.WAIT, wave, f"{called(wave.step)}: waits for {_listed(missing)}")
    if step.members():
        if rollout.after_seconds is None:
            return Decision(Move.WAIT, wave, f"{called(wave.step)} is well; goes on by command")
        until = step.served() + timedelta(seconds=rollout.after_seconds)
        if until > now:
            return Decision(Move.WAIT, wave, f"{called(wave.step)} is well; goes on at {until:%Y-%m-%d %H:%M} UTC")
    return opening(wave, rollout, [one.name for one in step.receivers], count, now)


def opening(wave: Wave, rollout: Rollout, receivers: Collection[str], count: int, now: datetime) -> Decision:
    """The next step; behind the last one there is none."""
    step = min(wave.step + 1, count - 1)
    fresh = opened(rollout, receivers, step) - opened(rollout, receivers, wave.step)
    text = f"{called(step)} is open: {_listed(sorted(fresh))}"
    return Decision(Move.OPEN, replace(wave, step=step, opened=now, stopped=None), text)


def _cannot_wait(former: Version | None, now: datetime) -> str | None:
    """Why the others cannot stay with what they have; None while they can."""
    if former is None or former.state is not VersionState.RETIRED:
        return "there is no former version that the others could stay with"
    for one in former.certificates:
        if one.not_before and one.not_after and one.not_after - now <= (one.not_after - one.not_before) / MARGIN:
            return f"version {former.number} ends {one.not_after:%Y-%m-%d %H:%M} UTC: all get the new one"
    return None


def called(step: int) -> str:
    return f"wave {step}" if step else "the canary step"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "nobody"
