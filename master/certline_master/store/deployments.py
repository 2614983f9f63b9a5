"""Deployments: which version is how far on which follower."""

from collections.abc import Sequence

from sqlalchemy import func, select

from certline_master.domain.access import Caller
from certline_master.domain.errors import NotFound
from certline_master.domain.model import Deployment
from certline_master.store.scope import SEEN, own, sees_all
from certline_master.store.session import Session, Shape, Upsert, param, several
from certline_master.store.tables import deployments, lines

_DEPLOYMENT = Shape(Deployment, deployments)
_KEY = ("follower_id", "line_id", "version")
_REPORT = Upsert(deployments, _KEY, [name for name in _DEPLOYMENT.names if name not in _KEY])
_SEEN_LINE = select(lines.c.id).where(lines.c.id == param("line"), SEEN)
_ALL = select(*_DEPLOYMENT.columns).order_by(deployments.c.version.desc(), deployments.c.line_id)
_OF_LINE = _ALL.where(deployments.c.line_id == param("line"))
_OF_FOLLOWER = _ALL.where(deployments.c.follower_id == param("follower"))
_OF_BOTH = _OF_LINE.where(deployments.c.follower_id == param("follower"))
_FIND = {(False, False): _ALL, (True, False): _OF_LINE, (False, True): _OF_FOLLOWER, (True, True): _OF_BOTH}
_OTHER = deployments.alias("other")
_LAST = (
    select(func.max(_OTHER.c.version))
    .where(_OTHER.c.follower_id == deployments.c.follower_id, _OTHER.c.line_id == deployments.c.line_id)
    .scalar_subquery()
)
_NEWEST = select(*_DEPLOYMENT.columns).where(
    deployments.c.line_id.in_(several("wanted")), deployments.c.version == _LAST
)
_OWN_NEWEST = _NEWEST.where(deployments.c.follower_id == param("own"))


class Deployments:
    def __init__(self, session: Session) -> None:
        self._session = session

    def report(self, deployment: Deployment) -> None:
        row = self._session.row(_SEEN_LINE, {"line": deployment.line_id, "own": deployment.follower_id})
        if row is None:
            raise NotFound("line", deployment.line_id)
        self._session.run(_REPORT.on(self._session), _DEPLOYMENT.write(deployment))

    def all(self, caller: Caller, *, line_id: str | None, follower_id: str | None) -> list[Deployment]:
        if not sees_all(caller):
            if follower_id not in (None, caller.follower_id):
                return []
            follower_id = caller.follower_id or ""
        given = {"line": line_id, "follower": follower_id}
        statement = _FIND[line_id is not None, follower_id is not None]
        wanted = {name: value for name, value in given.items() if value is not None}
        return [_DEPLOYMENT.read(row) for row in self._session.rows(statement, wanted)]

    def newest(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, Deployment]:
        """By line id."""
        statement, scope = (_NEWEST, {}) if sees_all(caller) else (_OWN_NEWEST, own(caller))
        rows = self._session.rows(statement, {"wanted": list(line_ids), **scope})
        return {found.line_id: found for found in map(_DEPLOYMENT.read, rows)}
