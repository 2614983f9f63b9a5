"""A line's rollout as it is shown, and as people move it: on, to all, or no further."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict
from certline_master.domain.model import Line, Rollout
from certline_master.domain.ports import Records
from certline_master.domain.rollout import KINDS, Decision, Move, Progress, Wave, decide, opening, steps

Action = Literal["continue", "stop", "all"]


@dataclass(frozen=True, slots=True)
class StepView:
    step: int  # 0 are the canaries
    followers: tuple[str, ...]
    open: bool


@dataclass(frozen=True, slots=True)
class RolloutView:
    """`version` is the live one; `text` says how its rollout stands. `stopped`: why it goes no further."""

    canaries: tuple[str, ...]
    wave: int | None
    after_seconds: int | None
    version: int | None
    step: int | None
    opened: datetime | None
    stopped: str | None
    finished: datetime | None
    steps: tuple[StepView, ...]
    text: str


def rollout_view(
    records: Records, caller: Caller, line: Line, version: int | None, *, now: datetime
) -> RolloutView | None:
    """None where the line has no rollout."""
    if line.rollout is None:
        return None
    wave = records.waves.of_lines(caller, [line.id]).get(line.id, {}).get(version or 0)
    names = tuple(one.name for one in records.standings.receivers(caller, [line.id]).get(line.id, ()))
    under_way = wave is not None and not wave.finished
    return RolloutView(
        canaries=line.rollout.canaries,
        wave=line.rollout.wave,
        after_seconds=line.rollout.after_seconds,
        version=version,
        step=wave.step if wave else None,
        opened=wave.opened if wave else None,
        stopped=wave.stopped if wave else None,
        finished=wave.finished if wave else None,
        steps=_steps(line.rollout, names, wave if under_way else None),
        text=_text(records, caller, wave, now) if wave and under_way else _text_at_rest(version),
    )


def _steps(rollout: Rollout, names: "tuple[str, ...]", wave: Wave | None) -> "tuple[StepView, ...]":
    groups = enumerate(steps(rollout, names))
    return tuple(StepView(step, group, wave is None or step <= wave.step) for step, group in groups)


def _text(records: Records, caller: Caller, wave: Wave, now: datetime) -> str:
    progress = records.waves.progress(caller, wave, now)
    return decide(progress, now).text if progress else _text_at_rest(wave.version)


def _text_at_rest(version: int | None) -> str:
    return f"all followers may have version {version}" if version else "there is no version yet"


def move(records: Records, caller: Caller, line: Line, action: Action, now: datetime) -> tuple[str, ...]:
    """Do as an operator says, with its event; the bell's topics to ring. Raises Conflict where nothing is under way."""
    version = records.versions.live(SYSTEM, [line.id]).get(line.id)
    wave = records.waves.of_lines(SYSTEM, [line.id]).get(line.id, {}).get(version.number) if version else None
    progress = records.waves.progress(SYSTEM, wave, now) if wave and not wave.finished else None
    if progress is None:
        raise Conflict(f"no rollout of line {line.name} is under way: all followers may have what is live")
    decided = _WAYS[action](progress, caller, now)
    if not records.waves.move(caller, progress, decided.wave, now=now):
        raise Conflict("the rollout was moved by somebody else just now: look again")
    text = f"{caller.actor}: {decided.sentence}"
    records.events.add(caller, KINDS[decided.move], f"line:{line.name}", text, now=now, data=decided.data)
    return tuple(f"follower:{one.id}" for one in progress.receivers)


def _go_on(progress: Progress, _caller: Caller, now: datetime) -> Decision:
    """What failed until now is accepted."""
    return opening(progress, now)


def _stop(progress: Progress, caller: Caller, _now: datetime) -> Decision:
    why = f"by {caller.actor}"
    return Decision(Move.STOP, replace(progress.wave, stopped=progress.wave.stopped or why), f"stopped {why}")


def _to_all(progress: Progress, _caller: Caller, now: datetime) -> Decision:
    return Decision(Move.FINISH, replace(progress.wave, finished=now, stopped=None), "all followers may have it")


_WAYS: dict[Action, Callable[[Progress, Caller, datetime], Decision]] = {
    "continue": _go_on,
    "stop": _stop,
    "all": _to_all,
}
