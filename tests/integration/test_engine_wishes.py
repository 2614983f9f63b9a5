"""What the engine does with wishes that change under way, and with lines that nobody wants any more."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Deployment, DeploymentState, Grant, GrantKind, Line, Owner, VersionState
from certline_shared.keys import PrivateKey
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store

ONE, TWO, THREE = "one.example.com", "two.example.com", "three.example.com"
FOREVER = timedelta(days=400)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    clock, chance = FakeClock(), SeededChance()
    store = open_fresh_store(tmp_path, clock, chance)
    made = Engine(store, clock, chance, FakeCa(clock))
    made.configure()
    follower_grants(made)
    yield made
    store.close()


def follower_grants(engine: Engine) -> None:
    grants = [Grant(GrantKind.REQUEST, name) for name in (ONE, TWO, THREE)]
    engine.store.write(lambda records: records.followers.set_grants(SYSTEM, "follower", grants))


def line_of(engine: Engine) -> Line:
    with engine.store.read() as records:
        return records.lines.by_id(SYSTEM, "line-shop")


def change(engine: Engine, key: PrivateKey, *names: str) -> None:
    """The host asks for other names."""
    line = replace(line_of(engine), names=names, next_look=engine.clock.now(), owner=Owner.FOLLOWER)
    engine.store.write(lambda records: records.lines.save(SYSTEM, line))
    engine.request("shop", names, key)


def report(engine: Engine, version: int, state: DeploymentState = DeploymentState.PULLED) -> None:
    told = Deployment("follower", "line-shop", version, state, None, engine.clock.now())
    engine.store.write(lambda records: records.followers.report(SYSTEM, told))


def numbers(engine: Engine, state: VersionState) -> list[int]:
    return sorted(version.number for version in engine.versions("shop") if version.state is state)


def test_changes_of_a_hosts_wish_within_a_minute_of_an_order_make_one_further_order(engine: Engine) -> None:
    key = engine.want("shop", (ONE,))
    engine.run(timedelta(seconds=5))
    change(engine, key, ONE, TWO)
    engine.run(timedelta(seconds=20))
    assert len(engine.versions("shop")) == 1
    assert "more changes are waited for" in engine.standing("shop")
    change(engine, key, ONE, TWO, THREE)
    engine.run(timedelta(minutes=2))
    live = engine.live("shop")
    assert live is not None
    assert live.certificates[0].names == (ONE, THREE, TWO)
    assert live.number == 2


def test_a_change_of_the_operators_is_not_waited_for(engine: Engine) -> None:
    key = engine.want("shop", (ONE,))
    engine.run(timedelta(seconds=5))
    line = replace(line_of(engine), names=(ONE, TWO), next_look=engine.clock.now())
    engine.store.write(lambda records: records.lines.save(SYSTEM, line))
    engine.request("shop", (ONE, TWO), key)
    engine.run(timedelta(seconds=5))
    assert len(engine.versions("shop")) == 2


def test_an_order_that_waits_for_a_former_wish_is_stopped_for_the_new_one(engine: Engine) -> None:
    engine.solver.invisible_looks = 10_000
    key = engine.want("shop", (ONE,))
    engine.run(timedelta(seconds=10))
    line = replace(line_of(engine), names=(TWO,), next_look=engine.clock.now())
    engine.store.write(lambda records: records.lines.save(SYSTEM, line))
    engine.request("shop", (TWO,), key)
    engine.run(timedelta(seconds=30))
    assert numbers(engine, VersionState.ORDERED) == [1]
    assert "former wish" in engine.standing("shop")
    engine.run(timedelta(seconds=25))
    engine.solver.invisible_looks = 0
    engine.run(timedelta(minutes=2))
    live = engine.live("shop")
    assert live is not None
    assert live.certificates[0].names == (TWO,)
    (event,) = engine.events("order.superseded")
    assert "the wish changed" in event.text
    assert engine.solver.standing == set()


def test_a_line_whose_last_two_versions_nobody_pulled_is_paused_with_an_alarm(engine: Engine) -> None:
    engine.want("shop", (ONE,))
    engine.run(FOREVER)
    assert numbers(engine, VersionState.LIVE) == [2]
    (event,) = engine.events("line.paused")
    assert "nobody pulled the last 2 versions" in event.text
    assert "paused" in engine.standing("shop")
    assert len(engine.ca.issued) == 2


def test_a_line_that_its_host_pulls_is_renewed_for_ever(engine: Engine) -> None:
    engine.want("shop", (ONE,))
    for _ in range(8):
        engine.run(timedelta(days=50))
        report(engine, (engine.live("shop") or pytest.fail("nothing live")).number)
    assert not engine.events("line.paused")
    assert len(engine.ca.issued) > 4


def test_a_version_that_is_only_wanted_counts_as_not_pulled(engine: Engine) -> None:
    engine.want("shop", (ONE,))
    engine.run(timedelta(hours=1))
    report(engine, 1, DeploymentState.WANTED)
    engine.run(FOREVER)
    assert engine.events("line.paused")


def test_a_paused_line_goes_on_when_its_host_comes_back(engine: Engine) -> None:
    engine.want("shop", (ONE,))
    engine.run(FOREVER)
    report(engine, 2)
    now = engine.clock.now()
    assert engine.store.write(lambda records: records.lines.resume(SYSTEM, "line-shop", now=now))
    assert not engine.store.write(lambda records: records.lines.resume(SYSTEM, "line-shop", now=now))
    engine.run(timedelta(minutes=5))
    live = engine.live("shop")
    assert live is not None
    assert live.number == 3


def test_an_operators_force_issues_for_a_paused_line(engine: Engine) -> None:
    engine.want("shop", (ONE,))
    engine.run(FOREVER)
    forced = replace(line_of(engine), forced=True, next_look=engine.clock.now())
    engine.store.write(lambda records: records.lines.save(SYSTEM, forced))
    engine.run(timedelta(minutes=5))
    assert numbers(engine, VersionState.LIVE) == [3]
