"""The audit trail in the store: chained as it is written, on both databases, whatever is undone meanwhile."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from certline_master.domain.access import SYSTEM, Caller, Role
from certline_master.domain.audit import Verdict, Verifier, make_seal
from certline_master.domain.errors import Conflict, Forbidden
from certline_master.domain.ports import Records
from certline_master.store.records import session_of
from certline_shared import signing
from tests.contract.store_bed import StoreBed

PRIVATE, PUBLIC = signing.generate_identity()
FOLLOWER = Caller(Role.FOLLOWER, "web-1", "f")


def add(bed: StoreBed, number: int) -> None:
    data = {"n": number, "names": ("a", "b"), "é": None}
    bed.store.write(lambda records: records.events.add(SYSTEM, "x", "line:é", f"said {number}", now=bed.now, data=data))


def seal(bed: StoreBed) -> None:
    def work(records: Records) -> None:
        last = records.seals.last(SYSTEM)
        up_to, heads = records.seals.heads(SYSTEM, after=last.up_to if last else 0)
        previous = last.hash if last else ""
        made = make_seal(heads, up_to=up_to, at=bed.now, previous=previous, private=PRIVATE, public=PUBLIC)
        records.seals.add(SYSTEM, made)

    bed.store.write(work)


def verdict(bed: StoreBed) -> Verdict:
    verifier = Verifier(frozenset({PUBLIC.hex()}))
    with bed.store.read() as records:
        verifier.seals(records.seals.all(SYSTEM))
        place = ("", 0)
        while found := records.events.in_chains(SYSTEM, after=place, limit=2):
            verifier.events(found)
            place = (found[-1].chain, found[-1].link or 0) if found[-1].chain else ("", found[-1].id)
    return verifier.finish()


def spoil(bed: StoreBed, statement: str) -> None:
    bed.store.write(lambda records: session_of(records).connection.execute(text(statement)))


def test_what_is_written_can_be_verified(bed: StoreBed) -> None:
    for number in range(5):
        add(bed, number)
    seal(bed)
    add(bed, 5)
    found = verdict(bed)
    assert found.problems == ()
    assert (found.events, found.chains, found.seals, found.unsealed) == (6, 1, 1, 1)


def test_a_work_that_is_undone_leaves_no_gap(bed: StoreBed) -> None:
    add(bed, 1)

    def fails(records: Records) -> None:
        records.events.add(SYSTEM, "x", "s", "undone", now=bed.now)
        raise Conflict("no")

    with pytest.raises(Conflict):
        bed.store.write(fails)
    add(bed, 2)
    assert verdict(bed).problems == ()


def test_a_record_that_was_changed_or_removed_in_the_database_is_named(bed: StoreBed) -> None:
    for number in range(4):
        add(bed, number)
    spoil(bed, "UPDATE events SET text = 'another' WHERE link = 2")
    assert any("was changed" in problem for problem in verdict(bed).problems)
    spoil(bed, "DELETE FROM events WHERE link = 2")
    assert any("1 event was removed" in problem for problem in verdict(bed).problems)


def test_two_masters_cannot_seal_side_by_side(bed: StoreBed) -> None:
    add(bed, 1)
    seal(bed)
    with bed.store.read() as records:
        last = records.seals.last(SYSTEM)
    assert last is not None
    twin = replace(last, hash="00")
    with pytest.raises(Conflict):
        bed.store.write(lambda records: records.seals.add(SYSTEM, twin))


def test_a_follower_sees_nothing_of_it_and_seals_nothing(bed: StoreBed) -> None:
    add(bed, 1)
    with bed.store.read() as records:
        assert records.events.in_chains(FOLLOWER, after=("", 0), limit=10) == []
        with pytest.raises(Forbidden):
            records.seals.all(FOLLOWER)
        with pytest.raises(Forbidden):
            records.seals.heads(FOLLOWER, after=0)
