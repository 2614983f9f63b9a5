"""Admin tokens: their hashes, and what each may do."""

from datetime import datetime, timedelta

from sqlalchemy import case, insert, or_, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Conflict, Forbidden, NotFound
from certline_master.domain.model import AdminToken
from certline_master.store.scope import sees_all
from certline_master.store.session import Session, Shape, param
from certline_master.store.tables import admin_tokens

_TOKEN = Shape(AdminToken, admin_tokens)
_GOOD = select(*_TOKEN.columns, admin_tokens.c.sha256).where(admin_tokens.c.revoked.is_(None))
_ALL = _GOOD.order_by(admin_tokens.c.created, admin_tokens.c.name)
_BY_PREFIX = _GOOD.where(admin_tokens.c.prefix == param("wanted"))
_BY_NAME = _GOOD.where(admin_tokens.c.name == param("wanted"))
_ADD = insert(admin_tokens)
_REVOKE = (
    update(admin_tokens)
    .where(admin_tokens.c.id == param("wanted"), admin_tokens.c.revoked.is_(None))
    .values(revoked=param("now", admin_tokens.c.revoked))
)
_USED_EVERY = timedelta(minutes=1)
_OLD = or_(admin_tokens.c.last_used.is_(None), admin_tokens.c.last_used <= param("before", admin_tokens.c.last_used))
_USED = (
    update(admin_tokens)
    .where(admin_tokens.c.id == param("wanted"), _OLD)
    .values(last_used=param("now", admin_tokens.c.last_used))
)
_UNTIL = param("until", admin_tokens.c.expires)
_SUPERSEDE = (
    update(admin_tokens)
    .where(admin_tokens.c.id == param("wanted"), admin_tokens.c.revoked.is_(None))
    .values(name=param("other"), expires=case((admin_tokens.c.expires < _UNTIL, admin_tokens.c.expires), else_=_UNTIL))
)
_REVOKE_NAMED = (
    update(admin_tokens)
    .where(admin_tokens.c.name == param("named"), admin_tokens.c.revoked.is_(None))
    .values(revoked=param("now", admin_tokens.c.revoked))
)


class Tokens:
    def __init__(self, session: Session) -> None:
        self._session = session

    def all(self, caller: Caller) -> list[AdminToken]:
        """Those not revoked, the oldest first."""
        return [_TOKEN.read(row) for row in self._session.rows(_ALL)] if sees_all(caller) else []

    def add(self, caller: Caller, token: AdminToken, sha256: bytes) -> None:
        """Raises Conflict while a token of that name is not revoked."""
        caller.require(Role.ADMIN)
        if self._session.row(_BY_NAME, {"wanted": token.name}):
            raise Conflict(f"there is a token {token.name!r} already: revoke it first, or choose another name")
        self._session.run(_ADD, _TOKEN.write(token) | {"sha256": sha256, "revoked": None})

    def by_prefix(self, caller: Caller, prefix: str) -> list[tuple[AdminToken, bytes]]:
        if caller.role is not Role.SYSTEM:
            raise Forbidden("only the master itself compares tokens")
        return [(_TOKEN.read(row), row.sha256) for row in self._session.rows(_BY_PREFIX, {"wanted": prefix})]

    def used(self, caller: Caller, token_id: str, now: datetime) -> None:
        """At most once a minute."""
        caller.require(Role.SYSTEM)
        self._session.run(_USED, {"wanted": token_id, "now": now, "before": now - _USED_EVERY})

    def supersede(self, caller: Caller, token_id: str, *, name: str, until: datetime, now: datetime) -> None:
        """What had that name is revoked: of a token that is exchanged again and again two are good at most."""
        caller.require(Role.ADMIN)
        self._session.run(_REVOKE_NAMED, {"named": name, "now": now})
        if not self._session.run(_SUPERSEDE, {"wanted": token_id, "other": name, "until": until}):
            raise NotFound("token", token_id)

    def revoke(self, caller: Caller, token_id: str, now: datetime) -> None:
        caller.require(Role.ADMIN)
        if not self._session.run(_REVOKE, {"wanted": token_id, "now": now}):
            raise NotFound("token", token_id)
