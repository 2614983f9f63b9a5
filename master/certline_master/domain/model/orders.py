"""Orders in their journal, and the answers to their challenges."""

from dataclasses import dataclass
from datetime import datetime

from certline_master.domain.model.lines import Certificate, Failure
from certline_master.domain.model.setup import Issuer
from certline_master.domain.model.words import ChallengeState, ChallengeType, OrderState


@dataclass(frozen=True, slots=True)
class Order:
    """One ACME order in its journal."""

    id: str
    certificate_id: str
    issuer_id: str
    names: tuple[str, ...]
    profile: str  # "" when the directory lists none
    state: OrderState
    created: datetime
    due: datetime
    url: str | None = None
    authorization_urls: tuple[str, ...] = ()
    finalize_url: str | None = None
    certificate_url: str | None = None
    replaces: str | None = None  # certificate id of RFC 9773
    attempts: int = 0  # failures in a row at the present step
    failure: Failure | None = None
    waiting: str | None = None  # what it waits for, in words for the operator
    since: datetime | None = None  # when it came into its present state


@dataclass(frozen=True, slots=True)
class Challenge:
    """One row of the ledger: an answer we mean to give, gave, or took away again."""

    id: str
    order_id: str
    name: str  # the identifier: never with "*."
    wildcard: bool
    type: ChallengeType
    authorization_url: str
    url: str
    token: str
    state: ChallengeState
    solver: str  # registry key: "rfc2136", "responder", "listener"
    zone: str | None  # for dns-01: the zone the record is in
    record: str  # dns-01: where the TXT stands after CNAMEs; http-01: the token
    value: str  # dns-01: the TXT value; http-01: the key authorization
    due: datetime | None = None  # when removal is tried (again)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on an order until then; a write with an older fence is refused."""

    worker: str
    fence: int
    until: datetime


@dataclass(frozen=True, slots=True)
class OrderWork:
    """All that a worker needs to advance an order."""

    order: Order
    certificate: Certificate
    issuer: Issuer
    challenges: tuple[Challenge, ...]
    lease: Lease
    line_id: str
    line: str
