"""Followers: their keys, grants, enrolment, and what they report."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Conflict, Forbidden, NotFound
from certline_master.domain.model import Deployment, Follower, FollowerState, Grant
from certline_master.domain.placement import MANIFESTS_MARK
from certline_master.domain.ports import EnrolmentToken
from certline_master.store.changes import UNSEEN
from certline_master.store.deployments import Deployments
from certline_master.store.enrolments import Enrolments
from certline_master.store.grants import FOLLOWER, followers_of, set_grants
from certline_master.store.scope import may_touch, own, sees_all
from certline_master.store.session import Session, Upsert, param
from certline_master.store.tables import followers, instance, nonces

_NONCE_LIFE = timedelta(minutes=10)
_TOUCH_EVERY = timedelta(minutes=1)

_FIND = select(*FOLLOWER.columns)
_ALL = _FIND.order_by(followers.c.name)
_OWN = _FIND.where(followers.c.id == param("own"))
_BY_NAME = _FIND.where(followers.c.name == param("wanted"))
_BY_ID = _FIND.where(followers.c.id == param("wanted"))
_MARK = select(instance.c.value).where(instance.c.key == MANIFESTS_MARK).scalar_subquery()
_ASKING = select(*FOLLOWER.columns, _MARK.label("mark")).where(followers.c.id == param("wanted"))
_NOBODY = (None,) * (len(FOLLOWER.names) - 1)
_SAVE = Upsert(
    followers,
    ("id",),
    ("name", "owner", "state", "state_reason", "groups", "networks", "lock_clones"),
    where=lambda new: or_(followers.c.state != FollowerState.REVOKED, new.state == FollowerState.REVOKED),
)
_DELETE = delete(followers).where(followers.c.id == param("wanted"))

_TOUCH = (
    update(followers)
    .where(
        followers.c.id == param("wanted"),
        or_(followers.c.last_seen.is_(None), followers.c.last_seen <= param("before", followers.c.last_seen)),
    )
    .values(last_seen=param("now", followers.c.last_seen))
    .execution_options(**UNSEEN)
)
_SET_AGENT = (
    update(followers)
    .where(followers.c.id == param("wanted"), followers.c.agent.is_distinct_from(param("program")))
    .values(agent=param("program"), last_seen=param("now", followers.c.last_seen))
    .execution_options(**UNSEEN)
)
_SET_SKEW = (
    update(followers)
    .where(followers.c.id == param("wanted"))
    .values(skew_seconds=param("skew", followers.c.skew_seconds))
    .execution_options(**UNSEEN)
    .execution_options(**UNSEEN)
)
_RAISE_SERIAL = (
    update(followers)
    .where(followers.c.id == param("wanted"), followers.c.manifest_tag.is_distinct_from(param("tag")))
    .values(manifest_tag=param("tag"), manifest_serial=followers.c.manifest_serial + 1)
    .execution_options(**UNSEEN)
)
_SERIAL = select(followers.c.manifest_serial).where(followers.c.id == param("wanted"))

_REMEMBER = Upsert(nonces, ("follower_id", "nonce"), ())
_FORGET = delete(nonces).where(nonces.c.at < param("before", nonces.c.at))


class Followers:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._enrolments, self._deployments = Enrolments(session), Deployments(session)

    def all(self, caller: Caller) -> list[Follower]:
        """By name."""
        rows = self._session.rows(_ALL) if sees_all(caller) else self._session.rows(_OWN, own(caller))
        return followers_of(self._session, rows)

    def get(self, caller: Caller, name: str) -> Follower:
        return self._one(caller, _BY_NAME, name)

    def by_id(self, caller: Caller, follower_id: str) -> Follower:
        return self._one(caller, _BY_ID, follower_id)

    def asking(self, caller: Caller, follower_id: str) -> tuple[Follower, str] | None:
        row = self._session.row(_ASKING, {"wanted": follower_id})
        if row is None or not may_touch(caller, row.id):
            return None
        return FOLLOWER.read(row), row.mark or ""

    def save(self, caller: Caller, follower: Follower) -> None:
        """What it is enrolled with, and what it reported, is written only when the follower is new."""
        caller.require(Role.OPERATOR)
        row = FOLLOWER.write(follower) | {"created": follower.created or self._session.clock.now()}
        with self._session.all_or_nothing(f"there is another follower {follower.name!r} already"):
            saved = self._session.run(_SAVE.on(self._session), row)
        if not saved:
            raise Conflict(f"the follower {follower.name!r} was revoked meanwhile, for good")
        self.set_grants(caller, follower.id, follower.grants)

    def delete(self, caller: Caller, name: str) -> None:
        caller.require(Role.OPERATOR)
        follower = self.get(caller, name)
        with self._session.all_or_nothing(f"the follower {name!r} has lines: delete those first"):
            self._session.run(_DELETE, {"wanted": follower.id})

    def set_grants(self, caller: Caller, follower_id: str, grants: Sequence[Grant]) -> None:
        caller.require(Role.OPERATOR)
        self.by_id(caller, follower_id)
        set_grants(self._session, follower_id, grants)

    def touch(self, caller: Caller, follower_id: str, *, now: datetime, agent: str | None = None) -> None:
        """A changed agent is written at once."""
        self._check(caller, follower_id)
        changed = agent is not None and self._session.run(
            _SET_AGENT, {"wanted": follower_id, "program": agent, "now": now}
        )
        if not changed:
            self._session.run(_TOUCH, {"wanted": follower_id, "now": now, "before": now - _TOUCH_EVERY})

    def set_skew(self, caller: Caller, follower_id: str, seconds: int) -> None:
        self._check(caller, follower_id)
        self._session.run(_SET_SKEW, {"wanted": follower_id, "skew": seconds})

    def set_manifest(self, caller: Caller, follower_id: str, *, tag: str) -> int:
        self._check(caller, follower_id)
        self._session.run(_RAISE_SERIAL, {"wanted": follower_id, "tag": tag})
        row = self._session.row(_SERIAL, {"wanted": follower_id})
        if row is None:
            raise NotFound("follower", follower_id)
        return int(row.manifest_serial)

    def use_nonce(self, caller: Caller, follower_id: str, nonce: str, now: datetime) -> bool:
        self._check(caller, follower_id)
        self._session.run(_FORGET, {"before": now - _NONCE_LIFE})
        row = {"follower_id": follower_id, "nonce": nonce, "at": now}
        return self._session.run(_REMEMBER.on(self._session), row) == 1

    def add_token(self, caller: Caller, token: EnrolmentToken) -> None:
        caller.require(Role.OPERATOR)
        self.by_id(caller, token.follower_id)
        self._enrolments.add(token)

    def token(self, caller: Caller, token_id: str) -> EnrolmentToken:
        token = self._enrolments.get(token_id)
        if token is None or not may_touch(caller, token.follower_id):
            raise NotFound("enrolment token", token_id)
        return token

    def claim_token(
        self,
        caller: Caller,
        token_id: str,
        *,
        identity_key: bytes,
        sealing_key: bytes,
        thumbprint: str,
        agent: str,
        now: datetime,
    ) -> bool:
        """A suspended follower does not come back by enrolling either; a token that is not there counts no row."""
        _master_or_follower(caller)
        token = self._enrolments.get(token_id)
        if token is None or not may_touch(caller, token.follower_id):
            return False
        keys = {"identity_key": identity_key, "sealing_key": sealing_key, "agent": agent}
        return self._enrolments.claim(token, keys, thumbprint, now)

    def report(self, caller: Caller, deployment: Deployment) -> None:
        """Raises NotFound when the line is not that follower's."""
        self._check(caller, deployment.follower_id)
        self._deployments.report(deployment)

    def deployments(
        self, caller: Caller, *, line_id: str | None = None, follower_id: str | None = None
    ) -> list[Deployment]:
        """The newest version first."""
        return self._deployments.all(caller, line_id=line_id, follower_id=follower_id)

    def newest_deployments(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, Deployment]:
        """Of each line the newest version that its follower reported, by line id."""
        return self._deployments.newest(caller, line_ids)

    def _check(self, caller: Caller, follower_id: str) -> None:
        """For what a follower causes by itself."""
        _master_or_follower(caller)
        if not may_touch(caller, follower_id):
            raise NotFound("follower", follower_id)

    def _one(self, caller: Caller, statement: Any, wanted: str) -> Follower:
        """One that is missing costs as many queries as one that is there: the time tells nothing."""
        row = self._session.row(statement, {"wanted": wanted})
        found = followers_of(self._session, [row or (wanted, *_NOBODY)])[0]
        if row is None or not may_touch(caller, row.id):
            raise NotFound("follower", wanted)
        return found


def _master_or_follower(caller: Caller) -> None:
    if caller.role not in (Role.SYSTEM, Role.FOLLOWER):
        raise Forbidden("this is done by the follower itself")
