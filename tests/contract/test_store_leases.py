"""Leases: who works on which order, in which order, and the fence that keeps out who comes too late."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import LeaseLost
from certline_master.domain.model import (
    Failure,
    FailureClass,
    OrderState,
)
from tests.contract.store_bed import HOUR, LEASE, OVER_AT_ONCE, StoreBed, ids

# --- claiming ---------------------------------------------------------------------------------------------------------


def test_a_claimed_order_comes_with_all_that_its_worker_needs(bed: StoreBed) -> None:
    line, issuer = bed.line(bed.follower()), bed.issuer()
    version, (order,) = bed.opened(line, issuer, url="https://le.example/order/1", waiting="its turn", since=bed.now)
    (work,) = bed.claim("first", lease=OVER_AT_ONCE)
    challenges = [bed.challenge(order), bed.challenge(order, name="z.example.test")]
    bed.write(lambda records: records.orders.save(SYSTEM, work.lease, order, challenges=challenges))
    (work,) = bed.claim("second")
    assert (work.order, work.certificate, work.issuer) == (order, version.certificates[0], issuer)
    assert work.challenges == tuple(challenges)
    assert (work.line_id, work.line, work.lease.worker) == (line.id, "shop", "second")
    assert timedelta(0) <= work.lease.until - (bed.now + LEASE) < timedelta(minutes=1)


def test_only_due_orders_are_claimed_the_most_overdue_first(bed: StoreBed) -> None:
    issuer, lines = bed.issuer(), bed.lines(3)
    delays = (timedelta(0), -HOUR, HOUR)
    now, late, _later = (
        bed.opened(line, issuer, due=bed.now + by)[1][0] for line, by in zip(lines, delays, strict=True)
    )
    assert sorted(ids(bed.claim())) == sorted([now.id, late.id])
    bed.write(lambda records: records.orders.release_all(SYSTEM, "w1"))
    assert ids(bed.claim(limit=1)) == [late.id]


def test_an_order_is_claimed_by_one_worker_until_its_lease_is_over(bed: StoreBed) -> None:
    (order,) = bed.orders(1)
    (first,) = bed.claim("first", lease=OVER_AT_ONCE)
    (second,) = bed.claim("second")
    assert (first.order.id, second.order.id) == (order.id, order.id)
    assert second.lease.fence == first.lease.fence + 1
    assert bed.claim("third") == []


def test_workers_that_claim_at_once_never_get_the_same_order(bed: StoreBed) -> None:
    orders = bed.orders(40)
    stores = [bed.store, bed.second_master()]
    with ThreadPoolExecutor(20) as threads:
        taken = list(threads.map(lambda n: bed.claim(f"w{n}", limit=3, store=stores[n % 2]), range(20)))
    ids = [work.order.id for works in taken for work in works]
    assert len(ids) == len(set(ids))
    rest = [work.order.id for work in bed.claim("last")]
    assert sorted(ids + rest) == sorted(order.id for order in orders)


def test_nothing_due_is_nothing_claimed(bed: StoreBed) -> None:
    assert bed.claim() == []
    bed.orders(1, due=bed.now + HOUR)
    assert bed.claim() == []


def test_a_lease_that_is_over_early_does_not_make_an_order_due(bed: StoreBed) -> None:
    (order,) = bed.orders(1)
    (work,) = bed.claim(lease=OVER_AT_ONCE)
    bed.save(work, replace(order, due=bed.now + HOUR))
    assert bed.claim("other") == []
    assert bed.read(lambda records: records.orders.next_due(SYSTEM)) == bed.now + HOUR


# --- places at the CA -------------------------------------------------------------------------------------------------


def test_new_orders_are_taken_only_while_there_is_room_at_the_ca(bed: StoreBed) -> None:
    bed.orders(5)
    held = bed.claim(most=2)
    assert len(held) == 2
    assert bed.claim("other", most=2) == []
    assert len(bed.claim("other", most=3)) == 1


def test_an_order_at_the_ca_keeps_its_place_when_it_is_freed_and_is_always_taken_again(bed: StoreBed) -> None:
    bed.orders(3)
    (work,) = bed.claim(most=1)
    bed.save(work, replace(work.order, state=OrderState.OPENED, url="https://le.example/order/1"), release=True)
    assert ids(bed.claim(most=1)) == [work.order.id]
    assert bed.claim("other", most=1) == []


def test_an_order_freed_before_it_was_opened_gives_its_place_back(bed: StoreBed) -> None:
    bed.orders(3)
    (work,) = bed.claim(most=1)
    bed.save(work, replace(work.order, due=bed.now + HOUR), release=True)
    (other,) = bed.claim(most=1)
    assert other.order.id != work.order.id


def test_the_place_of_a_dead_worker_goes_to_who_takes_its_order_over(bed: StoreBed) -> None:
    bed.orders(2)
    (work,) = bed.claim("dead", most=1, lease=OVER_AT_ONCE)
    assert ids(bed.claim("heir", most=1)) == [work.order.id]


def test_orders_at_the_ca_go_before_new_ones(bed: StoreBed) -> None:
    issuer, lines = bed.issuer(), bed.lines(2)
    bed.opened(lines[0], issuer, due=bed.now - HOUR)
    _, (begun,) = bed.opened(lines[1], issuer, url="https://le.example/order/1", state=OrderState.OPENED)
    assert ids(bed.claim(limit=1)) == [begun.id]


# --- the fence --------------------------------------------------------------------------------------------------------


def test_what_a_worker_saves_is_kept_with_its_challenges(bed: StoreBed) -> None:
    (order,) = bed.orders(1)
    (work,) = bed.claim()
    moved = replace(
        order,
        state=OrderState.PUBLISHING,
        due=bed.now + HOUR,
        since=bed.now,
        url="https://le.example/order/1",
        authorization_urls=("https://le.example/authz/1",),
        finalize_url="https://le.example/finalize/1",
        certificate_url="https://le.example/cert/1",
        replaces="aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE",
        attempts=3,
        failure=Failure(FailureClass.RETRY_AT, "busy", bed.now + HOUR),
        waiting="the CA",
    )
    challenge = bed.challenge(order)
    bed.write(lambda records: records.orders.save(SYSTEM, work.lease, moved, challenges=[challenge]))
    assert bed.order(order) == moved
    assert bed.read(lambda records: records.orders.challenge_values(SYSTEM, challenge.record)) == [challenge.value]


def test_a_worker_that_was_paused_beyond_its_lease_is_fenced(bed: StoreBed) -> None:
    (order,) = bed.orders(1)
    (paused,) = bed.claim("paused", lease=OVER_AT_ONCE)
    (heir,) = bed.claim("heir")
    challenge = bed.challenge(order)
    late = replace(order, waiting="too late", failure=Failure(FailureClass.RETRY_SOON, "too late"))
    for change in (
        lambda records: records.orders.save(SYSTEM, paused.lease, late, challenges=[challenge]),
        lambda records: records.orders.save(SYSTEM, paused.lease, late, release=True),
        lambda records: records.orders.issued(SYSTEM, paused.lease, late, paused.certificate, now=bed.now),
        lambda records: records.orders.failed(SYSTEM, paused.lease, late, now=bed.now),
    ):
        with pytest.raises(LeaseLost):
            bed.write(change)
    assert bed.order(order) == order
    assert bed.read(lambda records: records.orders.challenge_values(SYSTEM, challenge.record)) == []
    bed.save(heir, replace(order, waiting="in time"))
    assert bed.order(order).waiting == "in time"


def test_a_lease_that_ran_out_but_was_not_taken_over_still_counts(bed: StoreBed) -> None:
    (order,) = bed.orders(1)
    (work,) = bed.claim(lease=OVER_AT_ONCE)
    bed.save(work, replace(order, waiting="nobody came"))
    assert bed.order(order).waiting == "nobody came"


def test_a_lease_that_was_given_back_no_longer_counts(bed: StoreBed) -> None:
    (order,) = bed.orders(1)
    (work,) = bed.claim()
    bed.save(work, order, release=True)
    with pytest.raises(LeaseLost):
        bed.save(work, order)
    assert ids(bed.claim("next")) == [order.id]


def test_renewing_extends_only_the_leases_still_ours(bed: StoreBed) -> None:
    mine, lost = bed.orders(2)
    bed.claim("w1", lease=OVER_AT_ONCE)
    taken_over = bed.claim("w2", limit=1)[0].order.id
    now = bed.clock.now()
    ours = bed.write(lambda r: r.orders.renew(SYSTEM, "w1", [mine.id, lost.id, "gone"], now=now, lease=LEASE))
    assert ours == [order.id for order in (mine, lost) if order.id != taken_over]
    assert bed.claim("w3") == []
    assert bed.write(lambda r: r.orders.renew(SYSTEM, "w1", [], now=now, lease=LEASE)) == []


def test_a_clean_stop_frees_every_lease_of_that_worker_alone(bed: StoreBed) -> None:
    bed.orders(3)
    stopped, goes_on = bed.claim("w1", limit=2), bed.claim("w2", limit=1)
    bed.write(lambda records: records.orders.release_all(SYSTEM, "w1"))
    with pytest.raises(LeaseLost):
        bed.save(stopped[0], stopped[0].order)
    bed.save(goes_on[0], goes_on[0].order)
    assert sorted(ids(bed.claim("w3"))) == sorted(ids(stopped))
