"""One turn of the lines that are due: read their snapshots, plan, do each action, record."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from certline_master.domain import renewal as renewals
from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaError, Conflict, DomainError
from certline_master.domain.key_moves import spread
from certline_master.domain.model import (
    Certificate,
    Custody,
    Failure,
    FailureClass,
    Issuer,
    Line,
    LineCsr,
    LineSnapshot,
    Order,
    OrderState,
    Renewal,
    Slot,
    Version,
    VersionState,
)
from certline_master.domain.planning import CROWDED, AskRenewalInfo, LookAtDirectory, OpenVersion, Plan, plan
from certline_master.domain.ports import Records
from certline_master.domain.rehearsal import EndRehearsal
from certline_master.domain.rollover import KeyStep, MakeNextKey
from certline_master.domain.staging import StagedStep
from certline_master.domain.wish import MakeRequest, PauseLine, StopOrder
from certline_master.work.accounts import Accounts
from certline_master.work.aside import Aside, at_once
from certline_master.work.context import Context
from certline_master.work.keys import KeyWork
from certline_master.work.staged import StagedWork
from certline_shared.certificates import BadChain, ari_certificate_id
from certline_shared.failpoints import failpoint

DIRECTORY_RETRY = timedelta(minutes=1)
WINDOW_RETRY = timedelta(hours=6)  # RFC 9773 section 4.3.3
SOONEST_CHECK = timedelta(minutes=1)
AFTER_A_FAULT = timedelta(minutes=1)
SLOW_KEY = timedelta(minutes=1)  # when to look whether a key is there that is being made

log = logging.getLogger("certline.work.lines")


class Lines:
    """Carries out the planner's actions."""

    def __init__(self, context: Context, accounts: Accounts, aside: Aside = at_once) -> None:
        self._context = context
        self._aside = aside
        self._accounts = accounts
        self._keys = KeyWork(context)
        self._staged = StagedWork(context)

    def turn(self, line_ids: Sequence[str]) -> bool:
        """Look at these lines and do what is due; tells whether orders were opened."""
        with self._context.store.read() as records:
            snapshots = records.lines.snapshots(SYSTEM, line_ids)
        slow_last = sorted(snapshots, key=lambda snapshot: snapshot.line.custody is Custody.MASTER)  # it may make a key
        opened = [self._one_apart(snapshot) for snapshot in slow_last]
        return any(opened)

    def _one_apart(self, snapshot: LineSnapshot) -> bool:
        """A line that cannot be looked at stops no other, and is not looked at in a loop."""
        try:
            return self._one(snapshot)
        except DomainError as fault:
            log.error("a line cannot be looked at", extra={"line": snapshot.line.name, "error": str(fault)})
        except Exception:  # an error of ours
            log.exception("a line's turn broke", extra={"line": snapshot.line.name})
        self._looked(snapshot.line, self._context.clock.now() + AFTER_A_FAULT)
        return False

    def _one(self, snapshot: LineSnapshot) -> bool:
        now = self._context.clock.now()
        decided = plan(snapshot, now)
        next_look, steps = decided.next_look, list[KeyStep]()
        for action in decided.actions:
            if isinstance(action, OpenVersion):
                return self._open(snapshot, action, now)
            if isinstance(action, StagedStep):
                return self._staged.do(snapshot, action, now)
            if isinstance(action, EndRehearsal):
                self._forget(snapshot.line, action, now)
            elif isinstance(action, StopOrder | PauseLine):
                self._end(snapshot.line, action, now)
            elif isinstance(action, MakeRequest) and self._keys.is_slow(snapshot, action):
                return self._make_aside(snapshot, action, now)
            elif isinstance(action, MakeRequest):
                self._keys.make_request(snapshot, action, now)
            elif isinstance(action, KeyStep):
                steps.append(action)
            elif isinstance(action, LookAtDirectory):
                next_look = self._learn_profiles(snapshot, decided, now)
            else:
                self._ask_renewal_info(snapshot, action, now)
                next_look = now  # look once more, with the renewal known
        self._looked(snapshot.line, next_look)
        for step in steps:
            self._beside(snapshot, step, now)
        log.debug("looked", extra={"line": snapshot.line.name, "standing": decided.standing})
        return False

    def _make_aside(self, snapshot: LineSnapshot, action: MakeRequest, now: datetime) -> bool:
        """A key that takes its time holds no worker up; the line is looked at again once it is there."""
        later = replace(snapshot.line, next_look=now + SLOW_KEY)
        self._looked(snapshot.line, later.next_look)
        waiting, clock = replace(snapshot, line=later), self._context.clock
        self._aside(f"key of line {later.name}", lambda: self._keys.make_request(waiting, action, clock.now()), True)
        return False

    def _beside(self, snapshot: LineSnapshot, step: KeyStep, now: datetime) -> None:
        if not isinstance(step, MakeNextKey):
            self._keys.do(snapshot, step, now)
            return
        clock = self._context.clock
        task = f"next key of {snapshot.key_name}"
        self._aside(task, lambda: self._keys.do(snapshot, step, clock.now()), step.is_wanted)

    def _end(self, line: Line, action: StopOrder | PauseLine, now: datetime) -> None:
        """Stop an order, or the line's renewals; unless the wish changed since the snapshot was taken."""

        def write(records: Records) -> None:
            if not records.lines.looked(SYSTEM, line.id, was=line.next_look, then=line.next_look):
                return
            if isinstance(action, PauseLine):
                records.lines.pause(SYSTEM, line.id, action.reason)
                records.events.add(SYSTEM, "line.paused", f"line:{line.name}", action.reason, now=now)
            elif records.orders.stop(SYSTEM, line.id, Failure(FailureClass.RETRY_SOON, action.reason), now=now):
                text = f"version {action.number}: {action.reason}"
                records.events.add(SYSTEM, "order.superseded", f"line:{line.name}", text, now=now)

        self._context.store.write(write)

    def _forget(self, line: Line, action: EndRehearsal, now: datetime) -> None:
        def write(records: Records) -> None:
            if records.lines.looked(SYSTEM, line.id, was=line.next_look, then=line.next_look):
                records.lines.delete(SYSTEM, line.name)
                records.events.add(SYSTEM, "rehearsal.ended", f"line:{line.name}", action.reason, now=now)

        self._context.store.write(write)

    def _looked(self, line: Line, next_look: datetime | None) -> None:
        """A wish that changed since the snapshot was taken keeps its look."""
        if next_look != line.next_look:
            self._context.store.write(
                lambda records: records.lines.looked(SYSTEM, line.id, was=line.next_look, then=next_look)
            )

    def _open(self, snapshot: LineSnapshot, action: OpenVersion, now: datetime) -> bool:
        version, orders = self._prepare(snapshot, action, now)
        line = snapshot.line

        def write(records: Records) -> bool:
            if not records.lines.looked(SYSTEM, line.id, was=line.next_look, then=None):
                return False  # the wish may have changed: plan anew
            records.versions.open(SYSTEM, version, orders)
            if action.slot is Slot.NEXT:
                spread(records, line, action.reason, now)
            text = f"version {version.number} is ordered: {action.reason}"
            data = {"version": version.number, "names": list(line.names), "profile": action.profile}
            records.events.add(SYSTEM, "version.ordered", f"line:{line.name}", text, now=now, data=data)
            return True

        try:
            if not self._context.store.write(write):
                return False
        except Conflict:  # another line's order for the same names came first
            self._looked(line, now + CROWDED)
            return False
        failpoint("version.ordered")
        log.info("ordered", extra={"line": line.name, "version": version.number, "reason": action.reason})
        return True

    def _prepare(self, snapshot: LineSnapshot, action: OpenVersion, now: datetime) -> tuple[Version, list[Order]]:
        issuer = _the_issuer(snapshot)
        uuid = self._context.chance.uuid
        number = max(action.number, self._counted(snapshot.line.name) + 1) if action.number == 1 else action.number
        version = Version(uuid(), snapshot.line.id, number, VersionState.ORDERED, now, action.reason)
        former = {certificate.key_type: certificate for certificate in action.replaces}
        certificates, orders = [], []
        for csr in action.csrs:
            asks = replace(csr.asks, directory=issuer.directory_url, profile=action.profile)
            certificate = replace(_certificate(uuid(), version.id, csr), asks=asks)
            certificates.append(certificate)
            order = Order(
                id=uuid(),
                certificate_id=certificate.id,
                issuer_id=issuer.id,
                names=tuple(sorted(snapshot.line.names)),
                profile=action.profile,
                state=OrderState.KEYED,
                created=now,
                due=now,
                since=now,
                replaces=_ari_id(former.get(csr.key_type)),
            )
            orders.append(order)
        return replace(version, certificates=tuple(certificates)), orders

    def _counted(self, name: str) -> int:
        """How far a former line of that name came: its host refuses a lower version (protocol, section 6, rule 7)."""
        with self._context.store.read() as records:
            events = records.events.all(SYSTEM, subject=f"line:{name}", limit=1000)
        return max((int(event.data["version"]) for event in events if event.kind == "version.ordered"), default=0)

    def _learn_profiles(self, snapshot: LineSnapshot, decided: Plan, now: datetime) -> datetime | None:
        """When to look at the line again: at once where the directory has news, else as planned."""
        issuer = _the_issuer(snapshot)
        try:
            profiles = self._context.authorities.look_at_directory(issuer).profiles
        except CaError as fault:
            log.warning("the issuer's directory cannot be read", extra={"issuer": issuer.name, "error": str(fault)})
            return max(fault.retry_at or now, now + DIRECTORY_RETRY)
        if profiles == issuer.profiles:
            return decided.next_look
        self._context.store.write(lambda records: records.issuers.set_profiles(SYSTEM, issuer.id, profiles))
        return now

    def _ask_renewal_info(self, snapshot: LineSnapshot, action: AskRenewalInfo, now: datetime) -> None:
        certificate = action.certificate
        chosen = _not_at_once(self._renewal(_the_issuer(snapshot), certificate, now), certificate, snapshot)
        self._context.store.write(lambda records: self._keep(records, snapshot, certificate, chosen, now))
        log.info(
            "renewal chosen",
            extra={"line": snapshot.line.name, "at": chosen.at.isoformat(), "reason": chosen.reason},
        )

    def _keep(
        self, records: Records, snapshot: LineSnapshot, certificate: Certificate, chosen: Renewal, now: datetime
    ) -> None:
        records.versions.set_renewal(SYSTEM, certificate.id, chosen)
        if certificate.renewal is None or certificate.renewal.at != chosen.at:
            text = f"renews {chosen.at:%Y-%m-%d %H:%M} UTC: {chosen.reason}"
            data = {"explanation_url": chosen.explanation_url}
            records.events.add(SYSTEM, "renewal.chosen", f"line:{snapshot.line.name}", text, now=now, data=data)

    def _renewal(self, issuer: Issuer, certificate: Certificate, now: datetime) -> Renewal:
        """By the CA's window, chosen once per window; what was chosen before stays while the CA cannot be asked."""
        if certificate.chain is None or certificate.not_before is None or certificate.not_after is None:
            raise AssertionError("only an issued certificate has a renewal")
        try:
            window = self._accounts.client(issuer).renewal_info(certificate.chain)
        except CaError as fault:
            again = max(fault.retry_at or now + WINDOW_RETRY, now + SOONEST_CHECK)
            if certificate.renewal is not None:
                return replace(certificate.renewal, next_check=again)
            return renewals.without_window(certificate.not_before, certificate.not_after, next_check=again)
        if window is None:
            return renewals.without_window(certificate.not_before, certificate.not_after, next_check=None)
        window = replace(window, next_check=max(window.next_check, now + SOONEST_CHECK))
        if renewals.same_window(certificate.renewal, window) and certificate.renewal is not None:
            return replace(certificate.renewal, next_check=window.next_check)
        return renewals.within(window, self._context.chance.uniform(0.0, 1.0), now)


def _not_at_once(chosen: Renewal, certificate: Certificate, snapshot: LineSnapshot) -> Renewal:
    ordered = next(version.created for version in snapshot.versions if version.id == certificate.version_id)
    if certificate.not_before is None or certificate.not_after is None:
        return chosen
    lifetime = certificate.not_after - certificate.not_before
    return renewals.not_at_once(chosen, ordered=ordered, lifetime=lifetime, is_first=certificate.renewal is None)


def _the_issuer(snapshot: LineSnapshot) -> Issuer:
    if snapshot.issuer is None:
        raise AssertionError("the planner never acts without an issuer")
    return snapshot.issuer


def _certificate(certificate_id: str, version_id: str, csr: LineCsr) -> Certificate:
    return Certificate(
        id=certificate_id,
        version_id=version_id,
        key_type=csr.key_type,
        csr=csr.csr,
        spki_sha256=csr.spki_sha256,
        names=csr.names,
    )


def _ari_id(certificate: Certificate | None) -> str | None:
    if certificate is None or certificate.chain is None:
        return None
    try:
        return ari_certificate_id(certificate.chain)
    except BadChain:
        return None
