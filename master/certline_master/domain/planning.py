"""The planner: one line's snapshot and the time -> what to do, why, and when to look again. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.domain import rollover, staging
from certline_master.domain.failing import STUCK, held_back_until
from certline_master.domain.model import (
    Certificate,
    Custody,
    Follower,
    FollowerState,
    Line,
    LineCsr,
    LineSnapshot,
    Slot,
    Version,
    VersionState,
)
from certline_master.domain.placement import names_without_grant
from certline_master.domain.profiles import NoProfile, choose_profile
from certline_master.domain.reasons import live_of, reason_by_age, reason_to_issue, renewals_of
from certline_master.domain.rehearsal import EndRehearsal, is_rehearsal, over_at
from certline_master.domain.wish import (
    MakeRequest,
    PauseLine,
    StopOrder,
    asks_changed,
    fitting_next,
    fitting_requests,
    is_for_this_wish,
    merged_until,
    nobody_pulls,
    superseded,
    under_way,
)
from certline_shared.names import display

CROWDED = timedelta(seconds=2)
LONG_CROWDED = timedelta(minutes=10)
"""When to look again while another line's order for the same names is under way: at its due time, within these."""


NEXT_KEY_LOOK = timedelta(minutes=10)
"""When to look again whether a next key is there that is being made."""


@dataclass(frozen=True, slots=True)
class OpenVersion:
    """Order the next version: one certificate for each request, each by its own order."""

    number: int
    profile: str
    csrs: tuple[LineCsr, ...]
    replaces: tuple[Certificate, ...]  # what it succeeds, for RFC 9773 `replaces`
    reason: str
    slot: Slot = Slot.CURRENT  # of the keys that the requests are for


@dataclass(frozen=True, slots=True)
class AskRenewalInfo:
    """Ask the CA when it wants this certificate renewed."""

    certificate: Certificate
    reason: str = "its renewal information is due"


@dataclass(frozen=True, slots=True)
class LookAtDirectory:
    """Learn the profiles that the issuer offers before ordering there."""

    reason: str = "the issuer's profiles are not known yet"


_KeyStep = MakeRequest | rollover.KeyStep
_Ending = StopOrder | PauseLine | EndRehearsal
Action = OpenVersion | AskRenewalInfo | LookAtDirectory | _Ending | _KeyStep | staging.StagedStep


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a line now, when to look again (None: when something changes), and how it stands, in words for
    people.
    """

    actions: tuple[Action, ...]
    next_look: datetime | None
    standing: str


def plan(snapshot: LineSnapshot, now: datetime) -> Plan:
    """Decide on one line. What is staged goes live in any case: its hosts may have been told when."""
    step = staging.next_step(snapshot, now)
    if step is not None:
        return Plan((step,), now, f"{staging.standing(snapshot)}; {step.reason}")
    if is_rehearsal(snapshot.line):
        return _rehearse(snapshot, now)
    return _beside_staged(_plan(snapshot, now), snapshot, now)


def _rehearse(snapshot: LineSnapshot, now: datetime) -> Plan:
    """One certificate, which is never renewed; then its end."""
    over, live = over_at(snapshot.line), live_of(snapshot)
    if over <= now:
        return Plan((EndRehearsal(),), None, EndRehearsal().reason)
    is_had = live is not None and is_for_this_wish(live, snapshot)
    decided = Plan((), None, "rehearsed") if is_had else _plan(snapshot, now)
    return Plan(decided.actions, min(decided.next_look or over, over), decided.standing)


def _beside_staged(decided: Plan, snapshot: LineSnapshot, now: datetime) -> Plan:
    looks = (decided.next_look, staging.next_look(snapshot, now))
    standing = "; ".join(text for text in (decided.standing, staging.standing(snapshot)) if text)
    return Plan(decided.actions, min((look for look in looks if look), default=None), standing)


def _plan(snapshot: LineSnapshot, now: datetime) -> Plan:
    hindrance = _hindrance(snapshot)
    if hindrance:
        return Plan((), None, hindrance)
    running = under_way(snapshot)
    if running:
        return _wait_for(running, snapshot, now)
    live = live_of(snapshot)
    reason = reason_to_issue(snapshot, live, now)
    renews = live is not None and reason_by_age(snapshot.line, live, now) is not None
    verdict = rollover.judge(snapshot, live, now, renews=renews)
    rolls = verdict.reason if verdict.reason and not rollover.is_rolling(snapshot) else None
    if live is not None and rolls is None and (reason is None or (renews and _is_followed(snapshot, live, now))):
        return _with_keys(_watch(snapshot.line, live, now), snapshot, verdict, now)
    is_wished = live is not None and is_for_this_wish(live, snapshot) and not asks_changed(live, snapshot)
    unwanted = nobody_pulls(snapshot) if is_wished else None
    if unwanted:
        return Plan((PauseLine(unwanted),), None, f"paused: {unwanted}")
    rolled = _roll(snapshot, live, rolls, reason, now) if rolls else None
    return rolled or _issue(snapshot, live, reason or "", now)


def _with_keys(watched: Plan, snapshot: LineSnapshot, verdict: rollover.Verdict, now: datetime) -> Plan:
    """What is to be done about keys beside, and when to look at them."""
    steps = (*_request_for_dns(snapshot), *rollover.steps(snapshot, verdict, now))
    again = now + NEXT_KEY_LOOK if any(isinstance(step, rollover.MakeNextKey) for step in steps) else None
    looks = [look for look in (watched.next_look, verdict.look, again) if look]
    said = "; ".join(text for text in (watched.standing, verdict.refused, verdict.notice) if text)
    return Plan((*watched.actions, *steps), min(looks, default=None), said)


def _request_for_dns(snapshot: LineSnapshot) -> Iterable[MakeRequest]:
    """TLSA records show the next key long before it is used, and they are made of its request."""
    line = snapshot.line
    if line.custody is not Custody.MASTER or not line.options.tlsa or rollover.lacking_next(snapshot):
        return
    missing = set(line.key_types) - {csr.key_type for csr in fitting_next(snapshot)}
    if missing:
        yield MakeRequest(tuple(sorted(missing)), "its TLSA records are made of it", Slot.NEXT)


def _is_followed(snapshot: LineSnapshot, live: Version, now: datetime) -> bool:
    """Whether a staged version for the next key was ordered as the renewal: it is waited for half of what is left."""
    due = min((renewal.at for renewal in renewals_of(live, snapshot.line)), default=None)
    ends = min((one.not_after for one in live.certificates if one.not_after), default=None)
    if due is None or ends is None or not any(one.created >= due for one in rollover.on_its_way(snapshot)):
        return False
    return now < due + (ends - due) / 2


def _roll(snapshot: LineSnapshot, live: Version | None, why: str, reason: str | None, now: datetime) -> Plan | None:
    """Order for the next keys; None where the current ones have to do for now."""
    csrs, line = fitting_next(snapshot), snapshot.line
    missing = tuple(sorted(set(line.key_types) - {csr.key_type for csr in csrs}))
    if not missing:
        held_back = held_back_until(snapshot, now)
        if held_back:
            return Plan((), held_back[0], f"{why}; tried again at {held_back[0]:%Y-%m-%d %H:%M} UTC: {held_back[1]}")
        return _open(snapshot, live, csrs, why, now, slot=Slot.NEXT)
    keep = _watch(line, live, now) if live else Plan((), None, "")
    if line.custody is Custody.MASTER and line.key_id is not None and (lacking := rollover.lacking_next(snapshot)):
        step = rollover.MakeNextKey(lacking, why, is_wanted=True)
        return Plan((*keep.actions, step), now + NEXT_KEY_LOOK, f"{why}; its next key is made")
    if line.custody is Custody.MASTER:
        return Plan((MakeRequest(missing, why, Slot.NEXT),), now, f"{why}; the next key's request is made")
    if reason is not None and not _is_for_a_revoked_key(snapshot):
        return None
    whose = f"follower {snapshot.follower.name}" if snapshot.follower else "its follower"
    return Plan(keep.actions, keep.next_look, f"{why}; waiting for the next key of {whose}")


def _is_for_a_revoked_key(snapshot: LineSnapshot) -> bool:
    over = [version for version in snapshot.versions if version.state is VersionState.REVOKED]
    pins = {one.spki_sha256 for version in over for one in version.certificates}
    return any(csr.spki_sha256 in pins for csr in snapshot.csrs)


def _wait_for(running: Version, snapshot: LineSnapshot, now: datetime) -> Plan:
    stop = superseded(running, snapshot)
    if stop is None:
        return Plan((), None, "an order is under way")
    if now < stop:
        return Plan((), stop, "an order for the former wish is under way")
    return Plan((StopOrder(running.number),), now, "the order for the former wish is stopped")


def _hindrance(snapshot: LineSnapshot) -> str | None:
    if snapshot.issuer is None:
        return "no issuer: name one for the line, or mark one as default"
    hindrance = _hindrance_of(snapshot.line, snapshot.follower) if snapshot.follower else None
    if hindrance:
        return hindrance
    return f"paused: {snapshot.line.paused}" if snapshot.line.paused and not snapshot.line.forced else None


def _hindrance_of(line: Line, follower: Follower) -> str | None:
    if follower.state in (FollowerState.REVOKED, FollowerState.SUSPENDED):
        return f"follower {follower.name} is {follower.state}"
    missing = names_without_grant(line, follower)
    return f"follower {follower.name} has no grant for {', '.join(map(display, missing))}" if missing else None


def _watch(line: Line, live: Version, now: datetime) -> Plan:
    asks = tuple(AskRenewalInfo(c) for c in live.certificates if _check_due(c, now))
    renewals = renewals_of(live, line)
    looks = [when for renewal in renewals for when in (renewal.at, renewal.next_check) if when]
    standing = f"version {live.number} is live"
    if renewals:
        first = min(renewals, key=lambda renewal: renewal.at)
        standing += f"; renews {first.at:%Y-%m-%d %H:%M} UTC: {first.reason}"
    return Plan(asks, min((when for when in looks if when > now), default=None), standing)


def _check_due(certificate: Certificate, now: datetime) -> bool:
    """RFC 9773 section 4.3: never for an expired certificate, nor for one that is replaced."""
    if certificate.replaced or certificate.not_after is None or certificate.not_after <= now:
        return False
    renewal = certificate.renewal
    return renewal is None or (renewal.next_check is not None and renewal.next_check <= now)


def _issue(snapshot: LineSnapshot, live: Version | None, reason: str, now: datetime) -> Plan:
    csrs = fitting_requests(snapshot)
    missing = set(snapshot.line.key_types) - {csr.key_type for csr in csrs}
    if missing and snapshot.line.custody is Custody.MASTER:
        return Plan((MakeRequest(tuple(sorted(missing)), reason),), now, f"{reason}; the key's request is made")
    if missing:
        keep = _watch(snapshot.line, live, now) if live else Plan((), None, "")
        whose = f"the request of follower {snapshot.follower.name}" if snapshot.follower else "its request"
        return Plan(keep.actions, keep.next_look, f"{reason}; waiting for {whose}")
    held_back = held_back_until(snapshot, now)
    if held_back:
        until, why = held_back
        return Plan((), until, f"{reason}; tried again at {until:%Y-%m-%d %H:%M} UTC: {why}")
    return _open(snapshot, live, csrs, reason, now)


def _open(
    snapshot: LineSnapshot,
    live: Version | None,
    csrs: list[LineCsr],
    reason: str,
    now: datetime,
    *,
    slot: Slot = Slot.CURRENT,
) -> Plan:
    issuer = snapshot.issuer
    if issuer is None or issuer.profiles is None:
        return Plan((LookAtDirectory(),), now, reason)
    try:
        profile = choose_profile(snapshot.line.profile or issuer.profile, issuer.profiles)
    except NoProfile as fault:
        return Plan((LookAtDirectory("its profiles may have changed"),), now + STUCK, f"{reason}; {fault}")
    if snapshot.busy_until_order:
        look = min(max(snapshot.busy_until_order, now + CROWDED), now + LONG_CROWDED)
        return Plan((), look, f"{reason}; another line's order for the same names is under way")
    until = merged_until(snapshot)
    if not snapshot.line.forced and staging.waiting_for(snapshot, csrs, now):
        return _watch(snapshot.line, live, now) if live else Plan((), None, reason)
    if until and until > now:
        return Plan((), until, f"{reason}; more changes are waited for until {until:%H:%M:%S} UTC")
    number = max((version.number for version in snapshot.versions), default=0) + 1
    action = OpenVersion(number, profile, tuple(csrs), tuple(_replaceable(live, snapshot, now)), reason, slot)
    return Plan((action,), None, reason)


def _replaceable(live: Version | None, snapshot: LineSnapshot, now: datetime) -> Iterable[Certificate]:
    """What the order may name in `replaces` (RFC 9773 section 5): not expired, not named before, a name in common."""
    for certificate in live.certificates if live else ():
        fresh = certificate.not_after is not None and certificate.not_after > now
        if fresh and not certificate.replaced and set(certificate.names) & set(snapshot.line.names):
            yield certificate
