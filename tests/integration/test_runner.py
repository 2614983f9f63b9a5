"""The runner: real threads on the machine's clock, with a fake CA and a fake solver."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaRefused, CaUnreachable, Unavailable
from certline_master.domain.model import FailureClass
from certline_master.store.kek import Kek
from certline_master.store.opening import open_store
from certline_master.store.schema import migrate
from certline_master.work import runner as runner_module
from certline_shared.chance import SystemChance
from tests.fakes.engine import configure
from tests.fakes.running import Running, ShiftedClock


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'certline.sqlite'}"
    migrate(url)
    return url


@pytest.fixture
def master(url: str) -> Iterator[Running]:
    clock = ShiftedClock()
    store = open_store(url, kek=Kek(b"k" * 32), clock=clock, chance=SystemChance())
    store.initialise()
    configure(store)
    made = Running(store, clock)
    yield made
    made.runner.stop()
    store.close()


def leases(url: str) -> list[tuple[str | None, int]]:
    """Worker and fence of each order."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = [(row.worker, row.fence) for row in connection.execute(text("SELECT worker, fence FROM orders"))]
    engine.dispose()
    return found


def test_twenty_lines_are_issued_with_no_more_orders_at_the_ca_than_allowed(master: Running) -> None:
    master.runner = master.another(limits={"orders_at_once": 5})
    master.ca.validation_looks = 1
    lines = [f"line{number}" for number in range(20)]
    master.runner.start()
    master.want(*lines)
    master.wait_until_quiet(*lines)
    assert len(master.ca.issued) == len(master.ca.orders) == 20
    assert 1 < master.ca.most_open <= 5


def test_it_stops_within_a_second_frees_its_leases_and_loses_nothing(master: Running, url: str) -> None:
    lines = [f"line{number}" for number in range(6)]
    master.ca.validation_looks, master.ca.retry_after = 1000, timedelta(seconds=20)
    master.runner.start()
    master.want(*lines)
    master.wait_until(lambda: master.ca.count("challenge") == 6)
    began = master.clock.monotonic()
    master.runner.stop()
    assert master.clock.monotonic() - began < 1
    assert {worker for worker, _ in leases(url)} == {None}
    for order in master.ca.orders.values():
        order.looks_left = 0
    master.runner = master.another()
    master.runner.start()
    master.wait_until_live(*lines)
    assert len(master.ca.issued) == len(master.ca.orders) == 6


def test_it_is_idle_when_nothing_is_due(master: Running) -> None:
    master.runner.start()
    master.want("shop")
    master.wait_until_quiet("shop")
    master.reads_within(0.5)  # what the last step rang for
    assert master.reads_within(1) <= 1


def test_it_waits_for_lines_in_hand_without_asking_all_the_time(
    master: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_module, "LINES_AT_ONCE", 1)
    master.ca.answers.clear()
    master.runner.start()
    master.want("shop", "mail")
    try:
        assert master.reads_within(1) <= 20
    finally:
        master.ca.answers.set()
    master.wait_until_live("shop", "mail")


def test_a_store_that_refuses_writes_is_not_asked_in_a_hot_loop(master: Running) -> None:
    master.runner.start()
    master.want("first")
    master.wait_until_quiet("first")
    master.store.refuses_writes = Unavailable("the disk is full")
    master.want("second")
    assert master.reads_within(2) <= 30
    master.store.refuses_writes = None
    master.wait_until_live("second")


def test_an_unexpected_error_in_a_step_costs_only_time(master: Running) -> None:
    master.ca.fail("finalize", RuntimeError("a fault of ours"), times=2)
    master.runner = master.another(limits={"threads": 1})
    master.runner.start()
    master.want("shop", "mail")
    master.wait_until_live("shop", "mail")
    assert len(master.ca.issued) == 2


def test_an_unexpected_error_while_looking_costs_only_time(master: Running) -> None:
    master.store.refuses_reads = [RuntimeError("a fault of ours"), Unavailable("the database is away")]
    master.runner.start()
    master.want("shop")
    master.wait_until_live("shop")


def test_a_ring_during_a_look_is_not_lost(master: Running) -> None:
    """Also when something is due later, so that the look has just found a time to wait for."""
    master.runner.start()
    master.want("first")
    master.wait_until_quiet("first")
    master.reads_within(0.5)
    for number in range(3):
        line = f"line{number}"
        master.store.after_reads = [lambda line=line: master.want(line)]  # type: ignore[misc]
        master.bell.ring("work")
        master.wait_until_quiet(line)


def test_a_lease_is_renewed_while_its_order_waits(master: Running, url: str) -> None:
    limits = {"lease": timedelta(seconds=0.6), "idle_look": timedelta(seconds=0.1)}
    master.runner, other = master.another(limits=limits), master.another(worker="other", limits=limits)
    master.ca.validation_looks, master.ca.retry_after = 5, timedelta(seconds=0.5)
    master.runner.start()
    master.want("shop")
    master.wait_until(lambda: master.ca.count("challenge") == 1)
    other.start()
    try:
        master.wait_until_live("shop")
    finally:
        other.stop()
    assert [fence for _, fence in leases(url)] == [1]


def test_orders_that_must_wait_long_take_no_place_from_others(master: Running) -> None:
    later = master.clock.now() + timedelta(hours=3)
    limit = CaRefused("rateLimited", "too many", FailureClass.RETRY_AT, status=429, retry_at=later)
    master.ca.fail("newOrder", limit, times=2)
    master.runner = master.another(limits={"orders_at_once": 2})
    master.runner.start()
    master.want("shop", "mail")
    master.wait_until(lambda: master.ca.count("newOrder") == 2)
    master.want("blog")
    master.wait_until_live("blog")
    assert master.live(["shop", "mail"]) == {}


def test_it_goes_on_when_the_wall_clock_is_set_back(master: Running) -> None:
    master.runner = master.another(limits={"idle_look": timedelta(seconds=0.2)})
    master.runner.start()
    master.want("first")
    master.wait_until_quiet("first")
    master.clock.shift = timedelta(days=-45)
    master.want("second", rings=False)
    master.wait_until_live("second")


def test_a_ca_that_is_away_at_the_start_is_asked_again(master: Running) -> None:
    master.ca.fail("newAccount", CaUnreachable("connection refused"))
    master.runner.start()
    master.want("shop")
    master.wait_until_live("shop")
    with master.real_store.read() as records:
        assert [order.attempts for order in records.orders.of_line(SYSTEM, "line-shop")] == [0]
