"""The order journal, leases, and the ledger of challenges."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from certline_master.domain.access import Caller
from certline_master.domain.model import Certificate, Challenge, Failure, Lease, Order, OrderWork, Version


class OrderRecords(Protocol):
    def claim(
        self, caller: Caller, worker: str, *, now: datetime, lease: timedelta, limit: int, in_flight_most: int
    ) -> list[OrderWork]:
        """Take due orders whose lease is free or over, the most overdue first; their fence rises. At most
        `in_flight_most` orders
        are in a state from `keyed` with a URL to `finalized` at once: orders not yet opened are taken only while
        there is room. Postgres decides
        by the database's clock, SQLite by `now`. `due` of what is returned is as stored."""
        ...

    def renew(
        self, caller: Caller, worker: str, order_ids: Sequence[str], *, now: datetime, lease: timedelta
    ) -> list[str]:
        """Extend leases still ours; returns the ids that were."""
        ...

    def save(
        self, caller: Caller, lease: Lease, order: Order, *, challenges: Sequence[Challenge] = (), release: bool = False
    ) -> None:
        """Write all fields of the order, insert or update the challenges, and free the lease if asked. Raises
        LeaseLost when the
        fence is no longer ours; nothing is written then."""
        ...

    def issued(
        self,
        caller: Caller,
        lease: Lease,
        order: Order,
        certificate: Certificate,
        *,
        now: datetime,
        stage: bool = False,
    ) -> Version | None:
        """Write an issued order (state `issued`, lease freed) with its certificate. When every certificate of the
        version is
        there, the version goes live, the former one is retired, the line's next_look becomes `now`, and the version
        is returned. `stage`: it becomes staged instead, and the former one stays live."""
        ...

    def failed(self, caller: Caller, lease: Lease, order: Order, *, now: datetime) -> None:
        """Write a failed order (state `failed` with its failure, lease freed), fail its version and the version's
        other live
        orders, and set the line's next_look to `now` so that the planner decides what is next."""
        ...

    def stop(self, caller: Caller, line_id: str, failure: Failure, *, now: datetime) -> bool:
        """End what runs for the line, whoever holds it: orders and version are failed. Tells whether something ran."""
        ...

    def get(self, caller: Caller, order_id: str) -> Order: ...
    def of_line(self, caller: Caller, line_id: str) -> list[Order]: ...
    def live(self, caller: Caller) -> list[Order]: ...
    def next_due(self, caller: Caller) -> datetime | None:
        """The earliest moment at which an order (lease over counts), a line or a removal is due."""
        ...

    def release_all(self, caller: Caller, worker: str) -> None:
        """Free every lease of this worker (clean stop)."""
        ...

    def challenge_values(self, caller: Caller, record: str) -> list[str]:
        """Values of dns-01 ledger rows at this record that are not removed: what a responder answers."""
        ...

    def http_answer(self, caller: Caller, token: str) -> str | None:
        """The key authorization of an http-01 ledger row that is not removed."""
        ...

    def to_remove(self, caller: Caller, *, now: datetime, limit: int) -> list[Challenge]:
        """Ledger rows that are not removed, whose order is past `answered` or failed, and that are due."""
        ...

    def save_challenges(self, caller: Caller, challenges: Sequence[Challenge]) -> None:
        """Update state and due, whoever holds the order."""
        ...

    def known_values(self, caller: Caller, records: Sequence[str]) -> set[tuple[str, str]]:
        """(record, value) of every ledger row ever written at these records: what a sweep may remove."""
        ...
