"""Who a follower is: its keys and those that take over, the count of its requests, the protocol it speaks."""

from datetime import datetime, timedelta

from sqlalchemy import or_, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Forbidden, NotFound
from certline_master.domain.model import FollowerState
from certline_master.domain.ports import Counted
from certline_master.store.changes import UNSEEN
from certline_master.store.scope import may_touch
from certline_master.store.session import Session, number, param
from certline_master.store.tables import enrolment_tokens, followers

NEXT_KEYS_LIFE = timedelta(hours=24)
TOLD_EVERY = timedelta(hours=1)

_IT = followers.c.id == param("wanted")
NO_NEXT_KEYS = {"next_identity_key": None, "next_sealing_key": None, "next_keys_since": None}
FROM_THE_START = {"sequence": 0, "sequence_digest": None, "sequence_address": None, "clone_told": None}
"""What a follower's new keys end: counts and announced keys of the host before."""

_ANNOUNCE = (
    update(followers)
    .where(
        _IT,
        or_(
            followers.c.next_identity_key.is_distinct_from(param("identity", followers.c.identity_key)),
            followers.c.next_sealing_key.is_distinct_from(param("sealing", followers.c.sealing_key)),
            followers.c.next_keys_since <= param("before", followers.c.created),
        ),
    )
    .values(
        next_identity_key=param("identity", followers.c.identity_key),
        next_sealing_key=param("sealing", followers.c.sealing_key),
        next_keys_since=param("now", followers.c.created),
    )
    .execution_options(**UNSEEN)
)
_TAKE = (
    update(followers)
    .where(
        _IT,
        followers.c.next_identity_key == param("identity", followers.c.identity_key),
        followers.c.next_keys_since > param("before", followers.c.created),
    )
    .values(
        identity_key=followers.c.next_identity_key,
        sealing_key=followers.c.next_sealing_key,
        **NO_NEXT_KEYS,
    )
)
_ADMIT = (
    update(followers)
    .where(_IT, followers.c.state == FollowerState.INVITED)
    .values(
        state=FollowerState.ACTIVE,
        identity_key=param("identity", followers.c.identity_key),
        sealing_key=param("sealing", followers.c.sealing_key),
        agent=param("program"),
        enrolled=param("now", followers.c.created),
        **NO_NEXT_KEYS,
        **FROM_THE_START,
    )
)
END_TOKENS = (
    update(enrolment_tokens)
    .where(
        enrolment_tokens.c.follower_id == param("follower"),
        enrolment_tokens.c.used.is_(None),
        enrolment_tokens.c.expires > param("now", enrolment_tokens.c.expires),
    )
    .values(expires=param("now", enrolment_tokens.c.expires))
)
_COUNT = (
    update(followers)
    .where(_IT)
    .values(
        sequence=param("seq", followers.c.sequence), sequence_digest=param("digest"), sequence_address=param("address")
    )
    .execution_options(**UNSEEN)
)
_COUNT_UP = _COUNT.where(followers.c.sequence < param("seq", followers.c.sequence))
_COUNTED = select(
    followers.c.sequence, followers.c.sequence_digest, followers.c.sequence_address, followers.c.lock_clones
).where(_IT)
_TELL = (
    update(followers)
    .where(_IT, or_(followers.c.clone_told.is_(None), followers.c.clone_told <= param("before", followers.c.created)))
    .values(clone_told=param("now", followers.c.created))
    .execution_options(**UNSEEN)
)
_RAISE_PROTOCOL = (
    update(followers)
    .where(_IT, followers.c.protocol < number("version"))
    .values(protocol=number("version"))
    .execution_options(**UNSEEN)
)


class Identities:
    def __init__(self, session: Session) -> None:
        self._session = session

    def announce(
        self, caller: Caller, follower_id: str, *, identity_key: bytes, sealing_key: bytes, now: datetime
    ) -> bool:
        _check(caller, follower_id)
        keys = {"identity": identity_key, "sealing": sealing_key}
        return bool(
            self._session.run(_ANNOUNCE, {"wanted": follower_id, "now": now, "before": now - NEXT_KEYS_LIFE, **keys})
        )

    def take_over(self, caller: Caller, follower_id: str, *, identity_key: bytes, now: datetime) -> bool:
        _check(caller, follower_id)
        known = {"wanted": follower_id, "identity": identity_key, "before": now - NEXT_KEYS_LIFE}
        return bool(self._session.run(_TAKE, known))

    def admit(
        self, caller: Caller, follower_id: str, *, identity_key: bytes, sealing_key: bytes, agent: str, now: datetime
    ) -> bool:
        caller.require(Role.OPERATOR)
        keys = {"identity": identity_key, "sealing": sealing_key, "program": agent}
        if not self._session.run(_ADMIT, {"wanted": follower_id, "now": now, **keys}):
            return False
        self._session.run(END_TOKENS, {"follower": follower_id, "now": now})
        return True

    def count(
        self, caller: Caller, follower_id: str, sequence: int, *, digest: str, address: str, now: datetime
    ) -> Counted:
        """The row is locked by the first update, so that two requests at once are counted one after the other."""
        _check(caller, follower_id)
        said = {"wanted": follower_id, "seq": sequence, "digest": digest, "address": address}
        if self._session.run(_COUNT_UP, said):
            return Counted(good=True)
        row = self._session.row(_COUNTED, {"wanted": follower_id})
        if row is None:
            raise NotFound("follower", follower_id)
        if (row.sequence, row.sequence_digest) == (sequence, digest):
            return Counted(good=True)
        self._session.run(_COUNT, said)
        tell = self._session.run(_TELL, {"wanted": follower_id, "now": now, "before": now - TOLD_EVERY})
        return Counted(False, bool(tell), row.sequence, row.sequence_address or "unknown", bool(row.lock_clones))

    def use_protocol(self, caller: Caller, follower_id: str, version: int) -> bool:
        _check(caller, follower_id)
        return bool(self._session.run(_RAISE_PROTOCOL, {"wanted": follower_id, "version": version}))


def _check(caller: Caller, follower_id: str) -> None:
    """For what a follower causes by itself."""
    if caller.role not in (Role.SYSTEM, Role.FOLLOWER):
        raise Forbidden("this is done by the follower itself")
    if not may_touch(caller, follower_id):
        raise NotFound("follower", follower_id)
