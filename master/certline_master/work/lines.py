"""One turn of the lines that are due: read their snapshots, plan, do each action, record."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from certline_master.domain import renewal as renewals
from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaError, Conflict
from certline_master.domain.model import (
    Certificate,
    Issuer,
    LineCsr,
    LineSnapshot,
    Order,
    OrderState,
    Renewal,
    Version,
    VersionState,
)
from certline_master.domain.planning import AskRenewalInfo, LookAtDirectory, OpenVersion, Plan, plan
from certline_master.domain.ports import Records
from certline_master.work.accounts import Accounts
from certline_master.work.context import Context
from certline_shared.certificates import BadChain, ari_certificate_id
from certline_shared.failpoints import failpoint

DIRECTORY_RETRY = timedelta(minutes=1)
WINDOW_RETRY = timedelta(hours=6)  # RFC 9773 section 4.3.3
SOONEST_CHECK = timedelta(minutes=1)

log = logging.getLogger("certline.work.lines")


class Lines:
    """Carries out the planner's actions."""

    def __init__(self, context: Context, accounts: Accounts) -> None:
        self._context = context
        self._accounts = accounts

    def turn(self, line_ids: Sequence[str]) -> bool:
        """Look at these lines and do what is due; tells whether orders were opened."""
        with self._context.store.read() as records:
            snapshots = records.lines.snapshots(SYSTEM, line_ids)
        opened = [self._one(snapshot) for snapshot in snapshots]
        return any(opened)

    def _one(self, snapshot: LineSnapshot) -> bool:
        now = self._context.clock.now()
        decided = plan(snapshot, now)
        next_look = decided.next_look
        for action in decided.actions:
            if isinstance(action, OpenVersion):
                return self._open(snapshot, action, now)
            if isinstance(action, LookAtDirectory):
                next_look = self._learn_profiles(snapshot, now)
            else:
                self._ask_renewal_info(snapshot, action, now)
                next_look = now  # look once more, with the renewal known
        self._set_next_look(snapshot, decided, next_look)
        return False

    def _set_next_look(self, snapshot: LineSnapshot, decided: Plan, when: datetime | None) -> None:
        if when != snapshot.line.next_look:
            self._context.store.write(lambda records: records.lines.set_next_look(SYSTEM, snapshot.line.id, when))
        log.debug("looked", extra={"line": snapshot.line.name, "standing": decided.standing})

    def _open(self, snapshot: LineSnapshot, action: OpenVersion, now: datetime) -> bool:
        version, orders = self._prepare(snapshot, action, now)
        line = snapshot.line

        def write(records: Records) -> None:
            records.versions.open(SYSTEM, version, orders)
            records.lines.set_next_look(SYSTEM, line.id, None)
            text = f"version {version.number} is ordered: {action.reason}"
            data = {"version": version.number, "names": list(line.names), "profile": action.profile}
            records.events.add(SYSTEM, "version.ordered", f"line:{line.name}", text, now=now, data=data)

        try:
            self._context.store.write(write)
        except Conflict:  # another line's order for the same names came first
            soon = now + timedelta(seconds=2)
            self._context.store.write(lambda records: records.lines.set_next_look(SYSTEM, line.id, soon))
            return False
        failpoint("version.ordered")
        log.info("ordered", extra={"line": line.name, "version": version.number, "reason": action.reason})
        return True

    def _prepare(self, snapshot: LineSnapshot, action: OpenVersion, now: datetime) -> tuple[Version, list[Order]]:
        issuer = _the_issuer(snapshot)
        uuid = self._context.chance.uuid
        version = Version(uuid(), snapshot.line.id, action.number, VersionState.ORDERED, now, action.reason)
        former = {certificate.key_type: certificate for certificate in action.replaces}
        certificates, orders = [], []
        for csr in action.csrs:
            certificate = _certificate(uuid(), version.id, csr)
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

    def _learn_profiles(self, snapshot: LineSnapshot, now: datetime) -> datetime:
        issuer = _the_issuer(snapshot)
        try:
            profiles = self._context.authorities.look_at_directory(issuer).profiles
        except CaError as fault:
            log.warning("the issuer's directory cannot be read", extra={"issuer": issuer.name, "error": str(fault)})
            return max(fault.retry_at or now, now + DIRECTORY_RETRY)
        self._context.store.write(lambda records: records.issuers.set_profiles(SYSTEM, issuer.id, profiles))
        return now

    def _ask_renewal_info(self, snapshot: LineSnapshot, action: AskRenewalInfo, now: datetime) -> None:
        certificate = action.certificate
        chosen = self._renewal(_the_issuer(snapshot), certificate, now)
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
