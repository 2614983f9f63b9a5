"""What the engine does when the CA, DNS or its own code misbehaves: bounded tries, nothing lost, no one held up."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaRefused, CaUnreachable, SolverError, Subproblem
from certline_master.domain.model import Challenge, FailureClass, Line, VersionState, Zone
from certline_master.domain.ports import Records, RenewalWindow, Store
from certline_master.store.opening import SqlStore
from certline_shared.keys import KeyType, generate
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store, request_of
from tests.fakes.running import WatchedStore
from tests.fakes.solver import FakeSolver

SHOP = ("shop.example.com",)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    made = open_fresh_store(tmp_path, FakeClock(), SeededChance())
    yield made
    made.close()


def master(store: Store, *, ca: FakeCa | None = None, solver: FakeSolver | None = None) -> Engine:
    """Its clock is the CA's."""
    ca = ca or FakeCa(FakeClock())
    assert isinstance(ca.clock, FakeClock)
    made = Engine(store, ca.clock, SeededChance(), ca, solver or FakeSolver())
    made.configure()
    return made


@pytest.fixture
def engine(store: SqlStore) -> Engine:
    return master(store)


def change(engine: Engine, name: str, **fields: Any) -> None:
    def write(records: Records) -> None:
        line = records.lines.get(SYSTEM, name)
        records.lines.save(SYSTEM, replace(line, **({"next_look": engine.clock.now()} | fields)))

    engine.store.write(write)


def line_of(engine: Engine, name: str) -> Line:
    with engine.store.read() as records:
        return records.lines.get(SYSTEM, name)


# --- looks at lines ---------------------------------------------------------------------------------------------------


def test_a_request_that_comes_during_a_look_is_not_overlooked(store: SqlStore) -> None:
    watched = WatchedStore(store)
    engine = master(watched)
    engine.want("shop", SHOP)
    change(engine, "shop", names=("www.example.com",), next_look=engine.clock.now())

    def a_request_comes() -> None:
        engine.clock.advance(0.001)
        engine.request("shop", ("www.example.com",), generate(KeyType.ECDSA_P256))

    watched.after_reads = [a_request_comes, lambda: None]  # after the snapshot; before it, the look for what is due
    engine.run()
    assert engine.live("shop") is not None


def test_a_wish_that_changes_during_a_look_is_not_ordered_as_it_was(store: SqlStore) -> None:
    watched = WatchedStore(store)
    engine = master(watched)
    engine.run()
    key = engine.want("shop", SHOP)
    engine.turn()  # learns the profiles

    def the_wish_changes() -> None:
        engine.clock.advance(0.001)
        change(engine, "shop", names=("www.example.com",))
        csr = request_of(key, ("www.example.com",))
        engine.store.write(lambda records: records.lines.put_csr(SYSTEM, "line-shop", csr))

    watched.after_reads = [the_wish_changes, lambda: None]
    engine.run()
    assert [version.certificates[0].names for version in engine.versions("shop")] == [("www.example.com",)]


def test_a_line_that_breaks_stops_no_other_and_is_not_looked_at_in_a_loop(engine: Engine) -> None:
    engine.want("shop", SHOP)
    engine.run()
    engine.ca.fail("renewalInfo", RuntimeError("a fault of ours"), times=1000)
    engine.clock.advance(timedelta(days=1))
    before = engine.ca.count("renewalInfo")
    engine.want("other", ("other.example.com",))
    engine.run(timedelta(minutes=10))
    assert engine.live("other") is not None
    assert engine.ca.count("renewalInfo") - before <= 24  # each of two lines once a minute


def test_a_profile_that_is_not_offered_asks_for_no_directory_in_a_loop(engine: Engine) -> None:
    engine.want("shop", SHOP)
    change(engine, "shop", profile="nope", forced=True)
    engine.run(timedelta(hours=5))
    assert engine.ca.count("directory") <= 3
    assert "does not offer the profile 'nope'" in engine.standing("shop")


def test_a_profile_that_the_ca_offers_later_is_found_within_a_day(engine: Engine) -> None:
    engine.want("shop", SHOP)
    change(engine, "shop", profile="nope")
    engine.run(timedelta(hours=5))
    engine.ca.profiles = ("classic", "nope")
    engine.run(timedelta(days=1))
    assert engine.live("shop") is not None


def test_a_line_whose_names_wait_long_elsewhere_does_not_look_all_the_time(engine: Engine) -> None:
    later = engine.clock.now() + timedelta(hours=3)
    engine.ca.fail("newOrder", CaRefused("rateLimited", "x", FailureClass.RETRY_AT, status=429, retry_at=later))
    engine.want("shop", SHOP)
    engine.run(timedelta(minutes=1))
    engine.want("twin", SHOP)
    engine.turn()
    assert line_of(engine, "twin").next_look == engine.clock.now() + timedelta(minutes=10)


class AlwaysNow(dict[str, RenewalWindow]):
    """A CA whose windows are always over."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    def __contains__(self, _: object) -> bool:
        return True

    def __getitem__(self, _: str) -> RenewalWindow:
        now = self._clock.now()
        return RenewalWindow(now - timedelta(days=2), now - timedelta(days=1), None, now + timedelta(hours=6))


def test_a_certificate_that_is_due_as_soon_as_it_is_there_is_not_ordered_in_a_loop(engine: Engine) -> None:
    """security.md D10"""
    engine.ca.windows = AlwaysNow(engine.clock)
    engine.want("shop", SHOP)
    engine.run(timedelta(days=2))
    assert 2 <= len(engine.ca.issued) <= 10


# --- the CA -----------------------------------------------------------------------------------------------------------


def test_an_account_that_the_ca_loses_during_the_first_order_keeps_its_key(engine: Engine) -> None:
    engine.ca.validation_looks, engine.ca.retry_after = 5, timedelta(seconds=5)
    engine.want("shop", SHOP)
    engine.turn()  # the directory
    engine.turn()
    (key,) = engine.ca.accounts
    engine.ca.forget_accounts()
    engine.ca.validation_looks = 0
    engine.run(timedelta(minutes=10))
    assert engine.live("shop") is not None
    assert list(engine.ca.accounts) == [key]


def test_an_account_that_has_been_registered_anew_is_not_forgotten_by_a_late_order(engine: Engine) -> None:
    engine.ca.validation_looks, engine.ca.retry_after = 3, timedelta(seconds=5)
    names = [f"line{number}" for number in range(4)]
    for name in names:
        engine.want(name, (f"{name}.example.com",))
    engine.turn()  # the directory
    engine.turn()
    engine.ca.forget_accounts()
    engine.ca.accounts["another"] = "https://fake-ca.example/account/another"  # so that ours gets another URL
    engine.run(timedelta(minutes=30))
    assert all(engine.live(name) for name in names)
    assert engine.ca.count("newAccount") == 2


@pytest.mark.parametrize("ends", ["valid", "invalid"])
def test_an_order_that_is_processed_for_ten_minutes_is_waited_for(engine: Engine, ends: str) -> None:
    """acme.md D 38"""
    engine.ca.issuing_looks, engine.ca.retry_after = 10_000, timedelta(minutes=1)
    engine.want("shop", SHOP)
    engine.run(timedelta(minutes=10))
    assert engine.events("order.failed") == []
    (order,) = engine.ca.orders.values()
    order.looks_left = 0
    compound = CaRefused(
        "compound",
        "two problems",
        FailureClass.RETRY_SOON,
        subproblems=(Subproblem("shop.example.com", "caa", "CAA forbids it"),),
    )
    if ends == "invalid":
        order.status, order.error = "invalid", compound
    engine.ca.issuing_looks = 0
    engine.run(timedelta(minutes=1))
    assert (engine.live("shop") is not None) == (ends == "valid")
    failures = [event.text for event in engine.events("order.failed")]
    assert failures == ([] if ends == "valid" else ["compound: two problems; shop.example.com: CAA forbids it"])


@pytest.mark.parametrize("what", ["validation_looks", "issuing_looks"])
def test_an_order_that_the_ca_never_ends_is_given_up_after_a_day(engine: Engine, what: str) -> None:
    """security.md D5"""
    setattr(engine.ca, what, 10**9)
    engine.ca.retry_after = timedelta(hours=1)
    engine.want("shop", SHOP)
    engine.run(timedelta(hours=23))
    assert engine.events("order.failed") == []
    setattr(engine.ca, what, 0)
    engine.run(timedelta(hours=3))
    (failed,) = engine.events("order.failed")
    assert "waited 24 hours for the CA" in failed.text
    assert engine.live("shop") is not None


def test_a_request_that_the_ca_forgot_is_sent_again(engine: Engine) -> None:
    engine.ca.issuing_looks, engine.ca.retry_after = 3, timedelta(minutes=1)
    engine.want("shop", SHOP)
    engine.turn()
    engine.clock.advance(timedelta(seconds=1))
    engine.run(timedelta(seconds=1))
    (order,) = engine.ca.orders.values()
    assert order.status == "processing"
    order.status, order.chain, engine.ca.issuing_looks = "ready", None, 0
    order.looks_left = 0
    engine.run(timedelta(minutes=10))
    assert engine.live("shop") is not None
    assert engine.ca.count("newOrder") == 1


def test_the_former_certificate_once_more_is_refused(engine: Engine) -> None:
    """security.md D6"""
    engine.want("shop", SHOP)
    engine.run()
    engine.ca.tamper = lambda _: engine.ca.issued[0]
    change(engine, "shop", forced=True)
    engine.run(timedelta(hours=12))
    (failed,) = engine.events("order.failed")
    assert "the former one again" in failed.text
    assert (engine.live("shop") or pytest.fail("nothing live")).number == 1


def test_an_answer_that_breaks_us_each_time_brings_no_flood_of_orders(engine: Engine) -> None:
    engine.ca.fail("newOrder", RuntimeError("a fault of ours"), times=10_000, is_answer_lost=True)
    engine.want("shop", SHOP)
    engine.run(timedelta(hours=23))
    assert len(engine.ca.orders) <= 13
    assert "an error in certline: RuntimeError" in engine.standing("shop")


def test_a_connection_cut_after_new_order_takes_the_same_order_where_the_ca_gives_it_again(engine: Engine) -> None:
    """acme.md D 37"""
    engine.ca.reuse_orders = True
    engine.ca.fail("newOrder", CaUnreachable("connection reset"), is_answer_lost=True, times=3)
    engine.want("shop", SHOP)
    engine.run()
    assert engine.live("shop") is not None
    assert len(engine.ca.orders) == len(engine.ca.issued) == 1


def test_a_ca_that_is_away_is_asked_again_after_growing_pauses_with_jitter(engine: Engine) -> None:
    """acme.md D 37"""
    times: list[float] = []
    refused = CaUnreachable("503 Service Unavailable")

    def asked(kind: str, work: Callable[[], object]) -> object:
        if kind == "newOrder":
            times.append(engine.clock.monotonic())
            raise refused
        return work()

    engine.ca.asked = asked  # type: ignore[method-assign, assignment]
    engine.want("shop", SHOP)
    engine.run(timedelta(hours=6))
    pauses = [after - before for before, after in pairwise(times)]
    assert 10 <= len(times) <= 25
    assert pauses[4] > pauses[0]
    assert max(pauses) <= 3600
    assert all(pause not in (1, 2, 4, 8, 16, 32) for pause in pauses)


def test_a_paused_identifier_is_told_and_not_tried_in_a_loop(engine: Engine) -> None:
    """acme.md D 36"""
    paused = CaRefused("rateLimited", "shop.example.com is paused: see URL", FailureClass.NEEDS_PERSON, status=429)
    engine.ca.fail("newOrder", paused, times=10_000)
    engine.want("shop", SHOP)
    engine.run(timedelta(hours=23))
    assert engine.ca.count("newOrder") == 1
    (failed,) = engine.events("order.failed")
    assert failed.data["class"] == FailureClass.NEEDS_PERSON
    assert "is paused" in engine.standing("shop")


@pytest.mark.parametrize("reason", ["Incorrect TXT record 'wrong'", "No TXT record found", "SERVFAIL looking up TXT"])
def test_a_failed_validation_tells_name_and_reason_and_leaves_no_record(engine: Engine, reason: str) -> None:
    """acme.md D 11"""
    engine.ca.validate = lambda _: reason
    engine.want("shop", SHOP)
    engine.run(timedelta(seconds=30))
    (failed,) = engine.events("order.failed")
    assert "shop.example.com" in failed.text
    assert reason in failed.text
    assert engine.solver.standing == set()


def test_after_one_name_failed_a_new_order_is_made_for_all(engine: Engine) -> None:
    """acme.md D 12"""
    names = ("a.example.com", "b.example.com")
    engine.ca.validate = lambda proof: "no TXT record" if proof.name == names[0] else ""
    engine.want("shop", names)
    engine.run(timedelta(seconds=30))
    engine.ca.validate = lambda _: ""
    engine.run(timedelta(minutes=5))
    assert [order.status for order in engine.ca.orders.values()] == ["invalid", "valid"]
    assert (engine.live("shop") or pytest.fail("nothing live")).certificates[0].names == names


def test_two_workers_make_one_order_of_one_wish_and_both_lines_of_two_get_theirs(engine: Engine) -> None:
    """acme.md D 35"""
    other = Engine(engine.store, engine.clock, engine.chance, engine.ca, engine.solver, engine.dns, worker="other")
    engine.ca.reuse_authorizations = True
    engine.want("shop", SHOP)
    engine.want("twin", SHOP)
    for _ in range(10):
        engine.turn()
        other.turn()
        engine.clock.advance(timedelta(seconds=2))
    assert engine.live("shop") is not None
    assert engine.live("twin") is not None
    assert len(engine.ca.orders) == len(engine.ca.issued) == 2
    assert engine.ca.count("challenge") == 1


# --- lies of the CA ---------------------------------------------------------------------------------------------------


class LyingCa(FakeCa):
    """Its orders are bent before anyone sees them."""

    bend: Callable[[Any], None]

    def open(self, *asked: Any) -> Any:
        order = super().open(*asked)
        self.bend(order)
        return order


def _another_name(order: Any) -> None:
    order.authorizations[0].name = "victim.example.com"


def _no_token(order: Any) -> None:
    for challenge in order.authorizations[0].challenges:
        challenge.token = None  # as the client gives one that is no token of RFC 8555


@pytest.mark.parametrize(
    ("bend", "told"),
    [(_another_name, "wants victim.example.com proven, which was not asked for"), (_no_token, "does not offer dns-01")],
)
def test_a_lie_of_the_ca_about_names_or_tokens_is_refused_before_anything_is_written(
    store: SqlStore, bend: Callable[[Any], None], told: str
) -> None:
    """security.md D7"""
    ca = LyingCa(FakeClock())
    ca.bend = bend
    engine = master(store, ca=ca)
    engine.want("shop", ("a.example.com", "b.example.com"))
    engine.run(timedelta(hours=12))
    assert engine.solver.calls == []
    assert ca.count("challenge") == 0
    (failed,) = engine.events("order.failed")
    assert told in failed.text


# --- DNS --------------------------------------------------------------------------------------------------------------


def test_the_budget_for_dns_counts_from_the_moment_the_records_are_there(engine: Engine) -> None:
    engine.solver.fail_next["present"] = [SolverError("the server is away")] * 10  # about a quarter of an hour
    engine.solver.invisible_looks = 3
    engine.want("shop", SHOP)
    engine.run(timedelta(hours=1))
    assert engine.events("order.failed") == []
    assert engine.live("shop") is not None


def test_a_value_that_the_next_order_needs_too_is_not_swept(engine: Engine) -> None:
    """A CA that gives a pending order again gives its tokens again."""
    engine.ca.reuse_orders = True
    engine.solver.invisible_looks = 10_000
    engine.solver.fail_next["clean_up"] = [SolverError("the server is away")] * 3
    engine.want("shop", SHOP)
    engine.run(timedelta(minutes=10, seconds=15))
    assert [version.state for version in engine.versions("shop")] == [VersionState.FAILED]
    engine.run(timedelta(minutes=5))
    assert [version.state for version in engine.versions("shop")] == [VersionState.ORDERED, VersionState.FAILED]
    assert len(engine.solver.standing) == 1
    engine.solver.invisible_looks = 0
    engine.run(timedelta(minutes=5))
    assert engine.live("shop") is not None
    assert engine.solver.standing == set()


def test_a_clean_up_that_breaks_is_tried_again_later(engine: Engine) -> None:
    engine.solver.fail_next["clean_up"] = [RuntimeError("a fault of a solver")] * 2  # type: ignore[list-item]
    engine.want("shop", SHOP)
    engine.run(timedelta(minutes=5))
    assert engine.solver.standing == set()
    assert [call[0] for call in engine.solver.calls].count("clean_up") == 3


class LateSolver(FakeSolver):
    """Something happens just before the records are put in place."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Callable[[], None]] = []

    def present(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        if self.before:
            self.before.pop()()
        super().present(zone, secret, challenges)


def test_what_a_worker_puts_in_place_after_it_lost_its_lease_is_swept_too(store: SqlStore) -> None:
    """security.md C6"""
    solver = LateSolver()
    engine = master(store, solver=solver)
    other = Engine(store, engine.clock, engine.chance, engine.ca, solver, engine.dns, worker="other")
    engine.want("shop", SHOP)

    def stand_still() -> None:
        engine.clock.advance(timedelta(hours=2))
        other.run()
        assert other.live("shop") is not None

    solver.before = [stand_still]
    engine.run()
    assert solver.standing == set()
    assert len(engine.ca.issued) == 1
