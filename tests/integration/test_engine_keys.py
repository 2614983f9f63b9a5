"""The engine makes keys that the master keeps: once, on record before they are used, through any kill."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.custody import KEY_SECRET, Key, KeyMaterial
from certline_master.domain.model import Custody, Grant, GrantKind, Line, Owner, Slot
from certline_shared.certificates import matches
from certline_shared.failpoints import watched
from certline_shared.keys import KeyType, from_pem, key_type_of
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store

NAMES = ("shop.example.com",)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    clock, chance = FakeClock(), SeededChance()
    store = open_fresh_store(tmp_path, clock, chance)
    made = Engine(store, clock, chance, FakeCa(clock))
    made.configure()
    yield made
    store.close()


def want(engine: Engine, name: str = "shop", **fields: object) -> Line:
    line = Line(f"line-{name}", name, Owner.FILE, None, NAMES, custody=Custody.MASTER, next_look=engine.clock.now())
    made = replace(line, **fields)  # type: ignore[arg-type]  # fields of a Line
    engine.store.write(lambda records: records.lines.save(SYSTEM, made))
    return made


def materials(engine: Engine, name: str = "shop", *, ahead: bool = False) -> list[KeyMaterial]:
    """Those in use or out of use; or the ones made ahead."""
    with engine.store.read() as records:
        key = records.keys.get(SYSTEM, name)
        kept = records.keys.materials(SYSTEM, [key.id])[key.id]
    return [one for one in kept if (one.slot is Slot.NEXT) is ahead]


def private(engine: Engine, material: KeyMaterial) -> bytes:
    with engine.store.read() as records:
        return records.secrets.read(SYSTEM, KEY_SECRET, material.secret)


def test_the_key_is_named_as_the_line_and_the_certificate_is_for_it(engine: Engine) -> None:
    want(engine)
    engine.run()
    (made,) = materials(engine)
    live = engine.live("shop")
    assert live is not None
    assert matches(from_pem(private(engine, made)), live.certificates[0].chain or "")
    slots = [event.data["slot"] for event in engine.events("key.made")]
    assert (made.slot, sorted(slots)) == (Slot.CURRENT, ["current", "next"])


@pytest.mark.parametrize("key_type", [KeyType.ECDSA_P384, KeyType.RSA_2048])
def test_a_key_of_each_wished_kind_is_made(engine: Engine, key_type: KeyType) -> None:
    want(engine, key_types=(key_type,))
    engine.run()
    (made,) = materials(engine)
    assert made.key_type is key_type_of(from_pem(private(engine, made))) is key_type
    assert engine.live("shop") is not None


def test_a_renewal_keeps_the_key_and_makes_no_request_anew(engine: Engine) -> None:
    want(engine)
    engine.run()
    with engine.store.read() as records:
        line = records.lines.get(SYSTEM, "shop")
    forced = replace(line, forced=True, next_look=engine.clock.now())
    engine.store.write(lambda records: records.lines.save(SYSTEM, forced))
    engine.run()
    assert [version.number for version in engine.versions("shop")] == [2, 1]
    assert (len(materials(engine)), len(engine.events("line.csr"))) == (1, 1)


@pytest.mark.parametrize("place", ["key.made", "request.made"])
def test_after_a_kill_the_key_that_is_on_record_is_used(engine: Engine, place: str) -> None:
    want(engine)

    def die(reached: str) -> None:
        if reached == place:
            raise KeyboardInterrupt

    with watched(die), pytest.raises(KeyboardInterrupt):
        engine.run()
    engine.kill()
    engine.run()
    (made,) = materials(engine)
    live = engine.live("shop")
    assert live is not None
    assert live.certificates[0].spki_sha256 == made.spki_sha256
    assert engine.ca.count("newOrder") == 1


def meanwhile(engine: Engine, place: str, work: Callable[[], object]) -> None:
    """Run the engine; once, when it comes to that place, something else happens."""
    done = False

    def reached(name: str) -> None:
        nonlocal done
        if name == place and not done:
            done = True
            work()

    with watched(reached):
        engine.run()
    assert done


def test_two_masters_that_make_it_at_once_make_one(engine: Engine) -> None:
    """The other one's turn comes between this one's key and its request."""
    want(engine)
    other = Engine(engine.store, engine.clock, engine.chance, engine.ca, engine.solver, worker="other")
    meanwhile(engine, "key.made", other.turn)
    assert len(materials(engine)) == 1
    assert [version.number for version in engine.versions("shop")] == [1]


def test_a_key_that_is_replaced_while_its_request_is_made_is_not_ordered_for(engine: Engine) -> None:
    want(engine)

    def demote() -> None:
        with engine.store.read() as records:
            key = records.keys.get(SYSTEM, "shop")
        engine.store.write(lambda records: records.keys.demote(SYSTEM, key.id))

    meanwhile(engine, "key.made", demote)
    present, former = materials(engine)
    live = engine.live("shop")
    assert live is not None
    assert (present.slot, former.slot) == (Slot.CURRENT, Slot.PREVIOUS)
    assert live.certificates[0].spki_sha256 == present.spki_sha256


def test_a_line_that_moves_to_a_host_while_its_key_is_made_gets_no_request_of_the_masters(engine: Engine) -> None:
    line = want(engine)
    moved = replace(line, custody=Custody.FOLLOWER, follower_id="follower")
    meanwhile(engine, "key.made", lambda: engine.store.write(lambda records: records.lines.save(SYSTEM, moved)))
    with engine.store.read() as records:
        assert records.lines.csrs(SYSTEM, line.id) == []
    assert engine.versions("shop") == []


def test_a_line_that_is_made_anew_does_not_get_a_former_ones_key(engine: Engine) -> None:
    """Hosts of the former line may still have it."""
    want(engine)
    engine.run()
    (former,) = materials(engine)
    engine.store.write(lambda records: records.lines.delete(SYSTEM, "shop"))
    want(engine)
    engine.run()
    live = engine.live("shop")
    assert live is not None
    assert live.certificates[0].spki_sha256 != former.spki_sha256


def test_lines_that_share_a_key_by_its_name_use_the_same(engine: Engine) -> None:
    key = Key("key", "both", Owner.FILE)
    engine.store.write(lambda records: records.keys.save(SYSTEM, key))
    want(engine, "shop", key_id=key.id)
    want(engine, "mail", key_id=key.id, names=("mail.example.com",))
    engine.run()
    pins = {version.certificates[0].spki_sha256 for name in ("shop", "mail") for version in engine.versions(name)}
    assert pins == {materials(engine, "both")[0].spki_sha256}


def test_every_host_that_may_pull_it_is_told_when_a_version_is_live(engine: Engine) -> None:
    grants = (Grant(GrantKind.PULL, "shop"),)
    engine.store.write(lambda records: records.followers.set_grants(SYSTEM, "follower", grants))
    rung: list[str] = []
    engine.bell.listen("follower:follower", lambda: rung.append("rung"))
    want(engine)
    engine.run()
    assert rung
