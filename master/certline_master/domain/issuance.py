"""The journal of an ACME order: its states, its events, and the one table of moves.

A state is an intention on record: an order in `ready` is about to be finalized, or has been and nobody wrote it down.
So whoever takes
over an order in a state must be able to repeat what that state is about to do:

    planned     a key is about to be made or asked for
    keyed       key and CSR are on record; newOrder is about to be sent (RFC 8555 section 7.4)
    opened      the order's URL is on record; its authorizations are about to be read
    publishing  the ledger says which answers are about to be put in place
    visible     all authoritative servers show them; the CA is about to be told (section 7.5.1)
    answered    the CA was told; the order is polled until it is ready
    ready       the CSR is about to be sent (finalize)
    finalized   the CSR was sent; the certificate is about to be fetched
    issued      the certificate is checked and stored
    failed      given up, with the reason and who has to act

Anything that is not in the table is an error of ours.
"""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from certline_master.domain.model import Failure, Order, OrderState


class OrderEvent(StrEnum):
    """What happened to an order."""

    KEY_KNOWN = "key known"
    OPENED = "opened"
    ANSWERS_CHOSEN = "answers chosen"
    ANSWERS_VISIBLE = "answers visible"
    ANSWERS_GIVEN = "answers given"
    AUTHORIZED = "authorized"
    CSR_TAKEN = "CSR taken"
    CERTIFICATE_STORED = "certificate stored"
    GIVEN_UP = "given up"


class IllegalMove(Exception):
    """An event that cannot happen in that state."""


_S, _E = OrderState, OrderEvent

MOVES: dict[OrderState, dict[OrderEvent, OrderState]] = {
    _S.PLANNED: {_E.KEY_KNOWN: _S.KEYED, _E.GIVEN_UP: _S.FAILED},
    _S.KEYED: {_E.OPENED: _S.OPENED, _E.GIVEN_UP: _S.FAILED},
    _S.OPENED: {_E.ANSWERS_CHOSEN: _S.PUBLISHING, _E.AUTHORIZED: _S.READY, _E.GIVEN_UP: _S.FAILED},
    _S.PUBLISHING: {_E.ANSWERS_VISIBLE: _S.VISIBLE, _E.GIVEN_UP: _S.FAILED},
    _S.VISIBLE: {_E.ANSWERS_GIVEN: _S.ANSWERED, _E.GIVEN_UP: _S.FAILED},
    _S.ANSWERED: {_E.AUTHORIZED: _S.READY, _E.GIVEN_UP: _S.FAILED},
    _S.READY: {_E.CSR_TAKEN: _S.FINALIZED, _E.GIVEN_UP: _S.FAILED},
    _S.FINALIZED: {_E.CERTIFICATE_STORED: _S.ISSUED, _E.GIVEN_UP: _S.FAILED},
    _S.ISSUED: {},
    _S.FAILED: {},
}

LIVE = frozenset(state for state, moves in MOVES.items() if moves)
"""States of an order that is not over."""

ANSWERS_NEEDED = frozenset({_S.PUBLISHING, _S.VISIBLE, _S.ANSWERED})
"""States in which the answers in the ledger must stay where they are."""


def advance(order: Order, event: OrderEvent, now: datetime, *, failure: Failure | None = None) -> Order:
    """The order after the event. Raises IllegalMove when the table does not have it."""
    to = MOVES[order.state].get(event)
    if to is None:
        raise IllegalMove(f"order {order.id}: {event} cannot happen in state {order.state}")
    return replace(order, state=to, since=now, due=now, attempts=0, waiting=None, failure=failure)
