"""A line that is revoked, and whose host keeps the key: the next version is for another key, whoever has to make it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.line_revoking import LineRevoking
from certline_master.domain.model import LineOptions, Slot, VersionState
from certline_master.domain.staging import pins
from certline_shared.keys import KeyType, PrivateKey, generate, spki_sha256
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store, request_of

NAMES = ("shop.example.com",)
LIVE, REVOKED = VersionState.LIVE, VersionState.REVOKED


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    clock, chance = FakeClock(), SeededChance()
    store = open_fresh_store(tmp_path, clock, chance)
    made = Engine(store, clock, chance, FakeCa(clock))
    made.configure()
    yield made
    store.close()


def issued(engine: Engine) -> PrivateKey:
    key = engine.want("shop", NAMES)
    engine.run()
    with engine.store.read() as records:
        line = replace(records.lines.get(SYSTEM, "shop"), options=LineOptions(stage_for="25h"))
    engine.store.write(lambda records: records.lines.save(SYSTEM, line))
    return key


def revoke(engine: Engine) -> None:
    now = engine.clock.now()
    engine.store.write(
        lambda records: LineRevoking(records, SYSTEM, engine.chance, now, 0).run(records.lines.get(SYSTEM, "shop"))
    )


def states(engine: Engine) -> dict[int, VersionState]:
    return {version.number: version.state for version in engine.versions("shop")}


def next_request(engine: Engine) -> PrivateKey:
    key = generate(KeyType.ECDSA_P256)
    csr = replace(request_of(key, NAMES), slot=Slot.NEXT)
    engine.store.write(lambda records: records.lines.put_csr(SYSTEM, "line-shop", csr))
    engine.look_at("shop")
    return key


def is_live_for(engine: Engine, key: PrivateKey) -> bool:
    live = engine.live("shop")
    return live is not None and pins(live) == {spki_sha256(key)}


def test_the_hosts_next_key_is_used_at_once_and_staged_for_no_hours(engine: Engine) -> None:
    """peers 2.1.35"""
    issued(engine)
    following = next_request(engine)
    revoke(engine)
    engine.run()
    assert states(engine) == {2: LIVE, 1: REVOKED}
    assert is_live_for(engine, following)
    assert not engine.events("version.staged")


def test_without_a_next_key_it_waits_for_one_and_uses_the_revoked_one_no_more(engine: Engine) -> None:
    issued(engine)
    revoke(engine)
    engine.run()
    assert states(engine) == {1: REVOKED}
    assert "waiting for the next key of follower web-1" in engine.standing("shop")
    following = next_request(engine)
    engine.run()
    assert is_live_for(engine, following)


def test_a_host_of_a_former_release_sends_a_new_key_in_the_place_of_its_only_one(engine: Engine) -> None:
    issued(engine)
    revoke(engine)
    engine.run()
    fresh = generate(KeyType.ECDSA_P256)
    engine.request("shop", NAMES, fresh)
    engine.run()
    assert states(engine) == {2: LIVE, 1: REVOKED}
    assert is_live_for(engine, fresh)
