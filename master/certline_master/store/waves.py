"""Waves: how far each version's rollout has come."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import and_, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.model import VersionState
from certline_master.domain.rollout import Wave
from certline_master.store.scope import SEEN, own, sees_all
from certline_master.store.session import Session, Shape, number, param, several
from certline_master.store.tables import lines, versions, waves

_WAVE = Shape(Wave, waves)
_OF_LINES = select(*_WAVE.columns).where(waves.c.line_id.in_(several("wanted"))).order_by(waves.c.version)
_OWN_OF_LINES = _OF_LINES.join(lines, lines.c.id == waves.c.line_id).where(SEEN)
_UNDER_WAY = (
    select(*_WAVE.columns)
    .join(versions, and_(versions.c.line_id == waves.c.line_id, versions.c.number == waves.c.version))
    .where(waves.c.finished.is_(None), versions.c.state == VersionState.LIVE)
)
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

    def move(self, caller: Caller, was: Wave, then: Wave) -> bool:
        """False, and nothing changed, when it is not as it was any more."""
        caller.require(Role.OPERATOR)
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
        return self._session.run(_MOVE, change) == 1
