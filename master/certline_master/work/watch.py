"""What is looked at from time to time: rollouts that can go on, versions that are late, and how long all would last."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from certline_master.domain.access import SYSTEM
from certline_master.domain.deployment import Behind, late_at, wanted_since
from certline_master.domain.errors import DomainError
from certline_master.domain.model import DeploymentState
from certline_master.domain.ports import Records
from certline_master.domain.rollout import KINDS, Decision, Move, Progress, Wave, decide
from certline_master.domain.survival import NAMES, Budget, budgets, in_words
from certline_master.work.context import Context
from certline_shared.failpoints import failpoint

EVERY = timedelta(seconds=30)
SURVIVAL_EVERY = timedelta(hours=1)
SURVIVAL_TOLD = timedelta(days=1)
SURVIVAL_KEY = "survival.told"

AT_ONCE = 200  # in one transaction

log = logging.getLogger("certline.work.watch")


@dataclass(slots=True)
class Watch:
    """All of it is on record, so that a restart or a second master changes nothing: each thing is told once."""

    context: Context
    _survival_due: float = field(default=float("-inf"), init=False)

    def turn(self) -> None:
        """Look once. What fails for one line keeps no other back."""
        self._move_waves()
        self._tell_late()
        moment = self.context.clock.monotonic()
        if moment >= self._survival_due:
            self._survival_due = moment + SURVIVAL_EVERY.total_seconds()
            self._tell_survival()

    # --- waves ---

    def _move_waves(self) -> None:
        with self.context.store.read() as records:
            under_way = records.waves.under_way(SYSTEM)
        for wave in under_way:
            try:
                self._move(wave)
            except DomainError as fault:
                log.error("a rollout cannot be looked at", extra={"line": wave.line_id, "error": str(fault)})

    def _move(self, wave: Wave) -> None:
        now = self.context.clock.now()
        with self.context.store.read() as records:
            progress = records.waves.progress(SYSTEM, wave, now)
        if progress is None:
            return
        decided = decide(progress, now)
        if decided.move is Move.WAIT:
            return
        if self.context.store.write(lambda records: _record(records, progress, decided, now)):
            failpoint("rollout.moved")
            for one in progress.receivers:
                self.context.bell.ring(f"follower:{one.id}")

    # --- late deployments ---

    def _tell_late(self) -> None:
        now, within = self.context.clock.now(), self.context.alarms.deployed_within
        with self.context.store.read() as records:
            behind = _offered(records, records.standings.behind(SYSTEM, now - within))
        new = [one for one in behind if one.shared and not _is_offered(one)]
        late = [one for one in behind if late_at(_since(one, now), one.deployment, within) <= now]
        for some in _portions(new):
            self.context.store.write(partial(_note_offers, some=some, now=now))
        for some in _portions(late):
            self.context.store.write(partial(_alarm, some=some, now=now))
            failpoint("late.told")

    # --- survival ---

    def _tell_survival(self) -> None:
        now, limit = self.context.clock.now(), self.context.alarms.survival
        with self.context.store.read() as records:
            by_http = {one.name for one in records.http.all(SYSTEM)}
            in_use, live = records.standings.in_use(SYSTEM), records.standings.live_until(SYSTEM)
        low = [one for one in budgets(in_use, live, by_http, now, limit) if one.low]
        if low:
            self.context.store.write(lambda records: _tell_low(records, low, now))


def _portions(every: Sequence[Behind]) -> Iterator[Sequence[Behind]]:
    return (every[start : start + AT_ONCE] for start in range(0, len(every), AT_ONCE))


def _record(records: Records, progress: Progress, decided: Decision, now: datetime) -> bool:
    if not records.waves.move(SYSTEM, progress, decided.wave, now=now):
        return False  # somebody else moved it
    line = records.lines.by_id(SYSTEM, decided.wave.line_id)
    kind, subject = KINDS[decided.move], f"line:{line.name}"
    records.events.add(SYSTEM, kind, subject, decided.sentence, now=now, data=decided.data)
    return True


def _offered(records: Records, behind: Iterable[Behind]) -> list[Behind]:
    """Without those to whom a rollout has not offered the version yet."""
    every = list(behind)
    waves = records.waves.of_lines(SYSTEM, list({one.line_id for one in every if one.shared}))
    held = {line_id: of_line for line_id, of_line in waves.items() if any(not one.finished for one in of_line.values())}
    rollouts = {line_id: records.lines.by_id(SYSTEM, line_id).rollout for line_id in held}

    def may_have(one: Behind) -> bool:
        wave, rollout = held.get(one.line_id, {}).get(one.version), rollouts.get(one.line_id)
        if _is_offered(one) or wave is None or wave.finished or rollout is None:
            return True
        return one.receiver.name in rollout.canaries

    return [one for one in every if may_have(one)]


def _is_offered(one: Behind) -> bool:
    return one.deployment is not None and one.deployment.state is not DeploymentState.STAGED


def _since(one: Behind, now: datetime) -> datetime:
    """Of a line that several share a new host may have been granted it just now: it has its time from then on."""
    if one.shared and one.deployment is None:
        return now
    return wanted_since(one.deployment, one.live_since, one.receiver.enrolled)


def _note_offers(records: Records, some: Iterable[Behind], now: datetime) -> None:
    for one in some:
        records.standings.want(SYSTEM, one.receiver.id, one.line_id, one.version, since=now)


def _alarm(records: Records, some: Iterable[Behind], now: datetime) -> None:
    for one in some:
        key = one.receiver.id, one.line_id, one.version
        since = _since(one, now)
        records.standings.want(SYSTEM, *key, since=since)
        if records.standings.alarm(SYSTEM, *key, now=now):
            state = one.deployment.state if one.deployment else "wanted"
            text = (
                f"version {one.version} is not in use on {one.receiver.name}: {state} since {since:%Y-%m-%d %H:%M} UTC"
            )
            why = one.deployment.error if one.deployment else None
            data = {"follower": one.receiver.name, "version": one.version, "state": str(state), "error": why}
            text = f"{text}: {why}" if why else text
            records.events.add(SYSTEM, "deployment.late", f"line:{one.line}", text, now=now, data=data)


def _tell_low(records: Records, low: Iterable[Budget], now: datetime) -> None:
    told = records.instance.get(SYSTEM, SURVIVAL_KEY)
    if told is not None and now - datetime.fromisoformat(told) < SURVIVAL_TOLD:
        return
    if records.instance.swap(SYSTEM, SURVIVAL_KEY, told, now.isoformat()):
        text = "; ".join(f"if the {NAMES[one.what]} stops: {in_words(one)}" for one in low)
        data: dict[str, object] = {
            one.what: {"until": one.until.isoformat(), "line": one.line, "follower": one.follower} for one in low
        }
        records.events.add(SYSTEM, "fleet.survival-low", "fleet:survival", text, now=now, data=data)
