"""A line whose custody changes: what the other side had sent is dropped, and a new key is on its way."""

from datetime import datetime

from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.key_moves import retire
from certline_master.domain.model import Custody, Line
from certline_master.domain.ports import Records


def move(records: Records, caller: Caller, former: Line, *, now: datetime) -> None:
    """`former`: the line as it was. The live version stays offered until the one for the new key is live."""
    records.lines.drop_csrs(caller, former.id)
    if former.key_id is not None and not _is_shared(records, former):
        retire(records, caller, former.key_id)
    text, held = _to_follower(records, former) if former.custody is Custody.MASTER else _to_master(records, former)
    records.events.add(caller, "custody.changed", f"line:{former.name}", text, now=now, data={"held_by": held})


def _is_shared(records: Records, former: Line) -> bool:
    others = records.lines.of_key(SYSTEM, former.key_id or "")
    return any(one.id != former.id and one.custody is Custody.MASTER for one in others)


def _to_follower(records: Records, former: Line) -> tuple[str, list[str]]:
    kept = records.keys.materials(SYSTEM, [former.key_id] if former.key_id else [])
    pins = [one.spki_sha256 for found in kept.values() for one in found]
    held = sorted({copy.follower for copy in records.keys.copies(SYSTEM, pins) if copy.deleted is None})
    whose = f"; copies of the former key were given to {', '.join(held)}" if held else ""
    return f"its key is made on its follower from now on{whose}", held


def _to_master(records: Records, former: Line) -> tuple[str, list[str]]:
    whose = records.followers.by_id(SYSTEM, former.follower_id or "").name
    return f"its key is made on the master from now on; the request of {whose} was dropped", [whose]
