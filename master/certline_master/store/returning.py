"""What is changed in a database that went back in time, in one transaction, before a master works on it again."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update

from certline_master.domain.access import SYSTEM, Caller, Role
from certline_master.domain.going_back import HELD_UNTIL, next_epoch
from certline_master.domain.model import AdminToken, Follower, FollowerState
from certline_master.store.records import SqlRecords
from certline_master.store.session import param
from certline_master.store.tables import LIVE_ORDER, enrolment_tokens, followers, orders

_EPOCH = "epoch"

_END_TOKENS = (
    update(enrolment_tokens)
    .where(enrolment_tokens.c.used.is_(None), enrolment_tokens.c.expires > param("now", enrolment_tokens.c.expires))
    .values(expires=param("now", enrolment_tokens.c.expires))
)
# An order with a URL is looked up at the CA and goes on from what it is there. One without may have become a
# certificate that this database knows nothing of.
_HOLD_ORDERS = (
    update(orders)
    .where(LIVE_ORDER, orders.c.url.is_(None))
    .values(due=param("until", orders.c.due), ready_at=param("until", orders.c.due), worker=None, lease_until=None)
)
_RESUMED = select(func.count()).select_from(orders).where(LIVE_ORDER, orders.c.url.is_not(None))
_NEW_MANIFESTS = update(followers).values(manifest_tag=None)


@dataclass(frozen=True, slots=True)
class Returned:
    """What was done, and what a person has to look through: what was revoked since is in force again."""

    epoch: int
    held_until: datetime
    orders_resumed: int
    orders_held: int
    enrolments_ended: int
    followers: tuple[Follower, ...]
    tokens: tuple[AdminToken, ...]


def after_going_back(caller: Caller, records: SqlRecords, *, hold: timedelta, now: datetime, why: str) -> Returned:
    """Raise the epoch, end enrolment strings that nobody used, and hold back what may have been ordered meanwhile."""
    caller.require(Role.SYSTEM)
    session, until = records.session, now + hold
    epoch = next_epoch(now, int(records.instance.get(SYSTEM, _EPOCH) or 0))
    records.instance.set(SYSTEM, _EPOCH, str(epoch))
    records.instance.set(SYSTEM, HELD_UNTIL, until.isoformat())
    ended = session.run(_END_TOKENS, {"now": now})
    held = session.run(_HOLD_ORDERS, {"until": until})
    session.connection.execute(_NEW_MANIFESTS)
    done = Returned(
        epoch=epoch,
        held_until=until,
        orders_resumed=session.count(_RESUMED),
        orders_held=held,
        enrolments_ended=ended,
        followers=tuple(one for one in records.followers.all(SYSTEM) if one.state is FollowerState.ACTIVE),
        tokens=tuple(one for one in records.tokens.all(SYSTEM) if one.expires is None or one.expires > now),
    )
    _tell(records, done, now, why)
    return done


def _tell(records: SqlRecords, done: Returned, now: datetime, why: str) -> None:
    text = f"{why}: the epoch is {done.epoch}; look through the followers and tokens that are in force again"
    data = {
        "epoch": done.epoch,
        "held_until": done.held_until.isoformat(),
        "followers": [one.name for one in done.followers],
        "tokens": [one.name for one in done.tokens],
    }
    records.events.add(SYSTEM, "instance.went-back", "instance", text, now=now, data=data)
