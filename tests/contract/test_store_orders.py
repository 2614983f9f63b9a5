"""Orders: one live order for the same names, leases with a fence, and what follows when an order ends."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, LeaseLost, NotFound
from certline_master.domain.model import (
    Failure,
    FailureClass,
    OrderState,
    Version,
    VersionState,
)
from certline_shared.keys import KeyType
from tests.contract.store_bed import HOUR, StoreBed

BOTH = (KeyType.ECDSA_P256, KeyType.RSA_2048)


# --- one live order ---------------------------------------------------------------------------------------------------


def test_a_second_live_order_for_the_same_issuer_names_and_profile_is_refused_whole(bed: StoreBed) -> None:
    issuer, follower, names = bed.issuer(), bed.follower(), ("a.example.test", "b.example.test")
    bed.opened(bed.line(follower, "one", names=names), issuer, profile="classic")
    line = bed.line(follower, "other", names=names[::-1])
    version, orders = bed.version(line, issuer, profile="classic")
    with pytest.raises(Conflict, match="under way"):
        bed.write(lambda records: records.versions.open(SYSTEM, version, orders))
    assert bed.read(lambda records: records.versions.all(SYSTEM, line.id)) == []
    assert len(bed.read(lambda records: records.orders.live(SYSTEM))) == 1


def test_of_fifty_equal_orders_at_once_one_is_opened(bed: StoreBed) -> None:
    issuer, follower, names = bed.issuer(), bed.follower(), ("a.example.test",)
    wishes = [bed.version(bed.line(follower, f"l{n}", names=names), issuer) for n in range(50)]
    stores = [bed.store, bed.second_master()]

    def opens(number: int) -> bool:
        version, orders = wishes[number]
        try:
            stores[number % 2].write(lambda records: records.versions.open(SYSTEM, version, orders))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(50) as threads:
        assert list(threads.map(opens, range(50))).count(True) == 1
    assert len(bed.read(lambda records: records.orders.live(SYSTEM))) == 1


def test_another_issuer_or_profile_is_another_order(bed: StoreBed) -> None:
    follower, names = bed.follower(), ("a.example.test",)
    le, other = bed.issuer("le"), bed.issuer("other")
    for number, (issuer, profile) in enumerate([(le, ""), (le, "short"), (other, "")]):
        bed.opened(bed.line(follower, f"l{number}", names=names), issuer, profile=profile)
    assert len(bed.claim()) == 3


def test_the_names_are_free_for_another_order_when_the_first_has_ended(bed: StoreBed) -> None:
    line, issuer = bed.line(bed.follower()), bed.issuer()
    bed.opened(line, issuer)
    bed.issue(bed.claim()[0])
    bed.opened(line, issuer, 2)
    assert [order.state for order in bed.read(lambda r: r.orders.of_line(SYSTEM, line.id))].count(OrderState.KEYED) == 1


# --- the end of an order ----------------------------------------------------------------------------------------------


def _version(bed: StoreBed, version: Version) -> Version:
    return bed.read(lambda records: records.versions.get(SYSTEM, version.line_id, version.number))


def test_an_issued_order_makes_its_version_live_and_retires_the_former(bed: StoreBed) -> None:
    line, issuer = bed.line(bed.follower()), bed.issuer()
    former, _ = bed.opened(line, issuer)
    bed.issue(bed.claim()[0])
    version, (order,) = bed.opened(line, issuer, 2)
    (work,) = bed.claim()
    live = bed.issue(work, "CHAIN")
    assert live is not None
    assert (live.number, live.state) == (2, VersionState.LIVE)
    certificate = live.certificates[0]
    assert (certificate.chain, certificate.serial, certificate.not_before) == ("CHAIN", "01", bed.now)
    assert _version(bed, version) == live
    assert (_version(bed, former).state, _version(bed, former).ended) == (VersionState.RETIRED, bed.now)
    assert bed.order(order).state is OrderState.ISSUED
    assert bed.read(lambda records: records.lines.by_id(SYSTEM, line.id)).next_look == bed.now
    with pytest.raises(LeaseLost):
        bed.save(work, work.order)


def test_a_version_of_two_key_types_goes_live_when_both_are_issued_one_after_the_other(bed: StoreBed) -> None:
    """A CA would hand the first order's authorizations and URL to a second one for the same names."""
    line, issuer = bed.line(bed.follower()), bed.issuer()
    version, orders = bed.version(line, issuer, key_types=BOTH)
    bed.write(lambda records: records.versions.open(SYSTEM, version, orders))
    (first,) = bed.claim()
    assert first.order == orders[0]
    assert bed.issue(first) is None
    assert _version(bed, version).state is VersionState.ORDERED
    (second,) = bed.claim()
    assert second.order == orders[1]
    live = bed.issue(second)
    assert live is not None
    assert (live.state, [one.chain for one in live.certificates]) == (VersionState.LIVE, ["PEM", "PEM"])


def test_while_one_key_type_waits_its_turn_no_other_line_comes_between(bed: StoreBed) -> None:
    issuer, follower, names = bed.issuer(), bed.follower(), ("a.example.test",)
    version, orders = bed.version(bed.line(follower, "one", names=names), issuer, key_types=BOTH)
    bed.write(lambda records: records.versions.open(SYSTEM, version, orders))
    bed.issue(bed.claim()[0])
    other, its_orders = bed.version(bed.line(follower, "other", names=names), issuer)
    with pytest.raises(Conflict):
        bed.write(lambda records: records.versions.open(SYSTEM, other, its_orders))


def test_a_failed_order_fails_its_version_and_the_other_order_of_it(bed: StoreBed) -> None:
    line, issuer = bed.line(bed.follower()), bed.issuer()
    version, orders = bed.version(line, issuer, key_types=BOTH)
    bed.write(lambda records: records.versions.open(SYSTEM, version, orders))
    (work,) = bed.claim()
    failure = Failure(FailureClass.NEEDS_PERSON, "CAA forbids it")
    order = replace(work.order, state=OrderState.FAILED, failure=failure)
    bed.write(lambda records: records.orders.failed(SYSTEM, work.lease, order, now=bed.now))
    found = _version(bed, version)
    assert (found.state, found.failure, found.ended) == (VersionState.FAILED, failure, bed.now)
    assert [bed.order(one).state for one in orders] == [OrderState.FAILED] * 2
    assert [bed.order(one).failure for one in orders] == [failure] * 2
    assert bed.read(lambda records: records.orders.live(SYSTEM)) == []
    assert bed.claim() == []
    assert bed.read(lambda records: records.lines.by_id(SYSTEM, line.id)).next_look == bed.now


def test_a_failed_renewal_leaves_the_live_version_live(bed: StoreBed) -> None:
    line, issuer = bed.line(bed.follower()), bed.issuer()
    former, _ = bed.opened(line, issuer)
    bed.issue(bed.claim()[0])
    bed.opened(line, issuer, 2)
    (work,) = bed.claim()
    order = replace(work.order, state=OrderState.FAILED, failure=Failure(FailureClass.RETRY_SOON, "no"))
    bed.write(lambda records: records.orders.failed(SYSTEM, work.lease, order, now=bed.now))
    assert _version(bed, former).state is VersionState.LIVE


def test_a_worker_hears_at_its_next_write_that_the_line_was_deleted(bed: StoreBed) -> None:
    line = bed.line(bed.follower())
    bed.opened(line, bed.issuer())
    (work,) = bed.claim()
    bed.write(lambda records: records.lines.delete(SYSTEM, line.name))
    with pytest.raises(LeaseLost):
        bed.save(work, work.order)
    assert bed.claim("other") == []


# --- looking ----------------------------------------------------------------------------------------------------------


def test_orders_are_found_by_id_by_line_and_by_being_live(bed: StoreBed) -> None:
    line, other = bed.lines(2)
    issuer = bed.issuer()
    _, (done,) = bed.opened(line, issuer, created=bed.now - HOUR)
    bed.issue(bed.claim()[0])
    _, (live,) = bed.opened(line, issuer, 2)
    _, (elsewhere,) = bed.opened(other, issuer, created=bed.now - HOUR)
    with bed.store.read() as records:
        assert [order.id for order in records.orders.of_line(SYSTEM, line.id)] == [live.id, done.id]
        assert records.orders.live(SYSTEM) == [elsewhere, live]
        with pytest.raises(NotFound):
            records.orders.get(SYSTEM, "gone")


def test_the_next_thing_due_may_be_an_order_or_the_end_of_its_lease(bed: StoreBed) -> None:
    (order,) = bed.orders(1)
    assert bed.read(lambda records: records.orders.next_due(SYSTEM)) == order.due
    (work,) = bed.claim()
    assert bed.read(lambda records: records.orders.next_due(SYSTEM)) == work.lease.until
    bed.save(work, replace(order, due=bed.now + HOUR), release=True)
    assert bed.read(lambda records: records.orders.next_due(SYSTEM)) == bed.now + HOUR


def test_an_order_that_has_ended_is_never_due(bed: StoreBed) -> None:
    line = bed.line(bed.follower())
    bed.opened(line, bed.issuer())
    bed.issue(bed.claim()[0])
    bed.write(lambda records: records.lines.set_next_look(SYSTEM, line.id, None))
    assert bed.read(lambda records: records.orders.next_due(SYSTEM)) is None
