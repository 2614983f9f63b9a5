"""Drives one held order: step, record, step ... until it waits or is over."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import (
    CaError,
    CaRefused,
    CaUnreachable,
    LeaseLost,
    NotFound,
    SolverError,
    Unavailable,
)
from certline_master.domain.issuance import OrderEvent, advance
from certline_master.domain.model import (
    Challenge,
    ChallengeState,
    Failure,
    FailureClass,
    Order,
    OrderState,
)
from certline_master.domain.ports import Records
from certline_master.domain.staging import may_hold
from certline_master.work import going_live
from certline_master.work.accounts import Accounts
from certline_master.work.answers import Answers
from certline_master.work.commands import Commands, Preparations
from certline_master.work.context import Context
from certline_master.work.journey import GaveUp, Issued, Journey, Moved, Outcome, Waits
from certline_master.work.steps import Steps
from certline_shared.backoff import delay
from certline_shared.failpoints import failpoint

FIRST_RETRY = timedelta(seconds=1)
SLOWEST_RETRY = timedelta(hours=1)
MOST_RETRIES = 12  # with doubling pauses: about an hour
MOST_REGISTRATIONS = 3

log = logging.getLogger("certline.work.orders")


class Driver:
    """Advances orders. Thread-safe: each order is a journey of its own."""

    def __init__(self, context: Context, accounts: Accounts, answers: Answers) -> None:
        self._context = context
        self._accounts = accounts
        self._commands = Commands(context)
        self._preparations = Preparations(context, self._commands)
        self._steps = Steps(context, answers, self._commands)

    def drive(self, journey: Journey) -> bool:
        """Go as far as it goes now. True: the order is still held by us and waits until its due time; False: it is
        over, or freed.
        """
        is_held = False
        try:
            is_held = self._drive(journey)
        finally:
            if not is_held:
                self._preparations.end(journey.order.id)
        return is_held

    def let_go(self, order_ids: Iterable[str]) -> None:
        """Orders that are no longer in our hands."""
        for order_id in order_ids:
            self._preparations.end(order_id)

    def stop(self, grace: float) -> None:
        """End what runs beside the orders in hand."""
        self._preparations.end_all(grace)

    def _drive(self, journey: Journey) -> bool:
        while not self._context.stopping.is_set():
            try:
                outcome = self._take(journey)
                if self._record(journey, outcome):
                    continue
                return isinstance(outcome, Waits) and not journey.is_freed
            except LeaseLost:
                log.warning("another worker took the order over, or it was ended", extra={"line": journey.work.line})
                self._leave(journey)
                return False
            except Unavailable as fault:
                log.error("the store cannot be written", extra={"line": journey.work.line, "error": str(fault)})
                return False
        return True

    def _leave(self, journey: Journey) -> None:
        """What was put in place too late may have been swept before: it is swept again once nobody needs it."""
        if journey.order.state is OrderState.PUBLISHING:
            rows = [replace(row, state=ChallengeState.PRESENT, due=None) for row in journey.challenges.values()]
            self._context.store.write(lambda records: records.orders.save_challenges(SYSTEM, rows))

    def _take(self, journey: Journey) -> Outcome:
        try:
            if journey.ca is None:
                journey.ca = self._accounts.client(journey.work.issuer)
            self._preparations.begin(journey)
            return self._steps.take(journey, journey.ca)
        except CaUnreachable as fault:
            if fault.failure is FailureClass.FIX_CONFIGURATION:
                return GaveUp(Failure(fault.failure, str(fault)))
            return self._later(journey, fault)
        except CaRefused as refusal:
            return self._refused(journey, refusal)
        except SolverError as fault:
            return self._unsolved(journey, fault)
        except NotFound as fault:
            return GaveUp(Failure(FailureClass.FIX_CONFIGURATION, str(fault)))
        except (LeaseLost, Unavailable):
            raise
        except Exception as fault:  # an error of ours: bounded tries, or each lease would bring a new order at the CA
            log.exception("a step broke", extra={"line": journey.work.line, "state": journey.order.state})
            detail = f"an error in certline: {type(fault).__name__}; its log has more"
            return self._again(journey, detail, FailureClass.NEEDS_PERSON)

    def _later(self, journey: Journey, fault: CaError) -> Waits:
        """Not over: the CA may be asked again, at its own time or after a growing pause."""
        order, now = journey.order, self._context.clock.now()
        attempts = order.attempts + 1
        pause = delay(attempts, self._context.chance, first=FIRST_RETRY, most=SLOWEST_RETRY)
        due = max(fault.retry_at, now) if fault.retry_at else now + pause
        journey.view, journey.looks = None, 0
        log.warning(
            "the CA is asked again later",
            extra={"line": journey.work.line, "state": order.state, "due": due.isoformat(), "error": str(fault)},
        )
        failure = Failure(fault.failure, str(fault), fault.retry_at)
        return Waits(replace(order, attempts=attempts, due=due, failure=failure, waiting=str(fault)), due)

    def _refused(self, journey: Journey, refusal: CaRefused) -> Outcome:
        journey.view = None
        if refusal.type == "accountDoesNotExist":
            return self._account_gone(journey, refusal)
        if refusal.failure is FailureClass.RETRY_AT:
            return self._later(journey, refusal)
        if refusal.status == HTTPStatus.NOT_FOUND:  # the CA lost the order, not we the right to one
            return GaveUp(Failure(FailureClass.RETRY_SOON, str(refusal)))
        return GaveUp(Failure(refusal.failure, str(refusal), refusal.retry_at))

    def _account_gone(self, journey: Journey, refusal: CaRefused) -> Outcome:
        """The CA lost us: register again. An order that was opened under the lost account is lost with it."""
        if journey.ca is not None:
            self._accounts.forget(journey.work.issuer, journey.ca)
        journey.work = replace(journey.work, issuer=replace(journey.work.issuer, account_url=None))
        journey.ca = None
        if journey.order.url is None and journey.order.attempts < MOST_REGISTRATIONS:
            return self._later(journey, refusal)
        return GaveUp(Failure(FailureClass.RETRY_SOON, str(refusal)))

    def _unsolved(self, journey: Journey, fault: SolverError) -> Outcome:
        if fault.failure is not FailureClass.RETRY_SOON:
            return GaveUp(Failure(fault.failure, str(fault)))
        log.warning("the answer is put in place later", extra={"line": journey.work.line, "error": str(fault)})
        return self._again(journey, str(fault), fault.failure)

    def _again(self, journey: Journey, detail: str, failure: FailureClass) -> Outcome:
        """The same step after a growing pause, so many times."""
        order = journey.order
        if order.attempts >= MOST_RETRIES:
            return GaveUp(Failure(failure, detail))
        pause = delay(order.attempts + 1, self._context.chance, first=FIRST_RETRY, most=SLOWEST_RETRY)
        due = self._context.clock.now() + pause
        return Waits(replace(order, attempts=order.attempts + 1, due=due, waiting=detail), due)

    def _record(self, journey: Journey, outcome: Outcome) -> bool:
        """Write what happened; True when the order goes on at once."""
        if isinstance(outcome, Moved):
            self._save(journey, outcome.order, outcome.challenges)
            journey.looks = 0
            return True
        if isinstance(outcome, Waits):
            self._wait(journey, outcome)
        elif isinstance(outcome, Issued):
            self._issued(journey, outcome)
        else:
            self._failed(journey, outcome.failure)
        return False

    def _wait(self, journey: Journey, outcome: Waits) -> None:
        """A long wait is nobody's: it takes no place among the orders in hand, and reads its issuer anew after it."""
        journey.is_freed = outcome.due - self._context.clock.now() > self._context.limits.lease
        if outcome.kept or journey.is_freed:
            self._save(journey, outcome.order, outcome.challenges, release=journey.is_freed)
        else:
            journey.work = replace(journey.work, order=outcome.order)

    def _save(self, journey: Journey, order: Order, challenges: Iterable[Challenge], *, release: bool = False) -> None:
        rows = tuple(challenges)
        took = order.state is OrderState.OPENED and journey.order.state is OrderState.KEYED
        lease, wished = journey.work.lease, journey.order.replaces

        def write(records: Records) -> None:
            records.orders.save(SYSTEM, lease, order, challenges=rows, release=release)
            if took and wished:
                self._mark_replaced(records, journey, order)

        self._context.store.write(write)
        failpoint(f"order.{order.state}.recorded")
        log.debug("order moved", extra={"line": journey.work.line, "state": order.state})
        journey.work = replace(journey.work, order=order)
        journey.challenges.update((row.id, row) for row in rows)

    def _mark_replaced(self, records: Records, journey: Journey, order: Order) -> None:
        """Named in `replaces` once, whether the CA took it or not: it is not asked about nor named again (RFC 9773)."""
        former = records.versions.live(SYSTEM, [journey.work.line_id]).get(journey.work.line_id)
        for certificate in former.certificates if former else ():
            if certificate.key_type is journey.work.certificate.key_type:
                records.versions.mark_replaced(SYSTEM, certificate.id)
        if order.replaces is None:
            text = "the CA did not take the order as a replacement; it was opened as a new one"
            self._event(records, journey, "order.replaces_dropped", text)

    def _issued(self, journey: Journey, outcome: Issued) -> None:
        now, work = self._context.clock.now(), journey.work
        order, certificate = outcome.order, outcome.certificate

        def write(records: Records) -> list[str]:
            line = records.lines.by_id(SYSTEM, work.line_id)
            version = records.orders.issued(SYSTEM, work.lease, order, certificate, now=now, stage=may_hold(line))
            if version is None:
                return []
            for warning in outcome.warnings:
                self._event(records, journey, "certificate.unlike", warning, {"key_type": certificate.key_type})
            going_live.arrive(records, line, version, now)
            if line.forced:
                present = records.lines.by_id(SYSTEM, line.id)
                records.lines.save(SYSTEM, replace(present, forced=False, next_look=now))
            return records.keys.holders(SYSTEM, line)

        holders = self._context.store.write(write)
        failpoint("order.issued.recorded")
        self._tell(holders)
        self._commands.ended(journey, "order_issued")
        log.info("issued", extra={"line": work.line, "names": list(order.names), "serial": certificate.serial})

    def _failed(self, journey: Journey, failure: Failure) -> None:
        now, work = self._context.clock.now(), journey.work
        order = advance(work.order, OrderEvent.GIVEN_UP, now, failure=failure)

        def write(records: Records) -> list[str]:
            records.orders.failed(SYSTEM, work.lease, order, now=now)
            line = records.lines.by_id(SYSTEM, work.line_id)
            if line.forced:
                records.lines.save(SYSTEM, replace(line, forced=False, next_look=now))
            data = {"class": failure.failure, "retry_at": failure.retry_at.isoformat() if failure.retry_at else None}
            self._event(records, journey, "order.failed", failure.detail, data)
            return records.keys.holders(SYSTEM, line)

        self._tell(self._context.store.write(write))
        self._commands.ended(journey, "order_failed", error=failure.detail)
        log.error("order failed", extra={"line": work.line, "class": failure.failure, "error": failure.detail})

    def _tell(self, followers: Iterable[str]) -> None:
        for follower_id in followers:
            self._context.bell.ring(f"follower:{follower_id}")

    def _event(
        self, records: Records, journey: Journey, kind: str, text: str, data: Mapping[str, object] | None = None
    ) -> None:
        names: Sequence[str] = journey.order.names
        records.events.add(
            SYSTEM,
            kind,
            f"line:{journey.work.line}",
            text,
            now=self._context.clock.now(),
            data={"names": list(names), **(data or {})},
        )
