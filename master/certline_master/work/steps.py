"""What is done in each state of an order: one function per state, each safe to repeat after a crash."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaError, CaRefused, NotFound
from certline_master.domain.issuance import OrderEvent, advance
from certline_master.domain.lint import remarks_on
from certline_master.domain.model import (
    Challenge,
    ChallengeState,
    Failure,
    FailureClass,
    LineOptions,
    Order,
    OrderState,
)
from certline_master.domain.ports import CertificateAuthority, OrderView
from certline_master.work.answers import Answers
from certline_master.work.commands import Commands
from certline_master.work.context import Context
from certline_master.work.journey import GaveUp, Issued, Journey, Moved, Outcome, Waits
from certline_shared.backoff import delay
from certline_shared.certificates import BadChain, check_issued, read_traits
from certline_shared.failpoints import failpoint
from certline_shared.names import base

FIRST_LOOK = timedelta(milliseconds=50)
SLOWEST_LOOK = timedelta(seconds=10)


class Steps:
    """Advances an order by one recorded step. Raises CaError and SolverError; the driver turns them into waits or
    failures.
    """

    def __init__(self, context: Context, answers: Answers, commands: Commands) -> None:
        self._context = context
        self._answers = answers
        self._commands = commands
        self._of: dict[OrderState, Callable[[Journey, CertificateAuthority], Outcome]] = {
            OrderState.PLANNED: self._know_key,
            OrderState.KEYED: self._open,
            OrderState.OPENED: self._choose_answers,
            OrderState.PUBLISHING: self._publish,
            OrderState.VISIBLE: self._answer,
            OrderState.ANSWERED: self._await_authorization,
            OrderState.READY: self._finalize,
            OrderState.FINALIZED: self._fetch,
        }

    def take(self, journey: Journey, ca: CertificateAuthority) -> Outcome:
        failpoint(f"order.{journey.order.state}.before")
        outcome = self._of[journey.order.state](journey, ca)
        failpoint(f"order.{journey.order.state}.after")
        return outcome

    def _now(self) -> datetime:
        return self._context.clock.now()

    def _know_key(self, journey: Journey, ca: CertificateAuthority) -> Outcome:  # noqa: ARG002 all steps look alike
        return Moved(advance(journey.order, OrderEvent.KEY_KNOWN, self._now()))

    def _open(self, journey: Journey, ca: CertificateAuthority) -> Outcome:
        order = journey.order
        view = ca.open(order.names, profile=order.profile, replaces=order.replaces)
        journey.view = view
        opened = replace(
            order,
            url=view.url,
            authorization_urls=view.authorization_urls,
            finalize_url=view.finalize_url,
            replaces=view.replaces,
        )
        return Moved(advance(opened, OrderEvent.OPENED, self._now()))

    def _choose_answers(self, journey: Journey, ca: CertificateAuthority) -> Outcome:
        order, view = journey.order, journey.view or ca.look(journey.order.url or "")
        if view.status in ("ready", "processing", "valid"):
            return Moved(advance(order, OrderEvent.AUTHORIZED, self._now()))
        if view.status == "invalid":
            return GaveUp(_failure_of(view.error))
        authorizations = [ca.authorization(url) for url in order.authorization_urls]
        foreign = {a.name for a in authorizations} - {base(name) for name in order.names}
        if foreign:
            detail = f"the CA wants {', '.join(sorted(foreign))} proven, which was not asked for"
            return GaveUp(Failure(FailureClass.NEEDS_PERSON, detail))
        dead = next((a for a in authorizations if a.status not in ("pending", "valid")), None)
        if dead is not None:
            return GaveUp(Failure(FailureClass.RETRY_SOON, f"the authorization of {dead.name} is {dead.status}"))
        chosen = self._answers.choose(order, [a for a in authorizations if a.status == "pending"], ca)
        return Moved(advance(order, OrderEvent.ANSWERS_CHOSEN, self._now()), chosen)

    def _publish(self, journey: Journey, ca: CertificateAuthority) -> Outcome:  # noqa: ARG002 all steps look alike
        order = journey.order
        intended = [c for c in journey.challenges.values() if c.state is ChallengeState.INTENDED]
        if intended:
            self._answers.present(intended)
            failpoint("order.publishing.presented")
            self._commands.published(journey, intended)
        rows = [replace(c, state=ChallengeState.PRESENT) for c in intended]
        for row in rows:
            journey.challenges[row.id] = row
        visibility = self._answers.look(journey.challenges.values())
        if visibility.complete:
            seen = [replace(c, state=ChallengeState.VISIBLE) for c in journey.challenges.values()]
            return Moved(advance(order, OrderEvent.ANSWERS_VISIBLE, self._now()), seen)
        return self._not_yet_visible(journey, visibility.detail, rows)

    def _not_yet_visible(self, journey: Journey, detail: str, rows: list[Challenge]) -> Outcome:
        order, now = journey.order, self._now()
        if not rows and now >= (order.since or order.created) + self._context.limits.visible_within:
            spent = self._context.limits.visible_within.total_seconds() / 60
            return GaveUp(Failure(FailureClass.RETRY_SOON, f"not visible after {spent:.0f} minutes: {detail}"))
        if rows:
            journey.work = replace(journey.work, order=replace(order, since=now))  # the budget counts from publishing
        text = f"until all name servers answer: {detail}"
        return self._wait(journey, None, text, rows=rows, keep=bool(rows))

    def _answer(self, journey: Journey, ca: CertificateAuthority) -> Outcome:
        rows = list(journey.challenges.values())
        for challenge in rows:
            if challenge.state is not ChallengeState.ANSWERED:
                self._tell(ca, challenge)
                failpoint("order.visible.told")
        answered = [replace(c, state=ChallengeState.ANSWERED) for c in rows]
        return Moved(advance(journey.order, OrderEvent.ANSWERS_GIVEN, self._now()), answered)

    def _tell(self, ca: CertificateAuthority, challenge: Challenge) -> None:
        """Answering twice is refused by some CAs; then the authorization itself tells whether we had answered."""
        try:
            ca.answer(challenge.url)
        except CaRefused:
            if ca.authorization(challenge.authorization_url).status == "pending":
                raise

    def _await_authorization(self, journey: Journey, ca: CertificateAuthority) -> Outcome:
        order = journey.order
        if not journey.looks and journey.view is not None:  # just answered: give the CA a moment before the first look
            journey.view = None
            return self._wait(journey, None, "for the CA to validate")
        view = ca.look(order.url or "")
        if view.status in ("ready", "processing", "valid"):
            journey.view = view
            return Moved(advance(order, OrderEvent.AUTHORIZED, self._now()))
        if view.status == "invalid":
            return GaveUp(self._why_invalid(journey, ca, view))
        return self._settle(journey, view, "for the CA to validate")

    def _why_invalid(self, journey: Journey, ca: CertificateAuthority, view: OrderView) -> Failure:
        """RFC 8555 puts the reason into the challenge that failed, not into the order."""
        details: list[str] = []
        classes: set[FailureClass] = set()
        for url in journey.order.authorization_urls:
            authorization = ca.authorization(url)
            errors = [c.error for c in authorization.challenges if c.error]
            if authorization.status == "invalid":
                reasons = [f"{authorization.name}: {error}" for error in errors]
                classes.update(error.failure for error in errors if isinstance(error, CaError))
                details += reasons or [f"{authorization.name} is invalid"]
        if not details:
            return _failure_of(view.error)
        hardest = max(classes, key=list(FailureClass).index, default=FailureClass.RETRY_SOON)
        return Failure(hardest, "; ".join(details))

    def _finalize(self, journey: Journey, ca: CertificateAuthority) -> Outcome:
        order, now = journey.order, self._now()
        view = journey.view or ca.look(order.url or "")
        if view.status == "invalid":
            return GaveUp(_failure_of(view.error))
        if view.status == "ready":
            view = self._send_csr(journey, ca, view)
        if view.status in ("pending", "ready"):  # orderNotReady: the CA contradicts itself, look again
            return self._settle(journey, view, "for the CA to take the request")
        journey.view = view
        return Moved(advance(order, OrderEvent.CSR_TAKEN, now))

    def _send_csr(self, journey: Journey, ca: CertificateAuthority, view: OrderView) -> OrderView:
        try:
            return ca.finalize(view, journey.work.certificate.csr)
        except CaRefused as refusal:
            journey.view = None
            if refusal.type != "orderNotReady":
                raise
            return ca.look(journey.order.url or "")

    def _fetch(self, journey: Journey, ca: CertificateAuthority) -> Outcome:
        order = journey.order
        view = journey.view if journey.view and journey.view.status == "valid" else None
        if view is None:
            if journey.view is not None and not journey.looks:  # finalize has just said "processing"
                view, journey.view = journey.view, None
                return self._wait(journey, view.retry_at, "for the CA to issue")
            view = ca.look(order.url or "")
        if view.status == "invalid":
            return GaveUp(_failure_of(view.error))
        if view.status == "ready":  # the CA does not remember the request it took
            view = self._send_csr(journey, ca, view)
        if view.status != "valid" or view.certificate_url is None:
            return self._settle(journey, view, "for the CA to issue")
        chain = ca.fetch(view.certificate_url, preferred_chain=journey.work.issuer.preferred_chain)
        return self._check(journey, replace(order, certificate_url=view.certificate_url), chain)

    def _check(self, journey: Journey, order: Order, chain: str) -> Outcome:
        certificate, now = journey.work.certificate, self._now()
        try:
            facts = check_issued(
                chain,
                names=order.names,
                spki_sha256=certificate.spki_sha256,
                now=now,
                former_serial=self._former_serial(journey),
            )
        except BadChain as fault:
            detail = f"the CA sent a certificate that is not the one asked for: {fault}"
            return GaveUp(Failure(FailureClass.NEEDS_PERSON, detail))
        stored = replace(
            certificate, chain=chain, serial=facts.serial, not_before=facts.not_before, not_after=facts.not_after
        )
        remarks = remarks_on(read_traits(chain), self._options(journey))
        if remarks.refusals:
            detail = f"the certificate that the CA gave is not used: {'; '.join(remarks.refusals)}"
            return GaveUp(Failure(FailureClass.FIX_CONFIGURATION, detail))
        return Issued(advance(order, OrderEvent.CERTIFICATE_STORED, now), stored, remarks.warnings)

    def _options(self, journey: Journey) -> LineOptions:
        """Of the line as it is now; one that is gone wishes for nothing, and its order ends elsewhere."""
        try:
            with self._context.store.read() as records:
                return records.lines.by_id(SYSTEM, journey.work.line_id).options
        except NotFound:
            return LineOptions()

    def _former_serial(self, journey: Journey) -> str | None:
        with self._context.store.read() as records:
            live = records.versions.live(SYSTEM, [journey.work.line_id]).get(journey.work.line_id)
        wanted = journey.work.certificate.key_type
        return next((c.serial for c in live.certificates if c.key_type is wanted), None) if live else None

    def _settle(self, journey: Journey, view: OrderView, text: str) -> Outcome:
        """Wait for the CA, but not for ever."""
        order, budget = journey.order, self._context.limits.settled_within
        if self._now() >= (order.since or order.created) + budget:
            hours = budget.total_seconds() / 3600
            detail = f"waited {hours:.0f} hours {text}; it calls the order {view.status}"
            return GaveUp(Failure(FailureClass.RETRY_SOON, detail))
        return self._wait(journey, view.retry_at, text)

    def _wait(
        self,
        journey: Journey,
        retry_at: datetime | None,
        text: str,
        *,
        rows: Iterable[Challenge] = (),
        keep: bool = False,
    ) -> Waits:
        """Until the CA's Retry-After, else with a pause that grows from 50 ms. Short waits are not worth a commit."""
        journey.looks += 1
        pause = delay(journey.looks, self._context.chance, first=FIRST_LOOK, most=SLOWEST_LOOK)
        due = max(retry_at, self._now()) if retry_at else self._now() + pause
        kept = keep or (journey.order.waiting != text and due - self._now() > timedelta(seconds=1))
        waiting = replace(journey.order, waiting=text, due=due, attempts=0, failure=None)
        return Waits(waiting, due, tuple(rows), kept)


def _failure_of(error: Exception | None) -> Failure:
    if isinstance(error, CaError):
        return Failure(error.failure, str(error), error.retry_at)
    return Failure(FailureClass.RETRY_SOON, "the CA calls the order invalid and gives no reason")
