"""Waves: how far each version's rollout has come."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import and_, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.model import Rollout, Version, VersionState
from certline_master.domain.rollout import Offers, Progress, Wave, first_to_end, offered_to
from certline_master.domain.succession import was_live
from certline_master.store.scope import SEEN, own, sees_all
from certline_master.store.session import Session, Shape, number, param, several
from certline_master.store.standings import Standings
from certline_master.store.tables import lines, revocations, versions, waves
from certline_master.store.versions import Versions

_WAVE = Shape(Wave, waves)
_OF_LINES = select(*_WAVE.columns).where(waves.c.line_id.in_(several("wanted"))).order_by(waves.c.version)
_OWN_OF_LINES = _OF_LINES.join(lines, lines.c.id == waves.c.line_id).where(SEEN)
_UNDER_WAY = (
    select(*_WAVE.columns)
    .join(versions, and_(versions.c.line_id == waves.c.line_id, versions.c.number == waves.c.version))
    .where(waves.c.finished.is_(None), versions.c.state == VersionState.LIVE)
)
_TO_BE_REVOKED = select(revocations.c.id).where(revocations.c.certificate_id.in_(several("wanted"))).limit(1)
_LINE = select(lines.c.rollout).where(lines.c.id == param("wanted"))
_MOVE = (
    update(waves)
    .where(
        waves.c.line_id == param("line"),
        waves.c.version == number("which"),
        waves.c.step == number("was_step"),
        waves.c.stopped.is_not_distinct_from(param("was_stopped")),
        waves.c.finished.is_(None),
    )
    .values(
        step=number("then_step"),
        opened=param("then_opened", waves.c.opened),
        stopped=param("then_stopped"),
        finished=param("then_finished", waves.c.finished),
    )
)


class Waves:
    def __init__(self, session: Session) -> None:
        self._session = session

    def of_lines(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, dict[int, Wave]]:
        """By line id and version."""
        statement, scope = (_OF_LINES, {}) if sees_all(caller) else (_OWN_OF_LINES, own(caller))
        found: dict[str, dict[int, Wave]] = defaultdict(dict)
        for wave in map(_WAVE.read, self._session.rows(statement, {"wanted": list(line_ids), **scope})):
            found[wave.line_id][wave.version] = wave
        return dict(found)

    def under_way(self, caller: Caller) -> list[Wave]:
        """Those of live versions that not all may have yet."""
        return [_WAVE.read(row) for row in self._session.rows(_UNDER_WAY)] if sees_all(caller) else []

    def progress(self, caller: Caller, wave: Wave, now: datetime) -> Progress | None:
        """How the wave's followers do; None where the line has no rollout, or a follower asks."""
        line = self._session.row(_LINE, {"wanted": wave.line_id}) if sees_all(caller) else None
        if line is None or line.rollout is None:
            return None
        standings = Standings(self._session)
        receivers = standings.receivers(caller, [wave.line_id]).get(wave.line_id, ())
        reported = {who: told for (_, who), told in standings.reported(caller, [wave.line_id]).items()}
        offers = self._offers(caller, wave.line_id, line.rollout)
        offered = {one.id: offered_to(reported.get(one.id, {}).values()) for one in receivers}
        chosen = [offers.choose(one.name, offered[one.id], now) for one in receivers] if offers else []
        former = [one for one in chosen if one.number != wave.version]
        return Progress(
            wave,
            line.rollout,
            receivers,
            {who: told[wave.version] for who, told in reported.items() if wave.version in told},
            first_to_end(former),
            self._is_ending(former),
        )

    def _is_ending(self, former: Sequence[Version]) -> bool:
        """Whether one of their certificates is to be revoked, or was."""
        wanted = sorted({certificate.id for one in former for certificate in one.certificates})
        return bool(wanted) and self._session.row(_TO_BE_REVOKED, {"wanted": wanted}) is not None

    def _offers(self, caller: Caller, line_id: str, rollout: Rollout) -> Offers | None:
        versions = Versions(self._session).all(caller, line_id)
        live = next((one for one in versions if one.state is VersionState.LIVE), None)
        former = tuple(one for one in versions if one.state is VersionState.RETIRED and was_live(one))
        return Offers(live, former, rollout, self.of_lines(caller, [line_id]).get(line_id, {})) if live else None

    def move(self, caller: Caller, progress: Progress, then: Wave, *, now: datetime) -> bool:
        """Who comes in with the step is noted as offered the version."""
        caller.require(Role.OPERATOR)
        was = progress.wave
        change = {
            "line": was.line_id,
            "which": was.version,
            "was_step": was.step,
            "was_stopped": was.stopped,
            "then_step": then.step,
            "then_opened": then.opened,
            "then_stopped": then.stopped,
            "then_finished": then.finished,
        }
        if not self._session.run(_MOVE, change):
            return False
        standings, moved = Standings(self._session), replace(progress, wave=then)
        for one in moved.members():
            standings.want(caller, one.id, was.line_id, was.version, since=now)
        return True
