"""Waves: a new version goes to the canaries first, then to the others group by group, and stops where one fails. Pure.

A follower may have a version once it was offered to it: that is on record as its deployment, and never taken back.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from certline_master.domain.deployment import Receiver, arrived
from certline_master.domain.model import Deployment, DeploymentState, Rollout, Version
from certline_master.domain.succession import NEVER, came

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

    @property
    def sentence(self) -> str:
        """For the event."""
        return f"version {self.wave.version}: {self.text}"

    @property
    def data(self) -> dict[str, object]:
        return {"version": self.wave.version, "step": self.wave.step, "stopped": self.wave.stopped}


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


@dataclass(frozen=True, slots=True)
class Offers:
    """What of a line may be offered: its live version, the former ones that can still be had, and how far each is."""

    live: Version
    former: tuple[Version, ...]
    rollout: Rollout | None
    waves: Mapping[int, Wave]  # by version

    def may_have(self, version: int, follower: str, offered: Collection[int]) -> bool:
        """Whether a version may be given to a follower; `offered` are the versions that were."""
        wave = self.waves.get(version)
        if self.rollout is None or wave is None or wave.finished or version in offered:
            return True
        return follower in self.rollout.canaries

    def choose(self, follower: str, offered: Collection[int], now: datetime) -> Version:
        """The version that a follower is to have: the newest it may have, never one before what it was offered.

        One that was offered none yet, or has nothing left to fall back on, gets the live one.
        """
        if not offered:
            return self.live
        known = {one.number: came(one) for one in (self.live, *self.former)}
        last = max((known[one] for one in offered if one in known), default=NEVER)
        gone = max((one for one in offered if one not in known), default=0)
        after = (one for one in self.former if last <= came(one) < came(self.live) and one.number > gone)
        good = (one for one in after if _ends(one) > now)
        allowed = (one for one in (self.live, *good) if self.may_have(one.number, follower, offered))
        return max(allowed, key=came, default=self.live)


def offered_to(told: Iterable[Deployment]) -> frozenset[int]:
    """The versions that a follower was offered, by what is on record of it: what is only staged there is not."""
    return frozenset(one.version for one in told if one.state is not DeploymentState.STAGED)


def first_to_end(versions: Iterable[Version]) -> Version | None:
    """Of versions that are in use."""
    return min(versions, key=_ends, default=None)


def _ends(version: Version) -> datetime:
    return min(one.not_after for one in version.certificates if one.not_after)


@dataclass(frozen=True, slots=True)
class Progress:
    """A rollout's present step, and how its followers do."""

    wave: Wave
    rollout: Rollout
    receivers: Sequence[Receiver]
    reported: Mapping[str, Deployment]  # of this version, by the follower's id
    former: Version | None = None  # of what the others have, what ends first; None: they have nothing
    ending: bool = False  # a certificate that somebody would stay with is to be revoked

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.receivers)

    def failure(self) -> str | None:
        """The first of this step; one that was there when the step was opened was accepted by whoever opened it."""
        for one in self.members():
            said = self.reported.get(one.id)
            if said and said.error and said.updated >= self.wave.opened:
                return f"version {self.wave.version} failed on {one.name}: {said.error}"
        return None

    def missing(self) -> list[str]:
        """Who has to get there before the next step."""
        return [one.name for one in self.members() if one.counts and not self._over(self.reported.get(one.id))]

    def served(self) -> datetime:
        """Since when nothing of the step is missing."""
        found = (self.reported.get(one.id) for one in self.members())
        return max((self.wave.opened, *(one.updated for one in found if one and arrived(one))))

    def members(self) -> list[Receiver]:
        """Who may have the version by its waves; nobody, where no canary was granted the line."""
        names = opened(self.rollout, self.names, self.wave.step)
        return [one for one in self.receivers if one.name in names]

    def _over(self, one: Deployment | None) -> bool:
        return one is not None and (arrived(one) or (bool(one.error) and one.updated < self.wave.opened))


KINDS = {
    Move.OPEN: "rollout.opened",
    Move.STOP: "rollout.stopped",
    Move.FINISH: "rollout.finished",
    Move.OVERRIDE: "rollout.overridden",
}
"""What the event of each move is called."""


def decide(progress: Progress, now: datetime) -> Decision:
    """What becomes of a rollout that is not finished."""
    wave, groups = progress.wave, steps(progress.rollout, progress.names)
    done = replace(wave, finished=now, stopped=None)
    if wave.step >= len(groups) - 1:
        return Decision(Move.FINISH, done, f"the last wave is open: all of {len(progress.receivers)} followers have it")
    if progress.former is None:
        return Decision(Move.FINISH, done, "the others have no former version that they could stay with")
    if _runs_short(progress.former, now):
        text = f"version {progress.former.number} ends {_minute(_ends(progress.former))}: all get the new one"
        return Decision(Move.OVERRIDE, done, text)
    if progress.ending:
        return Decision(Move.OVERRIDE, done, "what the others have is to be revoked: all get the new one")
    failure = wave.stopped or progress.failure()
    if failure:
        stopped = replace(wave, stopped=failure)
        return Decision(Move.WAIT if wave.stopped else Move.STOP, stopped, f"stopped: {failure}")
    return _go_on(progress, now)


def _go_on(progress: Progress, now: datetime) -> Decision:
    wave, missing = progress.wave, progress.missing()
    if missing:
        return Decision(Move.WAIT, wave, f"{called(wave.step)}: waits for {listed(missing)}")
    if progress.members():
        if progress.rollout.after_seconds is None:
            return Decision(Move.WAIT, wave, f"{called(wave.step)} is well; it goes on by command")
        until = progress.served() + timedelta(seconds=progress.rollout.after_seconds)
        if until > now:
            return Decision(Move.WAIT, wave, f"{called(wave.step)} is well; it goes on at {_minute(until)}")
    return opening(progress, now)


def opening(progress: Progress, now: datetime) -> Decision:
    """The next step; the last one again, where there is none."""
    wave, names = progress.wave, progress.names
    step = min(wave.step + 1, len(steps(progress.rollout, names)) - 1)
    fresh = opened(progress.rollout, names, step) - opened(progress.rollout, names, wave.step)
    text = f"{called(step)} is open: {listed(sorted(fresh))}"
    return Decision(Move.OPEN, replace(wave, step=step, opened=now, stopped=None), text)


def _runs_short(version: Version, now: datetime) -> bool:
    return any(
        one.not_after - now <= (one.not_after - one.not_before) / MARGIN
        for one in version.certificates
        if one.not_before and one.not_after
    )


def called(step: int) -> str:
    """A step in words."""
    return f"wave {step}" if step else "the canary step"


def listed(names: Sequence[str]) -> str:
    """Some names in words."""
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown or "nobody"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
