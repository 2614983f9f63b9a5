"""Keys in their slots: what moves when a version goes live, and what a key that rises takes with it."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.custody import Key, KeyMaterial
from certline_master.domain.model import (
    Certificate,
    Custody,
    Follower,
    HeldKey,
    Line,
    LineCsr,
    LineSnapshot,
    Owner,
    Slot,
    Version,
    VersionState,
)
from certline_master.domain.ports import Records
from certline_shared.keys import KeyType
from tests.contract.store_bed import HOUR, OPERATOR, StoreBed, as_follower

EC, RSA = KeyType.ECDSA_P256, KeyType.RSA_2048


@dataclass(frozen=True, slots=True)
class Held:
    """A line and what is known of its keys."""

    bed: StoreBed
    line: Line

    def request(self, pin: str, slot: Slot, key_type: KeyType = EC, *, created: datetime | None = None) -> None:
        csr = LineCsr(key_type, b"csr", pin, self.line.names, slot=slot, created=created or self.bed.now)
        self.bed.write(lambda records: records.lines.put_csr(SYSTEM, self.line.id, csr))

    def goes_live(self, number: int, *pins: str) -> None:
        version_id = self.bed.chance.uuid()
        made = [
            Certificate(self.bed.chance.uuid(), version_id, kind, b"csr", pin, self.line.names)
            for kind, pin in zip((EC, RSA), pins, strict=False)
        ]
        version = Version(version_id, self.line.id, number, VersionState.ORDERED, self.bed.now, "why", tuple(made))
        self.bed.write(lambda records: records.versions.open(SYSTEM, version, ()))
        now = self.bed.now
        self.bed.write(lambda records: records.versions.set_state(SYSTEM, version_id, VersionState.LIVE, now=now))

    @property
    def snapshot(self) -> LineSnapshot:
        with self.bed.store.read() as records:
            return records.lines.snapshot(SYSTEM, self.line.id)

    @property
    def slots(self) -> dict[str, Slot]:
        return {key.spki_sha256: key.slot for key in self.snapshot.keys}


@pytest.fixture
def at_home(bed: StoreBed) -> Held:
    return Held(bed, bed.line(bed.follower("web-1"), "shop"))


def test_a_hosts_next_key_is_current_when_its_version_is_live(at_home: Held) -> None:
    at_home.request("a1", Slot.CURRENT)
    at_home.request("b2", Slot.NEXT)
    at_home.goes_live(1, "a1")
    assert at_home.slots == {"a1": Slot.CURRENT, "b2": Slot.NEXT}
    at_home.goes_live(2, "b2")
    assert at_home.slots == {"a1": Slot.PREVIOUS, "b2": Slot.CURRENT}
    assert [csr.spki_sha256 for csr in at_home.snapshot.csrs] == ["b2"]
    assert at_home.snapshot.next_csrs == ()
    assert events(at_home.bed).count("key.rolled_over") == 1


def events(bed: StoreBed) -> list[str]:
    with bed.store.read() as records:
        return [event.kind for event in records.events.all(SYSTEM, limit=1000)]


def test_each_key_type_moves_by_itself(at_home: Held) -> None:
    for pin, slot, kind in (("a1", Slot.CURRENT, EC), ("a2", Slot.CURRENT, RSA), ("b1", Slot.NEXT, EC)):
        at_home.request(pin, slot, kind)
    at_home.goes_live(1, "b1", "a2")
    assert at_home.slots == {"a1": Slot.PREVIOUS, "b1": Slot.CURRENT, "a2": Slot.CURRENT}


def test_a_third_key_leaves_one_previous_one(at_home: Held) -> None:
    at_home.request("a1", Slot.CURRENT)
    for number, pin in enumerate(("b2", "c3"), start=1):
        at_home.request(pin, Slot.NEXT)
        at_home.goes_live(number, pin)
    assert at_home.slots == {"b2": Slot.PREVIOUS, "c3": Slot.CURRENT}


def test_a_line_that_goes_back_has_its_former_key_as_the_current_one(at_home: Held) -> None:
    at_home.request("a1", Slot.CURRENT)
    at_home.request("b2", Slot.NEXT)
    at_home.goes_live(1, "b2")
    at_home.request("c3", Slot.NEXT)
    at_home.goes_live(2, "a1")
    assert at_home.slots == {"a1": Slot.CURRENT, "b2": Slot.PREVIOUS, "c3": Slot.NEXT}


def test_a_request_for_the_same_key_keeps_since_when_its_pin_is_known(at_home: Held) -> None:
    first = at_home.bed.now
    later = first + HOUR
    at_home.request("b2", Slot.NEXT, created=first)
    at_home.request("b2", Slot.NEXT, created=later)
    assert at_home.snapshot.keys == (HeldKey(EC, Slot.NEXT, "b2", first, first),)
    at_home.request("c3", Slot.NEXT, created=later)
    assert at_home.snapshot.keys == (HeldKey(EC, Slot.NEXT, "c3", later, later),)


def test_former_keys_of_a_host_are_dropped_by_their_pins(at_home: Held) -> None:
    at_home.request("a1", Slot.CURRENT)
    at_home.request("b2", Slot.NEXT)
    at_home.goes_live(1, "b2")

    def drop(*pins: str) -> int:
        return at_home.bed.write(lambda records: records.lines.drop_previous(OPERATOR, at_home.line.id, pins))

    assert [drop("b2", "x9"), drop("a1"), drop("a1")] == [0, 1, 0]
    assert at_home.slots == {"b2": Slot.CURRENT}


# --- of the master ---


@dataclass(frozen=True, slots=True)
class Pair:
    """Two lines of one key of the master's, with a current and a next key and the requests for both."""

    bed: StoreBed
    key: Key
    shop: Held
    blog: Held
    reader: Follower


@pytest.fixture
def pair(bed: StoreBed) -> Pair:
    bed.issuer()
    key = Key("key", "pair", Owner.FILE, declared=True)
    bed.write(lambda records: records.keys.save(SYSTEM, key))
    held = [Held(bed, made_line(bed, name)) for name in ("shop", "blog")]
    for pin, slot in (("a1", Slot.CURRENT), ("b2", Slot.NEXT)):
        bed.write(partial(keep, bed, pin, slot))
        for one in held:
            one.request(pin, slot)
    return Pair(bed, key, held[0], held[1], bed.follower("web-1"))


def made_line(bed: StoreBed, name: str) -> Line:
    line = Line(f"line-{name}", name, Owner.FILE, None, (f"{name}.example.test",), custody=Custody.MASTER, key_id="key")
    asked = replace(line, rollover="asked for", next_look=None)
    bed.write(lambda records: records.lines.save(SYSTEM, asked))
    return asked


def keep(bed: StoreBed, pin: str, slot: Slot, records: Records) -> None:
    secret = records.secrets.add(SYSTEM, "line-key", b"private")
    material = KeyMaterial(f"material-{pin}", "key", EC, slot, pin, secret, bed.now)
    assert records.keys.add_material(SYSTEM, material)


def test_the_masters_next_key_rises_with_the_first_version_for_it_in_all_lines_of_the_key(pair: Pair) -> None:
    pair.shop.goes_live(1, "b2")
    for held in (pair.shop, pair.blog):
        assert held.slots == {"a1": Slot.PREVIOUS, "b2": Slot.CURRENT}
        assert [csr.spki_sha256 for csr in held.snapshot.csrs] == ["b2"]
        assert held.snapshot.next_csrs == ()
        assert held.snapshot.current_keys == frozenset({"b2"})
        assert held.snapshot.kept_keys == frozenset({"a1", "b2"})
        assert (held.snapshot.line.rollover, held.snapshot.line.next_look) == (None, pair.bed.now)


def test_of_lines_that_roll_a_key_over_the_one_that_has_no_version_for_it_is_waited_for(pair: Pair) -> None:
    assert (pair.shop.snapshot.kin, pair.blog.snapshot.kin) == (("blog",), ("shop",))
    certificate = Certificate("c", "v", EC, b"csr", "b2", pair.shop.line.names)
    version = Version("v", pair.shop.line.id, 1, VersionState.STAGED, pair.bed.now, "why", (certificate,))
    pair.bed.write(lambda records: records.versions.open(SYSTEM, version, ()))
    assert (pair.shop.snapshot.kin, pair.blog.snapshot.kin) == (("blog",), ())


def test_lines_of_a_key_are_found_by_it_and_by_no_follower(pair: Pair) -> None:
    with pair.bed.store.read() as records:
        assert [line.name for line in records.lines.of_key(SYSTEM, "key")] == ["blog", "shop"]
        assert records.lines.of_key(as_follower(pair.reader), "key") == []
        assert records.keys.by_ids(SYSTEM, ["key"]) == [pair.key]
        assert [one.id for one in records.keys.by_pins(SYSTEM, ["a1", "zz"])] == ["material-a1"]


def test_a_slot_of_the_next_key_is_taken_once(pair: Pair) -> None:
    def add() -> bool:
        secret = pair.bed.write(lambda records: records.secrets.add(SYSTEM, "line-key", b"other"))
        other = KeyMaterial("other", "key", EC, Slot.NEXT, "c3", secret, pair.bed.now)
        return pair.bed.write(lambda records: records.keys.add_material(SYSTEM, other))

    assert not add()
    pair.shop.goes_live(1, "b2")
    assert add()


def test_a_key_that_was_replaced_has_neither_a_current_nor_a_next_one(pair: Pair) -> None:
    assert pair.bed.write(lambda records: records.keys.demote(OPERATOR, "key")) == 2
    assert pair.shop.slots == {"a1": Slot.PREVIOUS, "b2": Slot.PREVIOUS}


def test_a_forgotten_key_is_gone(pair: Pair) -> None:
    with pair.bed.store.read() as records:
        (material,) = records.keys.by_pins(SYSTEM, ["a1"])
    assert pair.bed.write(lambda records: records.keys.forget(OPERATOR, material))
    assert not pair.bed.write(lambda records: records.keys.forget(OPERATOR, material))
    assert pair.shop.slots == {"b2": Slot.NEXT}
    with pair.bed.store.read() as records:
        assert not records.keys.is_kept(SYSTEM, "a1")
