"""The challenges' ledger: every answer we mean to give, gave, or took away again."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, func, or_, select, update

from certline_master.domain.access import Caller, Role
from certline_master.domain.issuance import ANSWERS_NEEDED
from certline_master.domain.model import Challenge, ChallengeState, ChallengeType, OrderState
from certline_master.store.session import Session, Shape, Upsert, number, param, several
from certline_master.store.tables import STANDING, challenges, orders

CHALLENGE = Shape(Challenge, challenges)
_BEFORE_ANSWERS = {OrderState.PLANNED, OrderState.KEYED, OrderState.OPENED}
_NOT_NEEDED = sorted(set(OrderState) - _BEFORE_ANSWERS - ANSWERS_NEEDED)

PUT = Upsert(challenges, ("id",), [name for name in CHALLENGE.names if name not in ("id", "order_id")])
_SET = (
    update(challenges)
    .where(challenges.c.id == param("wanted"))
    .values(state=param("now_is", challenges.c.state), due=param("moment", challenges.c.due))
)
_AT_RECORD = select(challenges.c.value).where(challenges.c.record == param("at"), STANDING)
_VALUES = _AT_RECORD.where(challenges.c.type == ChallengeType.DNS_01).distinct().order_by(challenges.c.value)
_ANSWER = _AT_RECORD.where(challenges.c.type == ChallengeType.HTTP_01).limit(1)
# A CA may hand the same pending order out again after one failed: then the same value stands for the next one too.
_OTHER, _ITS_ORDER = challenges.alias("other"), orders.alias("its_order")
_WANTED_BY_ANOTHER = (
    select(_OTHER.c.id)
    .join(_ITS_ORDER, _ITS_ORDER.c.id == _OTHER.c.order_id)
    .where(
        _OTHER.c.record == challenges.c.record,
        _OTHER.c.value == challenges.c.value,
        _OTHER.c.state != ChallengeState.REMOVED,
        _ITS_ORDER.c.state.in_(sorted(ANSWERS_NEEDED)),
    )
    .correlate(challenges)
    .exists()
)
_IS_LEFT_OVER = and_(STANDING, orders.c.state.in_(_NOT_NEEDED), ~_WANTED_BY_ANOTHER)
_TO_REMOVE = (
    select(*CHALLENGE.columns)
    .join(orders, orders.c.id == challenges.c.order_id)
    .where(
        _IS_LEFT_OVER,
        or_(challenges.c.due.is_(None), challenges.c.due <= param("now", challenges.c.due)),
    )
    .order_by(challenges.c.due, challenges.c.id)
    .limit(number("most"))
)
_KNOWN = select(challenges.c.record, challenges.c.value).where(
    challenges.c.record.in_(several("records")), challenges.c.type == ChallengeType.DNS_01
)
_OF_ORDERS = (
    select(*CHALLENGE.columns)
    .where(challenges.c.order_id.in_(several("order_ids")))
    .order_by(challenges.c.name, challenges.c.id)
)
# One without a time may be tried at once, and that is since its order was made.
NEXT_REMOVAL = (
    select(func.min(func.coalesce(challenges.c.due, orders.c.created, type_=challenges.c.due.type)))
    .join(orders, orders.c.id == challenges.c.order_id)
    .where(_IS_LEFT_OVER)
)


class Ledger:
    """Only the master's workers and its answering servers use it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def challenge_values(self, caller: Caller, record: str) -> list[str]:
        caller.require(Role.SYSTEM)
        return [row.value for row in self._session.rows(_VALUES, {"at": record})]

    def http_answer(self, caller: Caller, token: str) -> str | None:
        caller.require(Role.SYSTEM)
        row = self._session.row(_ANSWER, {"at": token})
        return None if row is None else str(row.value)

    def to_remove(self, caller: Caller, *, now: datetime, limit: int) -> list[Challenge]:
        caller.require(Role.SYSTEM)
        return [CHALLENGE.read(row) for row in self._session.rows(_TO_REMOVE, {"now": now, "most": limit})]

    def save_challenges(self, caller: Caller, challenges: Sequence[Challenge]) -> None:
        caller.require(Role.SYSTEM)
        self._session.run(_SET, [{"wanted": one.id, "now_is": one.state, "moment": one.due} for one in challenges])

    def known_values(self, caller: Caller, records: Sequence[str]) -> set[tuple[str, str]]:
        caller.require(Role.SYSTEM)
        return {(row.record, row.value) for row in self._session.rows(_KNOWN, {"records": list(records)})}


def challenges_of(session: Session, order_ids: Sequence[str]) -> list[Challenge]:
    return [CHALLENGE.read(row) for row in session.rows(_OF_ORDERS, {"order_ids": list(order_ids)})]
