"""The keys of a line move on when a version goes live: what it was issued for is current, what was current previous."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, delete, insert, null, select, update

from certline_master.domain.access import SYSTEM
from certline_master.domain.custody import KeyMaterial
from certline_master.domain.model import Custody, LineCsr, Slot
from certline_master.store.events import Events
from certline_master.store.session import Session, Shape, param, several
from certline_master.store.tables import certificates, key_materials, keys, line_csrs, lines, versions

_CSR, MATERIAL = Shape(LineCsr, line_csrs), Shape(KeyMaterial, key_materials)
_LINE = (
    select(lines.c.id, lines.c.name, lines.c.key_id, keys.c.name.label("key"))
    .outerjoin(keys, keys.c.id == lines.c.key_id)
    .where(lines.c.id == param("wanted"))
)
_RISEN_HERE = (
    select(*MATERIAL.columns, versions.c.line_id)
    .join(lines, lines.c.key_id == key_materials.c.key_id)
    .join(versions, versions.c.line_id == lines.c.id)
    .join(
        certificates,
        and_(
            certificates.c.version_id == versions.c.id,
            certificates.c.spki_sha256 == key_materials.c.spki_sha256,
        ),
    )
    .where(versions.c.id == param("version"), lines.c.custody == Custody.MASTER, key_materials.c.slot != Slot.CURRENT)
)
_RISEN_THERE = (
    select(*_CSR.columns, line_csrs.c.line_id)
    .join(lines, lines.c.id == line_csrs.c.line_id)
    .join(versions, versions.c.line_id == lines.c.id)
    .join(
        certificates,
        and_(certificates.c.version_id == versions.c.id, certificates.c.spki_sha256 == line_csrs.c.spki_sha256),
    )
    .where(versions.c.id == param("version"), lines.c.custody == Custody.FOLLOWER, line_csrs.c.slot != Slot.CURRENT)
)
_PLACE = and_(
    line_csrs.c.line_id.in_(several("lines")),
    line_csrs.c.key_type == param("kind", line_csrs.c.key_type),
    line_csrs.c.slot == param("place", line_csrs.c.slot),
)
_DROP = delete(line_csrs).where(_PLACE)
_MOVE = (
    update(line_csrs).where(_PLACE).values(slot=param("to", line_csrs.c.slot), moved=param("now", line_csrs.c.moved))
)
_ADD = insert(line_csrs)
_FORMER = (
    update(key_materials)
    .where(
        key_materials.c.key_id == param("wanted"),
        key_materials.c.key_type == param("kind", key_materials.c.key_type),
        key_materials.c.slot == Slot.CURRENT,
    )
    .values(slot=Slot.PREVIOUS, moved=param("now", key_materials.c.moved))
)
_RISE = (
    update(key_materials)
    .where(key_materials.c.id == param("wanted"))
    .values(slot=Slot.CURRENT, moved=param("now", key_materials.c.moved))
)
_OF_KEY = select(lines.c.id).where(lines.c.key_id == param("wanted"), lines.c.custody == Custody.MASTER)
_DONE = (
    update(lines)
    .where(lines.c.id.in_(several("lines")), lines.c.rollover.is_not(None))
    .values(rollover=null(), next_look=param("now", lines.c.next_look))
)


def move_on(session: Session, version_id: str, now: datetime) -> None:
    """After the version went live, in the same transaction. Keys that are current already stay as they are."""
    wanted = {"version": version_id}
    here = session.rows(_RISEN_HERE, wanted)
    for row in here:
        rise(session, MATERIAL.read(row), now)
    there = [] if here else session.rows(_RISEN_THERE, wanted)
    for row in there:
        _exchange(session, row.line_id, _CSR.read(row), now)
    pins = {row.key_type: row.spki_sha256 for row in (*here, *there)}
    if pins:
        _note(session, (*here, *there)[0].line_id, pins, now)


def rise(session: Session, material: KeyMaterial, now: datetime) -> None:
    """A key of the master's becomes current, with the requests of all its lines; what they asked for is done."""
    session.run(_FORMER, {"wanted": material.key_id, "kind": material.key_type, "now": now})
    session.run(_RISE, {"wanted": material.id, "now": now})
    theirs = [row.id for row in session.rows(_OF_KEY, {"wanted": material.key_id})]
    place = {"lines": theirs, "kind": material.key_type}
    session.run(_DROP, place | {"place": Slot.CURRENT})
    if material.slot is Slot.NEXT:
        session.run(_MOVE, place | {"place": Slot.NEXT, "to": Slot.CURRENT, "now": now})
    session.run(_DONE, {"lines": theirs, "now": now})


def _exchange(session: Session, line_id: str, risen: LineCsr, now: datetime) -> None:
    """Of a host's keys: the request goes where the key is. A previous one comes back where the line went back."""
    place = {"lines": [line_id], "kind": risen.key_type, "now": now}
    session.run(_DROP, place | {"place": Slot.PREVIOUS})
    session.run(_MOVE, place | {"place": Slot.CURRENT, "to": Slot.PREVIOUS})
    session.run(_DROP, place | {"place": risen.slot} if risen.slot is Slot.NEXT else [])
    session.run(_ADD, _CSR.write(risen) | {"line_id": line_id, "slot": Slot.CURRENT, "moved": now})
    session.run(_DONE, {"lines": [line_id], "now": now})


def _note(session: Session, line_id: str, pins: dict[str, str], now: datetime) -> None:
    line = session.rows(_LINE, {"wanted": line_id})[0]
    types: Sequence[str] = sorted(pins)
    text = f"rolled over: line {line.name} is live with another key ({', '.join(types)}), the former one is previous"
    data = {"line": line.name, "spki_sha256": {kind: pins[kind] for kind in types}}
    Events(session).add(SYSTEM, "key.rolled_over", f"key:{line.key or line.name}", text, now=now, data=data)
