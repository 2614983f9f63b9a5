"""Staged versions in the engine: they wait for their time, the live one is renewed meanwhile, and no kill loses one."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Line, LineOptions, Slot, Version, VersionState
from certline_master.domain.placement import Trust, manifest_of
from certline_master.domain.staging import pins
from certline_shared.failpoints import watched
from certline_shared.keys import KeyType, PrivateKey, generate, spki_sha256
from certline_shared.manifest import ManifestLine
from certline_shared.messages import time_text
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store, request_of

NAMES = ("shop.example.com",)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    clock, chance = FakeClock(), SeededChance()
    store = open_fresh_store(tmp_path, clock, chance)
    made = Engine(store, clock, chance, FakeCa(clock))
    made.configure()
    yield made
    store.close()


def line(engine: Engine) -> Line:
    with engine.store.read() as records:
        return records.lines.get(SYSTEM, "shop")


def change(engine: Engine, **fields: object) -> None:
    made = replace(line(engine), next_look=engine.clock.now(), **fields)  # type: ignore[arg-type]  # fields of a Line
    engine.store.write(lambda records: records.lines.save(SYSTEM, made))


def issued(engine: Engine, stage_for: str | None = "25h") -> PrivateKey:
    """A line with a live version 1, and its host's key."""
    key = engine.want("shop", NAMES)
    change(engine, options=LineOptions(stage_for=stage_for))
    engine.run()
    return key


def roll_over(engine: Engine, names: tuple[str, ...] = NAMES, key: PrivateKey | None = None) -> PrivateKey:
    """The host has sent a request for its next key, and somebody asked for it to be used."""
    key = key or generate(KeyType.ECDSA_P256)
    csr = replace(request_of(key, names), slot=Slot.NEXT)
    engine.store.write(lambda records: records.lines.put_csr(SYSTEM, "line-shop", csr))
    change(engine, rollover="asked for")
    return key


def states(engine: Engine) -> dict[int, VersionState]:
    return {version.number: version.state for version in engine.versions("shop")}


def version(engine: Engine, number: int) -> Version:
    return next(one for one in engine.versions("shop") if one.number == number)


def is_for(engine: Engine, number: int, key: PrivateKey) -> bool:
    return pins(version(engine, number)) == {spki_sha256(key)}


def told(engine: Engine) -> ManifestLine:
    """What the host's manifest says of the line."""
    with engine.store.read() as records:
        snapshot, follower = records.lines.snapshot(SYSTEM, "line-shop"), records.followers.get(SYSTEM, "web-1")
    (found,) = manifest_of(follower, [snapshot], Trust((), (), 1), now=engine.clock.now()).lines
    return found


STAGED, LIVE, RETIRED, FAILED = VersionState.STAGED, VersionState.LIVE, VersionState.RETIRED, VersionState.FAILED


def test_a_version_for_a_new_key_waits_for_its_hours_and_the_host_is_told_until_when(engine: Engine) -> None:
    """peers 2.3.6: the live version and what the host serves are untouched."""
    key = issued(engine)
    following = roll_over(engine)
    engine.run()
    assert states(engine) == {2: STAGED, 1: LIVE}
    waits = version(engine, 2)
    assert waits.staged_since is not None
    assert waits.activate_at == (waits.staged_since + 25 * HOUR).replace(microsecond=0)
    assert (is_for(engine, 1, key), is_for(engine, 2, following)) == (True, True)
    found = told(engine)
    assert (found.version, found.rollback) == (1, False)
    assert found.staged is not None
    assert (found.staged.number, found.staged.activate_at) == (2, time_text(waits.activate_at))
    assert found.staged.spki_sha256 == {"ecdsa-p256": spki_sha256(following)}
    assert [file.name for file in found.staged.files] == ["ecdsa-p256/chain.pem"]


def test_it_goes_live_at_its_time_and_not_before(engine: Engine) -> None:
    """peers 2.3.8"""
    issued(engine)
    following = roll_over(engine)
    engine.run(24 * HOUR)
    assert states(engine) == {2: STAGED, 1: LIVE}
    engine.run(2 * HOUR)
    assert states(engine) == {2: LIVE, 1: RETIRED}
    assert is_for(engine, 2, following)
    assert told(engine).staged is None
    assert [event.text.split(" until")[0] for event in engine.events("version.live")] == [
        "version 2 is live",
        "version 1 is live",
    ]


def test_without_hours_it_is_live_in_the_same_run(engine: Engine) -> None:
    """peers 2.3.7"""
    issued(engine, stage_for=None)
    roll_over(engine)
    engine.run()
    assert states(engine) == {2: LIVE, 1: RETIRED}
    assert not engine.events("version.staged")


def test_a_renewal_with_the_same_key_is_not_held(engine: Engine) -> None:
    issued(engine)
    change(engine, forced=True)
    engine.run()
    assert states(engine) == {2: LIVE, 1: RETIRED}


def test_the_live_version_is_renewed_while_another_one_is_staged(engine: Engine) -> None:
    """peers 2.3.11: the one that is staged stays so, and goes live with its lower number."""
    key = issued(engine, stage_for="80d")
    following = roll_over(engine)
    engine.run(70 * DAY)
    assert states(engine) == {3: LIVE, 2: STAGED, 1: RETIRED}
    assert (is_for(engine, 3, key), is_for(engine, 2, following)) == (True, True)
    assert told(engine).rollback is False
    engine.run(11 * DAY)
    assert states(engine)[2] is LIVE
    assert states(engine)[3] is RETIRED
    found = told(engine)
    assert (found.version, found.rollback) == (2, True)


def test_the_number_after_an_overtaken_one_is_the_highest(engine: Engine) -> None:
    issued(engine, stage_for="80d")
    roll_over(engine)
    engine.run(82 * DAY)
    change(engine, forced=True)
    engine.run()
    assert max(states(engine)) == 4
    assert states(engine)[4] is LIVE
    assert told(engine).rollback is False


def test_a_master_that_was_away_makes_it_live_when_it_is_back(engine: Engine) -> None:
    issued(engine)
    roll_over(engine)
    engine.run()
    engine.kill()
    engine.clock.advance(3 * DAY)
    engine.run()
    assert states(engine) == {2: LIVE, 1: RETIRED}


@pytest.mark.parametrize("place", ["order.issued.recorded", "version.staged.before", "version.staged.after"])
def test_a_kill_loses_no_staged_version_and_makes_none_live_early(engine: Engine, place: str) -> None:
    issued(engine)
    following = roll_over(engine)

    def die(reached: str) -> None:
        if reached == place:
            raise KeyboardInterrupt

    with watched(die), pytest.raises(KeyboardInterrupt):
        engine.run(26 * HOUR)
    early = version(engine, 2).activate_at is None or engine.clock.now() < version(engine, 2).activate_at  # type: ignore[operator]  # asked before
    assert states(engine)[1] is (LIVE if early or place == "version.staged.before" else RETIRED)
    engine.kill()
    engine.run(26 * HOUR)
    assert states(engine) == {2: LIVE, 1: RETIRED}
    assert is_for(engine, 2, following)
    assert engine.ca.count("newOrder") == 2
    assert len([event for event in engine.events("version.live") if "version 2" in event.text]) == 1


def test_other_names_are_issued_for_the_live_key_and_for_the_staged_one(engine: Engine) -> None:
    """peers 2.3.3: both keys stay, and the new one does not begin to wait anew."""
    key = issued(engine)
    following = roll_over(engine)
    engine.run(20 * HOUR)
    since = version(engine, 2).staged_since
    more = (*NAMES, "www.example.com")
    change(engine, names=more)
    engine.request("shop", more, key)
    roll_over(engine, more, following)
    engine.run()
    assert states(engine)[2] is RETIRED
    live, staged = engine.live("shop"), [one for one in engine.versions("shop") if one.state is STAGED]
    assert live is not None
    assert set(live.certificates[0].names) == set(more)
    assert pins(live) == {spki_sha256(key)}
    assert [(one.number > 2, set(pins(one)), set(one.certificates[0].names)) for one in staged] == [
        (True, {spki_sha256(following)}, set(more))
    ]
    assert staged[0].staged_since == since


def test_with_one_of_two_certificates_failed_nothing_is_staged(engine: Engine) -> None:
    """peers 2.3.12, 2.1.25: half a pair is none; what is live stays, and the pair is tried again."""
    types = (KeyType.ECDSA_P256, KeyType.ECDSA_P384)
    engine.want("shop", NAMES)
    change(engine, options=LineOptions(stage_for="25h"), key_types=types)
    engine.request("shop", NAMES, generate(KeyType.ECDSA_P384))
    engine.run()
    following = {kind: generate(kind) for kind in types}
    for key in following.values():
        roll_over(engine, key=key)
    finalized = iter([False, True])

    def refuse(chain: str) -> str:
        return "no certificate" if next(finalized, False) else chain

    engine.ca.tamper = refuse
    engine.run(timedelta(minutes=5))
    assert states(engine) == {2: FAILED, 1: LIVE}
    assert [bool(one.chain) for one in version(engine, 2).certificates].count(True) == 1
    assert told(engine).staged is None
    engine.run(2 * DAY)
    assert states(engine)[3] is STAGED
    assert pins(version(engine, 3)) == {spki_sha256(key) for key in following.values()}


def test_a_shorter_wish_lets_it_go_live_sooner(engine: Engine) -> None:
    issued(engine)
    roll_over(engine)
    engine.run()
    change(engine, options=LineOptions(stage_for="2h"))
    engine.run(timedelta(minutes=5))
    waits = version(engine, 2)
    assert waits.staged_since is not None
    assert waits.activate_at == (waits.staged_since + 2 * HOUR).replace(microsecond=0)
    change(engine, options=LineOptions())
    engine.run(timedelta(minutes=5))
    assert states(engine) == {2: LIVE, 1: RETIRED}


def test_a_host_that_lost_its_key_gets_its_version_at_once(engine: Engine) -> None:
    issued(engine)
    engine.request("shop", NAMES, generate(KeyType.ECDSA_P256))
    engine.run()
    assert states(engine) == {2: LIVE, 1: RETIRED}


def test_a_staged_version_for_a_key_that_the_host_has_no_more_is_dropped(engine: Engine) -> None:
    issued(engine)
    roll_over(engine)
    engine.run()
    roll_over(engine)  # another next key in its place
    engine.run()
    assert states(engine) == {3: STAGED, 2: RETIRED, 1: LIVE}
    assert engine.events("version.dropped")[0].data["version"] == 2
    assert told(engine).rollback is False


def test_asked_again_by_force_the_live_key_is_renewed_and_what_is_staged_waits_on(engine: Engine) -> None:
    key = issued(engine)
    roll_over(engine)
    engine.run()
    change(engine, forced=True)
    engine.run()
    assert states(engine) == {3: LIVE, 2: STAGED, 1: RETIRED}
    assert is_for(engine, 3, key)


def test_the_standing_says_what_is_staged_until_when_and_why(engine: Engine) -> None:
    issued(engine)
    roll_over(engine)
    engine.run()
    at = version(engine, 2).activate_at
    assert f"version 2 is staged until {at:%Y-%m-%d %H:%M} UTC: a new key is staged for 25h" in engine.standing("shop")
    assert engine.standing("shop").startswith("version 1 is live")
