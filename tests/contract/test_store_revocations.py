"""Certificates to be revoked: intended once, due at their time, over for good."""

from dataclasses import replace
from datetime import timedelta

import pytest

from certline_master.domain.access import SYSTEM, Caller, Role
from certline_master.domain.custody import Revocation, RevocationState
from certline_master.domain.errors import Forbidden
from tests.contract.store_bed import HOUR, OPERATOR, VIEWER, StoreBed

FOLLOWER = Caller(Role.FOLLOWER, "web-1", "id-1")


def intended(bed: StoreBed, certificate: str = "c1", **fields: object) -> Revocation:
    made = Revocation(
        id=bed.chance.uuid(),
        certificate_id=certificate,
        line="shop",
        issuer_id="issuer",
        version=3,
        serial="3f2a",
        spki_sha256="a1",
        not_after=bed.now + 24 * HOUR,
        chain="PEM",
        reason=1,
        state=RevocationState.INTENDED,
        created=bed.now,
        due=bed.now,
        follower="web-2",
    )
    return replace(made, **fields)  # type: ignore[arg-type]  # fields of a Revocation


def intend(bed: StoreBed, one: Revocation, caller: Caller = SYSTEM) -> bool:
    return bed.write(lambda records: records.revocations.intend(caller, one))


def due(bed: StoreBed, later: timedelta = timedelta(0)) -> list[str]:
    with bed.store.read() as records:
        return [one.certificate_id for one in records.revocations.due(SYSTEM, bed.now + later, 10)]


def test_a_certificate_is_to_be_revoked_once(bed: StoreBed) -> None:
    first, again = intended(bed), intended(bed)
    assert [intend(bed, first, OPERATOR), intend(bed, again, OPERATOR)] == [True, False]
    with bed.store.read() as records:
        assert records.revocations.all(VIEWER) == records.revocations.all(VIEWER, follower="web-2") == [first]
        assert records.revocations.all(VIEWER, follower="web-9") == []


def test_what_is_due_comes_first_and_wakes_the_engine(bed: StoreBed) -> None:
    for name, at in (("late", 2 * HOUR), ("soon", HOUR)):
        intend(bed, intended(bed, name, due=bed.now + at))
    assert (due(bed), due(bed, HOUR), due(bed, 2 * HOUR)) == ([], ["soon"], ["soon", "late"])
    with bed.store.read() as records:
        assert records.orders.next_due(SYSTEM) == bed.now + HOUR


def test_what_is_over_stays_over_and_is_not_due(bed: StoreBed) -> None:
    one = intended(bed)
    intend(bed, one)
    ended = replace(one, state=RevocationState.REVOKED, due=None, ended=bed.now)
    assert bed.write(lambda records: records.revocations.save(SYSTEM, ended))
    assert not bed.write(lambda records: records.revocations.save(SYSTEM, one))
    assert due(bed) == []
    with bed.store.read() as records:
        assert records.revocations.all(VIEWER) == [ended]
        assert records.orders.next_due(SYSTEM) is None


def test_those_that_wait_are_looked_at_when_their_line_has_news(bed: StoreBed) -> None:
    later = bed.now + HOUR
    waits = intended(bed, "waits", due=later, deadline=later)
    retried = intended(bed, "retried", due=later)
    assert intend(bed, waits)
    assert intend(bed, retried)
    assert not bed.write(lambda records: records.revocations.look(SYSTEM, "mail", now=bed.now))
    assert due(bed) == []
    assert bed.write(lambda records: records.revocations.look(SYSTEM, "shop", now=bed.now))
    assert due(bed) == ["waits"]


def test_those_that_wait_can_be_told_to_wait_no_longer(bed: StoreBed) -> None:
    later = bed.now + HOUR
    one = intended(bed, due=later, deadline=later)
    intend(bed, one)
    assert [bed.write(lambda records: records.revocations.hasten(OPERATOR, "web-2", now=bed.now)) for _ in "12"] == [
        1,
        0,
    ]
    with bed.store.read() as records:
        (found,) = records.revocations.due(SYSTEM, bed.now, 10)
    assert (found.deadline, found.due) == (None, bed.now)


@pytest.mark.parametrize("caller", [VIEWER, FOLLOWER], ids=["viewer", "follower"])
def test_who_may_not_intend_it_is_refused_and_a_follower_sees_none(bed: StoreBed, caller: Caller) -> None:
    one = intended(bed)
    with pytest.raises(Forbidden):
        intend(bed, one, caller)
    with bed.store.read() as records:
        assert records.revocations.all(FOLLOWER) == []
        assert list(records.revocations.due(FOLLOWER, bed.now, 9)) == []
