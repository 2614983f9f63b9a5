"""The challenges' ledger: what answers, what is to be removed, what was ever ours."""

from dataclasses import replace

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Challenge, ChallengeState, ChallengeType, Order, OrderState
from tests.contract.store_bed import HOUR, StoreBed


def _order(bed: StoreBed, state: OrderState, *challenges: Challenge) -> Order:
    """An order of a line of its own that came into this state, with these rows."""
    name = f"l{bed.chance.uuid()[:8]}"
    issuer = bed.issuer(name, is_default=False)
    bed.opened(bed.line(bed.follower(name), name), issuer)
    (work,) = bed.claim(name)
    moved = replace(work.order, state=state, due=bed.now + HOUR)
    rows = [replace(row, order_id=moved.id) for row in challenges]
    bed.write(lambda records: records.orders.save(SYSTEM, work.lease, moved, challenges=rows))
    return moved


def _row(bed: StoreBed, value: str, **fields: object) -> Challenge:
    nowhere = Order("", "", "", ("a.example.test",), "", OrderState.PLANNED, bed.now, bed.now)
    return bed.challenge(nowhere, record="_acme-challenge.a.example.test", value=value, **fields)


def _values(bed: StoreBed) -> list[str]:
    return bed.read(lambda records: records.orders.challenge_values(SYSTEM, "_acme-challenge.a.example.test"))


def test_all_values_at_a_record_are_answered_until_they_are_removed(bed: StoreBed) -> None:
    one, two = _row(bed, "one"), _row(bed, "two", wildcard=True)
    order = _order(bed, OrderState.PUBLISHING, two, one)
    other = replace(_row(bed, "elsewhere"), record="_acme-challenge.b.example.test")
    _order(bed, OrderState.PUBLISHING, other)
    assert _values(bed) == ["one", "two"]
    gone = replace(one, order_id=order.id, state=ChallengeState.REMOVED)
    bed.write(lambda records: records.orders.save_challenges(SYSTEM, [gone]))
    assert _values(bed) == ["two"]


def test_an_http_token_is_answered_until_it_is_removed_and_no_dns_value_is(bed: StoreBed) -> None:
    row = _row(bed, "token.thumbprint", type=ChallengeType.HTTP_01, zone=None)
    row = replace(row, record="token")
    _order(bed, OrderState.PUBLISHING, row, _row(bed, "dns"))

    def answer(token: str) -> str | None:
        return bed.read(lambda records: records.orders.http_answer(SYSTEM, token))

    assert answer("token") == "token.thumbprint"
    assert answer("_acme-challenge.a.example.test") is None
    assert bed.read(lambda records: records.orders.challenge_values(SYSTEM, "token")) == []
    bed.write(lambda records: records.orders.save_challenges(SYSTEM, [replace(row, state=ChallengeState.REMOVED)]))
    assert answer("token") is None


def test_a_row_saved_again_is_changed_not_doubled(bed: StoreBed) -> None:
    _, (order,) = bed.opened(bed.line(bed.follower()), bed.issuer())
    (work,) = bed.claim()
    for value in ("meant", "given"):
        row = bed.challenge(order, id="the-one", value=value)
        bed.write(lambda records, row=row: records.orders.save(SYSTEM, work.lease, order, challenges=[row]))  # type: ignore[misc]
    record = f"_acme-challenge.{order.names[0]}"
    assert bed.read(lambda records: records.orders.challenge_values(SYSTEM, record)) == ["given"]


@pytest.mark.parametrize("state", list(OrderState))
def test_answers_stay_while_the_ca_may_look_and_go_however_the_order_ends(bed: StoreBed, state: OrderState) -> None:
    _order(bed, state, _row(bed, "one"))
    found = bed.read(lambda records: records.orders.to_remove(SYSTEM, now=bed.now, limit=9))
    ended = state in (OrderState.READY, OrderState.FINALIZED, OrderState.ISSUED, OrderState.FAILED)
    assert [row.value for row in found] == (["one"] if ended else [])


def test_a_value_that_another_live_order_needs_stays_until_that_has_ended(bed: StoreBed) -> None:
    """A CA that hands a pending order out again gives the same token for the next one."""
    _order(bed, OrderState.FAILED, _row(bed, "one"), _row(bed, "two"))
    same = _row(bed, "one")
    _order(bed, OrderState.PUBLISHING, same)
    with bed.store.read() as records:
        assert [row.value for row in records.orders.to_remove(SYSTEM, now=bed.now, limit=9)] == ["two"]
    bed.write(lambda records: records.orders.save_challenges(SYSTEM, [replace(same, state=ChallengeState.REMOVED)]))
    with bed.store.read() as records:
        found = records.orders.to_remove(SYSTEM, now=bed.now, limit=9)
        assert sorted(row.value for row in found) == ["one", "two"]


def test_a_removal_that_failed_is_tried_again_at_its_time(bed: StoreBed) -> None:
    row = _row(bed, "one")
    order = _order(bed, OrderState.FAILED, row)
    later = replace(row, order_id=order.id, due=bed.now + HOUR)
    bed.write(lambda records: records.orders.save_challenges(SYSTEM, [later]))
    with bed.store.read() as records:
        assert records.orders.to_remove(SYSTEM, now=bed.now, limit=9) == []
        assert records.orders.to_remove(SYSTEM, now=bed.now + HOUR, limit=9) == [later]
        assert records.orders.next_due(SYSTEM) == bed.now + HOUR


def test_a_removal_without_a_time_is_due_at_once(bed: StoreBed) -> None:
    _order(bed, OrderState.FAILED, _row(bed, "one"))
    due = bed.read(lambda records: records.orders.next_due(SYSTEM))
    assert due is not None
    assert due <= bed.clock.now()


def test_no_more_removals_are_handed_out_than_asked_for(bed: StoreBed) -> None:
    _order(bed, OrderState.FAILED, *[_row(bed, f"v{number}") for number in range(5)])
    assert len(bed.read(lambda records: records.orders.to_remove(SYSTEM, now=bed.now, limit=3))) == 3


def test_what_was_ever_ours_at_a_record_stays_known_after_its_removal(bed: StoreBed) -> None:
    row = _row(bed, "one")
    order = _order(bed, OrderState.FAILED, row, replace(_row(bed, "token"), type=ChallengeType.HTTP_01))
    removed = replace(row, order_id=order.id, state=ChallengeState.REMOVED)
    bed.write(lambda records: records.orders.save_challenges(SYSTEM, [removed]))
    with bed.store.read() as records:
        assert records.orders.known_values(SYSTEM, [row.record, "other"]) == {(row.record, "one")}
        assert records.orders.known_values(SYSTEM, []) == set()
