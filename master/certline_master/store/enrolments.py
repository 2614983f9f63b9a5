"""Enrolment tokens: each is used once, whoever comes at the same moment."""

from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from certline_master.domain.model import FollowerState
from certline_master.domain.ports import EnrolmentToken
from certline_master.store.identities import END_TOKENS, FROM_THE_START, NO_NEXT_KEYS
from certline_master.store.session import Session, Shape, param
from certline_master.store.tables import enrolment_tokens, followers

_TOKEN = Shape(EnrolmentToken, enrolment_tokens)
_ADD = insert(enrolment_tokens)
_GET = select(*_TOKEN.columns).where(enrolment_tokens.c.id == param("wanted"))
_USE = (
    update(enrolment_tokens)
    .where(
        enrolment_tokens.c.id == param("wanted"),
        enrolment_tokens.c.used.is_(None),
        enrolment_tokens.c.expires > param("now", enrolment_tokens.c.used),
    )
    .values(used=param("now", enrolment_tokens.c.used), used_by=param("thumbprint"))
)
_ACTIVATE = (
    update(followers)
    .where(
        followers.c.id == param("wanted"),
        followers.c.state.in_([FollowerState.INVITED, FollowerState.ACTIVE]),
    )
    .values(
        state=FollowerState.ACTIVE,
        identity_key=param("identity_key", followers.c.identity_key),
        sealing_key=param("sealing_key", followers.c.sealing_key),
        agent=param("agent"),
        enrolled=param("now", followers.c.enrolled),
        last_seen=param("now", followers.c.enrolled),
        protocol=1,  # a rebuilt host may have another release
        **NO_NEXT_KEYS,
        **FROM_THE_START,
    )
)


class Enrolments:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, token: EnrolmentToken) -> None:
        self._session.run(_ADD, _TOKEN.write(token))

    def get(self, token_id: str) -> EnrolmentToken | None:
        row = self._session.row(_GET, {"wanted": token_id})
        return None if row is None else _TOKEN.read(row)

    def claim(self, token: EnrolmentToken, keys: dict[str, Any], thumbprint: str, now: datetime) -> bool:
        """Both rows change or neither: on Postgres the row's lock makes the second claim wait and then count none.

        The follower's other tokens end with it, or one that was lost could still put another host in this one's place.
        """
        used = {"wanted": token.id, "now": now, "thumbprint": thumbprint}
        self._session.connection.exec_driver_sql("SAVEPOINT claim")
        done = bool(
            self._session.run(_USE, used)
            and self._session.run(_ACTIVATE, {"wanted": token.follower_id, "now": now, **keys})
        )
        if done:
            self._session.run(END_TOKENS, {"follower": token.follower_id, "now": now})
        self._session.connection.exec_driver_sql("RELEASE SAVEPOINT claim" if done else "ROLLBACK TO SAVEPOINT claim")
        return done
