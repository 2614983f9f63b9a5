"""Who may change what: each role reaches what it should and no more, a follower only what is its own."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from certline_master.domain.access import SYSTEM, Caller, Role
from certline_master.domain.errors import Forbidden, NotFound
from certline_master.domain.model import (
    AdminToken,
    Deployment,
    DeploymentState,
    Failure,
    FailureClass,
    Follower,
    HttpName,
    Line,
    LineCsr,
    Owner,
    Renewal,
    VersionState,
    Zone,
)
from certline_master.domain.ports import Records
from certline_shared.keys import KeyType
from tests.contract.store_bed import ADMIN, LEASE, OPERATOR, VIEWER, StoreBed, as_follower
from tests.contract.store_fleet import Fleet, Use


def _hold(records: Records, caller: Caller, fleet: Fleet) -> None:
    version_id, now = fleet.their_version.id, fleet.bed.now
    records.versions.set_state(SYSTEM, version_id, VersionState.STAGED, now=now)
    records.versions.hold(caller, version_id, since=now, until=None, why="it waits")


# Each change, with the least role that may make it.
CHANGES: dict[str, tuple[Role, Use]] = {
    "save an issuer": (Role.ADMIN, lambda r, c, f: r.issuers.save(c, f.issuer)),
    "set an account": (Role.ADMIN, lambda r, c, f: r.issuers.set_account(c, f.issuer.id, key=None, url="u")),
    "set profiles": (Role.ADMIN, lambda r, c, f: r.issuers.set_profiles(c, f.issuer.id, ())),
    "save a zone": (Role.ADMIN, lambda r, c, _f: r.zones.save(c, Zone("z2", "b.test", Owner.API, "responder"))),
    "delete a zone": (Role.ADMIN, lambda r, c, _f: r.zones.delete(c, "example.test")),
    "save an http name": (Role.ADMIN, lambda r, c, _f: r.http.save(c, HttpName("h2", "b.test", Owner.API))),
    "delete an http name": (Role.ADMIN, lambda r, c, _f: r.http.delete(c, "www.example.test")),
    "add an admin token": (
        Role.ADMIN,
        lambda r, c, f: r.tokens.add(c, AdminToken("t2", "new", "admin", "efgh", f.bed.now, None), b"h"),
    ),
    "revoke an admin token": (Role.ADMIN, lambda r, c, f: r.tokens.revoke(c, "t", f.bed.now)),
    "add a secret": (Role.ADMIN, lambda r, c, _f: r.secrets.add(c, "tsig", b"k")),
    "set a fact": (Role.ADMIN, lambda r, c, _f: r.instance.set(c, "epoch", "9")),
    "save a follower": (Role.OPERATOR, lambda r, c, f: r.followers.save(c, f.mine)),
    "grant": (Role.OPERATOR, lambda r, c, f: r.followers.set_grants(c, f.mine.id, [])),
    "add an enrolment token": (
        Role.OPERATOR,
        lambda r, c, f: r.followers.add_token(c, replace(f.their_token, id="another", follower_id=f.mine.id)),
    ),
    "save a line": (Role.OPERATOR, lambda r, c, f: r.lines.save(c, f.their_line)),
    "delete a line": (Role.OPERATOR, lambda r, c, _f: r.lines.delete(c, "theirs")),
    "put a request": (
        Role.OPERATOR,
        lambda r, c, f: r.lines.put_csr(c, f.their_line.id, LineCsr(KeyType.RSA_2048, b"c", "bb", ("a.test",))),
    ),
    "set the next look": (Role.OPERATOR, lambda r, c, f: r.lines.set_next_look(c, f.their_line.id, f.bed.now)),
    "open a version": (
        Role.OPERATOR,
        lambda r, c, f: r.versions.open(c, *f.bed.version(f.their_line, f.issuer, 2)),
    ),
    "set a version's state": (
        Role.OPERATOR,
        lambda r, c, f: r.versions.set_state(c, f.their_version.id, VersionState.REVOKED, now=f.bed.now),
    ),
    "hold a version": (Role.OPERATOR, _hold),
    "want an older version again": (
        Role.OPERATOR,
        lambda r, c, f: r.standings.want_again(c, f.their_line.id, 1, [2], since=f.bed.now),
    ),
    "set a renewal": (
        Role.OPERATOR,
        lambda r, c, f: r.versions.set_renewal(c, f.their_version.certificates[0].id, Renewal(f.bed.now, "now", None)),
    ),
    "mark as replaced": (
        Role.OPERATOR,
        lambda r, c, f: r.versions.mark_replaced(c, f.their_version.certificates[0].id),
    ),
    "stop what runs for a line": (
        Role.OPERATOR,
        lambda r, c, f: r.orders.stop(c, f.their_line.id, Failure(FailureClass.RETRY_SOON, "gone"), now=f.bed.now),
    ),
    "claim orders": (
        Role.SYSTEM,
        lambda r, c, f: r.orders.claim(c, "w", now=f.bed.now, lease=LEASE, limit=1, in_flight_most=1),
    ),
    "renew leases": (Role.SYSTEM, lambda r, c, f: r.orders.renew(c, "w", [], now=f.bed.now, lease=LEASE)),
    "free leases": (Role.SYSTEM, lambda r, c, _f: r.orders.release_all(c, "w")),
    "remove challenges": (Role.SYSTEM, lambda r, c, _f: r.orders.save_challenges(c, [])),
    "look for removals": (Role.SYSTEM, lambda r, c, f: r.orders.to_remove(c, now=f.bed.now, limit=1)),
    "look for known values": (Role.SYSTEM, lambda r, c, _f: r.orders.known_values(c, [])),
    "read an answer": (Role.SYSTEM, lambda r, c, _f: r.orders.challenge_values(c, "x")),
    "read an http answer": (Role.SYSTEM, lambda r, c, _f: r.orders.http_answer(c, "x")),
    "compare tokens": (Role.SYSTEM, lambda r, c, _f: r.tokens.by_prefix(c, "abcd")),
}
REACH = [Role.VIEWER, Role.OPERATOR, Role.ADMIN, Role.SYSTEM]
CALLERS = {Role.VIEWER: VIEWER, Role.OPERATOR: OPERATOR, Role.ADMIN: ADMIN, Role.SYSTEM: SYSTEM}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_needs_its_role_and_no_less(fleet: Fleet, change: str) -> None:
    least, make = CHANGES[change]
    below = REACH[: REACH.index(least)]
    for role in below:
        with pytest.raises(Forbidden):
            fleet.bed.write(lambda records, role=role: make(records, CALLERS[role], fleet))  # type: ignore[misc]
    fleet.bed.write(lambda records: make(records, CALLERS[least], fleet))


@pytest.mark.parametrize("change", CHANGES)
def test_a_follower_makes_no_change_to_what_is_anothers(fleet: Fleet, change: str) -> None:
    with pytest.raises((Forbidden, NotFound)):
        fleet.bed.write(lambda records: CHANGES[change][1](records, as_follower(fleet.mine), fleet))


@pytest.mark.parametrize("change", ["save", "issued", "failed"])
def test_only_the_master_writes_an_order(fleet: Fleet, change: str) -> None:
    work = fleet.work
    uses: dict[str, Use] = {
        "save": lambda r, c, _f: r.orders.save(c, work.lease, work.order),
        "issued": lambda r, c, f: r.orders.issued(c, work.lease, work.order, work.certificate, now=f.bed.now),
        "failed": lambda r, c, f: r.orders.failed(c, work.lease, work.order, now=f.bed.now),
    }
    for caller in (VIEWER, OPERATOR, ADMIN, as_follower(fleet.theirs)):
        with pytest.raises(Forbidden):
            fleet.bed.write(lambda records, caller=caller: uses[change](records, caller, fleet))  # type: ignore[misc]


def test_deleting_an_issuer_a_follower_and_a_secret_needs_its_role(bed: StoreBed) -> None:
    bed.issuer()
    bed.follower()
    secret = bed.write(lambda records: records.secrets.add(SYSTEM, "tsig", b"k"))
    for below, least, change in (
        (OPERATOR, ADMIN, lambda r, c: r.issuers.delete(c, "le")),
        (VIEWER, OPERATOR, lambda r, c: r.followers.delete(c, "web-1")),
        (OPERATOR, ADMIN, lambda r, c: r.secrets.delete(c, secret)),
    ):
        with pytest.raises(Forbidden):
            bed.write(lambda records, c=change, who=below: c(records, who))  # type: ignore[misc]
        bed.write(lambda records, c=change, who=least: c(records, who))  # type: ignore[misc]


# --- what a follower may do itself ------------------------------------------------------------------------------------

OF_ITSELF: dict[str, Callable[[Records, Caller, Fleet, Follower], object]] = {
    "being seen": lambda r, c, f, who: r.followers.touch(c, who.id, now=f.bed.now),
    "its manifest": lambda r, c, _f, who: r.followers.set_manifest(c, who.id, tag="t"),
    "a nonce": lambda r, c, f, who: r.followers.use_nonce(c, who.id, "n", f.bed.now),
    "a report": lambda r, c, f, who: r.followers.report(
        c, Deployment(who.id, _line_of(f, who).id, 1, DeploymentState.PULLED, None, f.bed.now)
    ),
    "a request": lambda r, c, f, who: r.lines.put_csr(
        c, _line_of(f, who).id, LineCsr(KeyType.RSA_2048, b"c", "cc", ("a.test",))
    ),
    "a look": lambda r, c, f, who: r.lines.set_next_look(c, _line_of(f, who).id, f.bed.now),
}


def _line_of(fleet: Fleet, follower: Follower) -> Line:
    return fleet.my_line if follower is fleet.mine else fleet.their_line


@pytest.mark.parametrize("what", OF_ITSELF)
def test_a_follower_writes_for_itself_alone(fleet: Fleet, what: str) -> None:
    caller = as_follower(fleet.mine)
    fleet.bed.write(lambda records: OF_ITSELF[what](records, caller, fleet, fleet.mine))
    with pytest.raises(NotFound):
        fleet.bed.write(lambda records: OF_ITSELF[what](records, caller, fleet, fleet.theirs))


@pytest.mark.parametrize("what", ["being seen", "its manifest", "a nonce", "a report"])
def test_no_admin_speaks_for_a_follower(fleet: Fleet, what: str) -> None:
    with pytest.raises(Forbidden):
        fleet.bed.write(lambda records: OF_ITSELF[what](records, ADMIN, fleet, fleet.mine))


def test_a_follower_keeps_only_lines_it_asked_for_itself(fleet: Fleet) -> None:
    bed, caller = fleet.bed, as_follower(fleet.mine)
    changed = replace(fleet.my_line, names=("new.example.test",))
    bed.write(lambda records: records.lines.save(caller, changed))
    assert bed.read(lambda records: records.lines.get(caller, "mine")) == changed
    operators = bed.line(fleet.mine, "operators")
    for change in (
        lambda records: records.lines.save(caller, replace(operators, owner=Owner.FOLLOWER)),
        lambda records: records.lines.save(caller, replace(changed, owner=Owner.FILE)),
        lambda records: records.lines.delete(caller, "operators"),
    ):
        with pytest.raises(Forbidden, match="kept by the operator"):
            bed.write(change)
    for foreign in (
        replace(fleet.their_line, follower_id=fleet.mine.id),
        replace(changed, follower_id=fleet.theirs.id),
    ):
        with pytest.raises(NotFound):
            bed.write(lambda records, line=foreign: records.lines.save(caller, line))  # type: ignore[misc]
    bed.write(lambda records: records.lines.delete(caller, "mine"))
    assert [line.name for line in bed.read(lambda records: records.lines.all(caller))] == ["operators"]


def test_a_follower_claims_no_token_of_another(fleet: Fleet) -> None:
    claimed = fleet.bed.write(
        lambda records: records.followers.claim_token(
            as_follower(fleet.mine),
            fleet.their_token.id,
            identity_key=b"i",
            sealing_key=b"s",
            thumbprint="t",
            agent="a",
            now=fleet.bed.now,
        )
    )
    assert not claimed


def test_every_caller_leaves_its_name_in_the_audit(fleet: Fleet) -> None:
    bed = fleet.bed
    for caller in (VIEWER, as_follower(fleet.mine)):
        bed.write(lambda r, c=caller: r.events.add(c, "x", "y:z", "seen", now=bed.now))  # type: ignore[misc]
    events = bed.read(lambda records: records.events.all(VIEWER, subject="y:z", newest_first=False))
    assert [event.actor for event in events] == ["admin:vera", "follower:web-1"]
