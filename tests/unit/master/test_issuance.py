"""The table of an order's moves."""

from datetime import UTC, datetime, timedelta

import pytest

from certline_master.domain.issuance import ANSWERS_NEEDED, LIVE, MOVES, IllegalMove, OrderEvent, advance
from certline_master.domain.model import Failure, FailureClass, Order, OrderState

NOW = datetime(2026, 11, 20, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def order(state: OrderState) -> Order:
    return Order("o", "c", "i", ("a.example.com",), "classic", state, NOW, NOW, attempts=3, waiting="for something")


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("event", OrderEvent)
def test_only_the_moves_of_the_table_are_possible(state: OrderState, event: OrderEvent) -> None:
    to = MOVES[state].get(event)
    if to is None:
        with pytest.raises(IllegalMove, match=str(event)):
            advance(order(state), event, LATER)
    else:
        moved = advance(order(state), event, LATER)
        assert (moved.state, moved.since, moved.attempts, moved.waiting) == (to, LATER, 0, None)


def test_the_straight_way_leads_from_planned_to_issued() -> None:
    moving = order(OrderState.PLANNED)
    for event in list(OrderEvent)[:-1]:
        if event in MOVES[moving.state] and not (event is OrderEvent.AUTHORIZED and moving.state is OrderState.OPENED):
            moving = advance(moving, event, LATER)
    assert moving.state is OrderState.ISSUED


def test_reused_authorizations_skip_the_answers() -> None:
    assert MOVES[OrderState.OPENED][OrderEvent.AUTHORIZED] is OrderState.READY


def test_every_live_order_can_be_given_up_and_keeps_why() -> None:
    failure = Failure(FailureClass.NEEDS_PERSON, "the account is deactivated")
    for state in LIVE:
        assert advance(order(state), OrderEvent.GIVEN_UP, LATER, failure=failure).failure == failure


def test_answers_stay_while_the_ca_may_still_look_and_no_longer() -> None:
    assert {OrderState.PUBLISHING, OrderState.VISIBLE, OrderState.ANSWERED} == ANSWERS_NEEDED
    assert OrderState.READY not in ANSWERS_NEEDED
