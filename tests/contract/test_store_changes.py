"""The mark that tells whether manifests may have changed: on both databases, for every kind of write."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict
from certline_master.domain.model import (
    Deployment,
    DeploymentState,
    FollowerState,
    Grant,
    GrantKind,
    HttpName,
    LineCsr,
    Owner,
    Renewal,
    VersionState,
)
from certline_master.domain.placement import MANIFESTS_MARK
from certline_master.domain.ports import Records
from certline_master.store.changes import _UNSEEN_TABLES
from certline_master.store.tables import metadata
from certline_shared.keys import KeyType
from tests.contract.store_bed import StoreBed
from tests.contract.store_fleet import Fleet

SEEN_TABLES = {
    "certificates",
    "followers",
    "grants",
    "group_grants",
    "groups",
    "key_materials",
    "keys",
    "line_csrs",
    "lines",
    "versions",
    "waves",
}

Work = Callable[[Fleet, Records], object]


def test_for_every_table_it_is_known_whether_a_manifest_shows_it() -> None:
    assert set(metadata.tables) == SEEN_TABLES | _UNSEEN_TABLES
    assert not SEEN_TABLES & _UNSEEN_TABLES


def mark(bed: StoreBed) -> str | None:
    return bed.read(lambda records: records.instance.get(SYSTEM, MANIFESTS_MARK))


SHOWN: dict[str, Work] = {
    "grants": lambda f, r: r.followers.set_grants(SYSTEM, f.theirs.id, [Grant(GrantKind.REQUEST, "x.example")]),
    "a follower's state": lambda f, r: r.followers.save(SYSTEM, replace(f.theirs, state=FollowerState.SUSPENDED)),
    "a line's names": lambda f, r: r.lines.save(SYSTEM, replace(f.their_line, names=("other.example",))),
    "a line's end": lambda f, r: r.lines.delete(SYSTEM, f.their_line.name),
    "a pause": lambda f, r: r.lines.pause(SYSTEM, f.their_line.id, "nobody pulls it"),
    "a request": lambda f, r: r.lines.put_csr(
        SYSTEM, f.their_line.id, LineCsr(KeyType.ECDSA_P256, b"csr", "bb" * 32, f.their_line.names)
    ),
    "a version's state": lambda f, r: r.versions.set_state(
        SYSTEM, r.versions.all(SYSTEM, f.their_line.id)[0].id, VersionState.REVOKED, now=f.bed.now
    ),
}
UNSHOWN: dict[str, Work] = {
    "a look at a line": lambda f, r: r.lines.set_next_look(SYSTEM, f.their_line.id, f.bed.now),
    "when a follower was seen": lambda f, r: r.followers.touch(SYSTEM, f.theirs.id, now=f.bed.now, agent="new 1"),
    "a serial": lambda f, r: r.followers.set_manifest(SYSTEM, f.theirs.id, tag='"tag"'),
    "a report": lambda f, r: r.followers.report(
        SYSTEM, Deployment(f.theirs.id, f.their_line.id, 1, DeploymentState.PULLED, None, f.bed.now)
    ),
    "a renewal's time": lambda f, r: r.versions.set_renewal(
        SYSTEM, r.versions.all(SYSTEM, f.their_line.id)[0].certificates[0].id, Renewal(f.bed.now, "why", None)
    ),
    "an event": lambda f, r: r.events.add(SYSTEM, "x", "line:shop", "said", now=f.bed.now),
    "an http name": lambda f, r: r.http.save(SYSTEM, HttpName(f.bed.chance.uuid(), "h.example", Owner.FILE)),
}


@pytest.mark.parametrize("work", SHOWN.values(), ids=SHOWN)
def test_what_a_manifest_shows_changes_the_mark(fleet: Fleet, work: Work) -> None:
    before = mark(fleet.bed)
    fleet.bed.write(lambda records: work(fleet, records))
    assert mark(fleet.bed) != before


@pytest.mark.parametrize("work", UNSHOWN.values(), ids=UNSHOWN)
def test_what_no_manifest_shows_leaves_the_mark(fleet: Fleet, work: Work) -> None:
    before = mark(fleet.bed)
    fleet.bed.write(lambda records: work(fleet, records))
    assert mark(fleet.bed) == before


def test_a_certificate_that_is_issued_changes_the_mark(bed: StoreBed) -> None:
    issuer, web = bed.issuer(), bed.follower("web-1")
    line = bed.line(web, "shop")
    csr = LineCsr(KeyType.ECDSA_P256, b"csr", "aa", line.names)
    bed.write(lambda records: records.lines.put_csr(SYSTEM, line.id, csr))
    bed.opened(line, issuer)
    (work,) = bed.claim()
    before = mark(bed)
    assert bed.issue(work) is not None
    assert mark(bed) != before


def test_what_is_undone_leaves_the_mark_and_hides_no_change_beside_it(fleet: Fleet) -> None:
    before = mark(fleet.bed)

    def undone(records: Records) -> None:
        records.lines.delete(SYSTEM, fleet.their_line.name)
        raise Conflict("no")

    with pytest.raises(Conflict):
        fleet.bed.write(undone)
    assert mark(fleet.bed) == before
    fleet.bed.write(lambda records: records.lines.delete(SYSTEM, fleet.their_line.name))
    assert mark(fleet.bed) != before
