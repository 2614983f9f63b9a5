"""Who may see what: what is another's looks as if it were not there."""

import pytest

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import NotFound
from tests.contract.store_bed import ADMIN, HOUR, OPERATOR, VIEWER, as_follower
from tests.contract.store_fleet import Fleet, Use

# What a follower asks for that is another's: an answer like that of an empty store.
ABSENT: dict[str, tuple[Use, object]] = {
    "issuers": (lambda r, c, _f: r.issuers.all(c), []),
    "zones": (lambda r, c, _f: r.zones.all(c), []),
    "http names": (lambda r, c, _f: r.http.all(c), []),
    "admin tokens": (lambda r, c, _f: r.tokens.all(c), []),
    "events": (lambda r, c, _f: r.events.all(c), []),
    "csrs": (lambda r, c, f: r.lines.csrs(c, f.their_line.id), []),
    "due lines": (lambda r, c, f: r.lines.due(c, f.bed.now, 9), []),
    "snapshots": (lambda r, c, f: r.lines.snapshots(c, [f.their_line.id]), []),
    "versions": (lambda r, c, f: r.versions.all(c, f.their_line.id), []),
    "when versions were ordered": (
        lambda r, c, f: r.versions.ordered_since(c, f.theirs.id, f.bed.now - HOUR),
        [],
    ),
    "which versions there are": (lambda r, c, f: r.versions.numbers(c, [f.their_line.id]), frozenset()),
    "live versions": (lambda r, c, f: r.versions.live(c, [f.their_line.id]), {}),
    "deployments of a line": (lambda r, c, f: r.followers.deployments(c, line_id=f.their_line.id), []),
    "deployments of a follower": (lambda r, c, f: r.followers.deployments(c, follower_id=f.theirs.id), []),
    "orders of a line": (lambda r, c, f: r.orders.of_line(c, f.their_line.id), []),
    "live orders": (lambda r, c, _f: r.orders.live(c), []),
    "what is due": (lambda r, c, _f: r.orders.next_due(c), None),
}

MISSING: dict[str, Use] = {
    "issuer by name": lambda r, c, _f: r.issuers.get(c, "le"),
    "issuer by id": lambda r, c, f: r.issuers.by_id(c, f.issuer.id),
    "zone": lambda r, c, _f: r.zones.get(c, "example.test"),
    "follower by name": lambda r, c, _f: r.followers.get(c, "web-2"),
    "follower by id": lambda r, c, f: r.followers.by_id(c, f.theirs.id),
    "enrolment token": lambda r, c, f: r.followers.token(c, f.their_token.id),
    "line by name": lambda r, c, _f: r.lines.get(c, "theirs"),
    "line by id": lambda r, c, f: r.lines.by_id(c, f.their_line.id),
    "snapshot": lambda r, c, f: r.lines.snapshot(c, f.their_line.id),
    "version": lambda r, c, f: r.versions.get(c, f.their_line.id, 1),
    "certificate": lambda r, c, f: r.versions.certificate(c, f.their_version.certificates[0].id),
    "order": lambda r, c, f: r.orders.get(c, f.their_order.id),
    "secret": lambda r, c, f: r.secrets.read(c, "enrolment", f.their_token.mac_key),
}


@pytest.mark.parametrize("what", ABSENT)
def test_a_follower_is_not_shown_what_is_anothers(fleet: Fleet, what: str) -> None:
    look, nothing = ABSENT[what]
    with fleet.bed.store.read() as records:
        assert look(records, as_follower(fleet.mine), fleet) == nothing


@pytest.mark.parametrize("what", [what for what in ABSENT if what not in ("due lines", "live orders")])
def test_a_viewer_is_shown_it(fleet: Fleet, what: str) -> None:
    look, nothing = ABSENT[what]
    with fleet.bed.store.read() as records:
        assert look(records, VIEWER, fleet) != nothing


@pytest.mark.parametrize("what", MISSING)
def test_what_is_anothers_is_missing_for_a_follower(fleet: Fleet, what: str) -> None:
    with fleet.bed.store.read() as records, pytest.raises(NotFound):
        MISSING[what](records, as_follower(fleet.mine), fleet)


@pytest.mark.parametrize("what", [what for what in MISSING if what != "secret"])
def test_a_viewer_finds_it(fleet: Fleet, what: str) -> None:
    with fleet.bed.store.read() as records:
        assert MISSING[what](records, VIEWER, fleet)


def test_a_follower_sees_itself_and_all_that_is_its_own(fleet: Fleet) -> None:
    caller = as_follower(fleet.theirs)
    with fleet.bed.store.read() as records:
        assert [follower.name for follower in records.followers.all(caller)] == ["web-2"]
        assert records.followers.get(caller, "web-2") == records.followers.by_id(caller, fleet.theirs.id)
        assert records.lines.all(caller) == [records.lines.get(caller, "theirs")]
        assert len(records.lines.csrs(caller, fleet.their_line.id)) == 1
        assert records.lines.snapshot(caller, fleet.their_line.id).line.id == fleet.their_line.id
        assert records.versions.all(caller, fleet.their_line.id) == [fleet.their_version]
        assert records.versions.live(caller, [fleet.my_line.id, fleet.their_line.id]) == {
            fleet.their_line.id: fleet.their_version
        }
        assert len(records.followers.deployments(caller)) == 1
        assert records.followers.token(caller, fleet.their_token.id) == fleet.their_token


def test_a_follower_caller_without_an_id_sees_nothing(fleet: Fleet) -> None:
    nobody = Caller(Role.FOLLOWER, "web-1")
    with fleet.bed.store.read() as records:
        assert records.followers.all(nobody) == []
        assert records.lines.all(nobody) == []
        assert records.followers.deployments(nobody) == []
        assert records.versions.live(nobody, [fleet.their_line.id]) == {}


@pytest.mark.parametrize("caller", [VIEWER, OPERATOR, ADMIN], ids=lambda caller: str(caller.role))
def test_nobody_but_the_master_reads_a_secret(fleet: Fleet, caller: Caller) -> None:
    with fleet.bed.store.read() as records, pytest.raises(NotFound):
        records.secrets.read(caller, "enrolment", fleet.their_token.mac_key)
