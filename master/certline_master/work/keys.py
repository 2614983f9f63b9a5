"""Keys that the master makes: on record in the vault first, then the request that the order path works from."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from certline_master.domain.access import SYSTEM
from certline_master.domain.custody import KEY_SECRET, Key, KeyMaterial
from certline_master.domain.errors import NotFound
from certline_master.domain.key_moves import forget, retire
from certline_master.domain.model import Asks, Custody, Line, LineCsr, LineSnapshot, Slot
from certline_master.domain.naming import common_name_of
from certline_master.domain.ports import Records
from certline_master.domain.rollover import KeyStep, MakeNextKey, TellAge
from certline_master.domain.wish import MakeRequest
from certline_master.work.context import Context
from certline_shared.failpoints import failpoint
from certline_shared.keys import KeyType, PrivateKey, from_pem, generate, key_type_of, make_csr, spki_sha256, to_pem

SLOW = frozenset(kind for kind in KeyType if kind.startswith("rsa"))

log = logging.getLogger("certline.work.keys")


class KeyWork:
    """Each step may be repeated: what is there already is used."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def make_request(self, snapshot: LineSnapshot, action: MakeRequest, now: datetime) -> None:
        """Slow for RSA, so no transaction is open while a key is generated."""
        line = snapshot.line
        key = self._context.store.write(lambda records: self._key_of(records, line))
        if key is None:
            return
        materials = [self._made(key, key_type, action.slot, now) for key_type in action.key_types]
        csrs = {one.id: self._request(one, line) for one in materials}
        if self._context.store.write(lambda records: _keep_requests(records, line, materials, csrs, now)):
            failpoint("request.made")
            self._context.bell.ring("work")
            log.info("request made", extra={"line": line.name, "key": key.name, "reason": action.reason})

    def is_slow(self, snapshot: LineSnapshot, action: MakeRequest) -> bool:
        """Whether a key has to be made first that takes its time."""
        held = {key.key_type for key in snapshot.keys if key.slot is action.slot}
        return any(kind in SLOW for kind in action.key_types if kind not in held)

    def do(self, snapshot: LineSnapshot, step: KeyStep, now: datetime) -> None:
        """What nothing waits for."""
        if isinstance(step, MakeNextKey):
            self._make_next(snapshot, step, now)
        elif isinstance(step, TellAge):
            self._context.store.write(lambda records: _tell_age(records, snapshot, step, now))
        else:
            lines, key, why = [snapshot.line], snapshot.key_name, step.reason
            self._context.store.write(lambda records: forget(records, SYSTEM, lines, key, step.pins, why, now))

    def _make_next(self, snapshot: LineSnapshot, step: MakeNextKey, now: datetime) -> None:
        with self._context.store.read() as records:
            found = records.keys.by_ids(SYSTEM, [snapshot.line.key_id or ""])
        if not found:
            return
        key = found[0]
        for key_type in step.key_types:
            self._made(key, key_type, Slot.NEXT, now)
        self._context.store.write(lambda records: _look_at_lines(records, key, now))
        self._context.bell.ring("work")

    def _key_of(self, records: Records, seen: Line) -> Key | None:
        """The line's key, made and named as the line where it has none; None when the wish changed meanwhile."""
        try:
            line = records.lines.by_id(SYSTEM, seen.id)
        except NotFound:
            return None
        if line.custody is not Custody.MASTER:
            return None
        if line.key_id is not None:
            return next(key for key in records.keys.all(SYSTEM) if key.id == line.key_id)
        key = self._named(records, line)
        records.lines.save(SYSTEM, replace(line, key_id=key.id))
        return key

    def _named(self, records: Records, line: Line) -> Key:
        try:
            key = records.keys.get(SYSTEM, line.name)
        except NotFound:
            key = Key(self._context.chance.uuid(), line.name, line.owner)
            records.keys.save(SYSTEM, key)
            return key
        if not any(other.key_id == key.id for other in records.lines.all(SYSTEM, limit=1_000_000)):
            retire(records, SYSTEM, key.id)  # a former line's, whose hosts may still have it
        return key

    def _made(self, key: Key, key_type: KeyType, slot: Slot, now: datetime) -> KeyMaterial:
        found = self._find(key, key_type, slot)
        if found is None:
            private = generate(key_type)
            self._context.store.write(lambda records: self._keep_key(records, key, private, slot, now))
            failpoint("key.made")
            found = self._find(key, key_type, slot)
        if found is None:
            raise AssertionError("a key that was just made is on record")
        return found

    def _find(self, key: Key, key_type: KeyType, slot: Slot) -> KeyMaterial | None:
        with self._context.store.read() as records:
            kept = records.keys.materials(SYSTEM, [key.id]).get(key.id, [])
        return next((one for one in kept if one.key_type is key_type and one.slot is slot), None)

    def _keep_key(self, records: Records, key: Key, private: PrivateKey, slot: Slot, now: datetime) -> None:
        """Unless another worker was quicker: then its key is the one."""
        key_type, pin = key_type_of(private), spki_sha256(private)
        secret = records.secrets.add(SYSTEM, KEY_SECRET, to_pem(private))
        material = KeyMaterial(self._context.chance.uuid(), key.id, key_type, slot, pin, secret, now)
        if not records.keys.add_material(SYSTEM, material):
            records.secrets.delete(SYSTEM, secret)
            return
        what = "the next" if slot is Slot.NEXT else "an"
        text, data = f"{what} {key_type} key was made", {"key_type": key_type, "spki_sha256": pin, "slot": slot}
        records.events.add(SYSTEM, "key.made", f"key:{key.name}", text, now=now, data=data)

    def _request(self, material: KeyMaterial, line: Line) -> LineCsr:
        with self._context.store.read() as records:
            pem = records.secrets.read(SYSTEM, KEY_SECRET, material.secret)
        asks = Asks(common_name_of(line), line.options.must_staple)
        csr = make_csr(from_pem(pem), line.names, common_name=asks.common_name, must_staple=asks.must_staple)
        return LineCsr(
            material.key_type,
            csr,
            material.spki_sha256,
            tuple(sorted(line.names)),
            asks,
            material.slot,
            material.created,
            material.moved,
        )


def _keep_requests(
    records: Records, line: Line, materials: Iterable[KeyMaterial], csrs: dict[str, LineCsr], now: datetime
) -> bool:
    """Unless the wish, or the key, changed since the snapshot was taken."""
    used = {material.key_id for material in materials}
    kept = [one for found in records.keys.materials(SYSTEM, sorted(used)).values() for one in found]
    slots = {one.id: one.slot for one in kept}
    if any(slots.get(material_id) is not csr.slot for material_id, csr in csrs.items()):
        return False
    if not _is_still_wished(records, line):
        return False
    if not records.lines.looked(SYSTEM, line.id, was=line.next_look, then=now):
        return False
    for csr in csrs.values():
        records.lines.put_csr(SYSTEM, line.id, csr)
        data = {"key_type": csr.key_type, "spki_sha256": csr.spki_sha256}
        which = "next " if csr.slot is Slot.NEXT else ""
        text = f"a request was made for its {which}{csr.key_type} key"
        records.events.add(SYSTEM, "line.csr", f"line:{line.name}", text, now=now, data=data)
    return True


def _look_at_lines(records: Records, key: Key, now: datetime) -> None:
    """Its pins are new to whatever shows them."""
    for line in records.lines.of_key(SYSTEM, key.id):
        if line.custody is Custody.MASTER and line.next_look is not None:
            records.lines.set_next_look(SYSTEM, line.id, now)


def _tell_age(records: Records, snapshot: LineSnapshot, step: TellAge, now: datetime) -> None:
    """Once for each set of keys, however often the line is looked at."""
    subject, pins = f"key:{snapshot.key_name}", list(step.pins)
    known = records.events.all(SYSTEM, subject=subject, limit=100)
    if not any(event.kind == "key.aged" and event.data.get("spki_sha256") == pins for event in known):
        records.events.add(SYSTEM, "key.aged", subject, step.reason, now=now, data={"spki_sha256": pins})


def _is_still_wished(records: Records, line: Line) -> bool:
    try:
        now = records.lines.by_id(SYSTEM, line.id)
    except NotFound:
        return False
    return (now.custody, now.names, now.options) == (Custody.MASTER, line.names, line.options)
