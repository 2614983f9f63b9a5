"""Revokes certificates at their CA: intended on record, asked for, recorded; some only once other hosts moved on."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from certline_master.domain.access import SYSTEM
from certline_master.domain.custody import Revocation, RevocationState
from certline_master.domain.errors import CaError, DomainError, NotFound
from certline_master.domain.lost_host import has_moved_on, newest_safe
from certline_master.domain.model import FailureClass, FollowerState, Issuer, Version, VersionState
from certline_master.domain.ports import Records
from certline_master.work.accounts import Accounts
from certline_master.work.context import Context
from certline_master.work.going_live import look_at_tlsa
from certline_shared.backoff import delay
from certline_shared.failpoints import failpoint

MOST = 20  # at once
FIRST_RETRY = timedelta(seconds=30)
SLOWEST_RETRY = timedelta(hours=1)
WAITING_LOOK = timedelta(minutes=10)  # beside the looks that reports and new versions call for

_FOR_GOOD = (FailureClass.FIX_CONFIGURATION, FailureClass.NEEDS_PERSON)

log = logging.getLogger("certline.work.revoking")


class Revoking:
    """Each step may be repeated: what is revoked already counts as done."""

    def __init__(self, context: Context, accounts: Accounts) -> None:
        self._context = context
        self._accounts = accounts

    def turn(self) -> int:
        """What is due; returns how many certificates were revoked."""
        with self._context.store.read() as records:
            due = records.revocations.due(SYSTEM, self._context.clock.now(), MOST)
        return sum(self._one_apart(one) for one in due)

    def _one_apart(self, one: Revocation) -> bool:
        """One that cannot be carried out stops no other."""
        try:
            return self._one(one)
        except CaError as fault:
            self._failed(one, fault)
        except DomainError as fault:
            self._later(one, str(fault), None)
        except Exception as fault:  # an error of ours
            log.exception("a revocation broke", extra={"line": one.line})
            self._later(one, f"an error in certline: {type(fault).__name__}; its log has more", None)
        return False

    def _one(self, one: Revocation) -> bool:
        now = self._context.clock.now()
        if one.deadline is not None and now < one.deadline and self._others_need_it(one):
            self._save(replace(one, due=min(one.deadline, now + WAITING_LOOK)))
            return False
        issuer = self._issuer(one)
        if issuer is None:
            self._end(one, RevocationState.FAILED, "its issuer is not configured any more: revoke it at the CA")
            return False
        self._accounts.client(issuer).revoke(one.chain, one.reason)
        failpoint("revocation.asked")
        self._end(one, RevocationState.REVOKED, None)
        failpoint("revocation.recorded")
        return True

    def _others_need_it(self, one: Revocation) -> bool:
        """Whether a host that is to have the line has no version with another key yet."""
        pins = {one.spki_sha256}
        with self._context.store.read() as records:
            try:
                line = records.lines.get(SYSTEM, one.line)
            except NotFound:
                return False
            versions = records.versions.all(SYSTEM, line.id)
            reported = records.followers.deployments(SYSTEM, line_id=line.id)
            others = set(records.keys.holders(SYSTEM, line)) & _active(records)
        if newest_safe(versions, pins) is None:
            return True
        said = {holder: [report for report in reported if report.follower_id == holder] for holder in others}
        return not all(has_moved_on(versions, reports, pins) for reports in said.values())

    def _issuer(self, one: Revocation) -> Issuer | None:
        with self._context.store.read() as records:
            try:
                return records.issuers.by_id(SYSTEM, one.issuer_id)
            except NotFound:
                return None

    def _failed(self, one: Revocation, fault: CaError) -> None:
        if fault.failure in _FOR_GOOD:
            self._end(one, RevocationState.FAILED, str(fault))
        else:
            self._later(one, str(fault), fault.retry_at)

    def _later(self, one: Revocation, error: str, at: datetime | None) -> None:
        attempts, now = one.attempts + 1, self._context.clock.now()
        pause = delay(attempts, self._context.chance, first=FIRST_RETRY, most=SLOWEST_RETRY)
        self._save(replace(one, attempts=attempts, error=error, due=max(at, now) if at else now + pause))
        log.warning("a certificate is revoked later", extra={"line": one.line, "error": error})

    def _save(self, one: Revocation) -> None:
        self._context.store.write(lambda records: records.revocations.save(SYSTEM, one))

    def _end(self, one: Revocation, state: RevocationState, error: str | None) -> None:
        now = self._context.clock.now()
        ended = replace(one, state=state, error=error, due=None, ended=now)
        serial = one.serial

        def write(records: Records) -> None:
            if not records.revocations.save(SYSTEM, ended):
                return
            data = {"version": one.version, "serial": serial, "reason": one.reason}
            text = f"the certificate {serial} of version {one.version} was revoked"
            if error:
                text = f"the certificate {serial} of version {one.version} cannot be revoked: {error}"
            records.events.add(SYSTEM, f"certificate.{_KIND[state]}", f"line:{one.line}", text, now=now, data=data)
            if not error:
                _mark_version(records, one, now)

        self._context.store.write(write)
        log.info("revocation ended", extra={"line": one.line, "serial": serial, "state": state, "error": error})


_KIND = {RevocationState.REVOKED: "revoked", RevocationState.FAILED: "not_revoked"}


def _active(records: Records) -> set[str]:
    return {follower.id for follower in records.followers.all(SYSTEM) if follower.state is FollowerState.ACTIVE}


def _mark_version(records: Records, one: Revocation, now: datetime) -> None:
    """A version is revoked when the first of its certificates is: half of it is of no use. The planner looks anew."""
    try:
        line = records.lines.get(SYSTEM, one.line)
        version = records.versions.get(SYSTEM, line.id, one.version)
    except NotFound:
        return
    if _is_of(version, one) and version.state is not VersionState.REVOKED:
        records.versions.set_state(SYSTEM, version.id, VersionState.REVOKED, now=now)
        records.lines.set_next_look(SYSTEM, line.id, now)
        look_at_tlsa(records, line, now)


def _is_of(version: Version, one: Revocation) -> bool:
    """A line that was deleted and made anew may have another version of that number."""
    return any(certificate.id == one.certificate_id for certificate in version.certificates)
