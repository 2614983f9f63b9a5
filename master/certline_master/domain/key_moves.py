"""What is done with a key by somebody's word or by itself, written down: asked to roll over, replaced, forgotten."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.custody import KeyMaterial
from certline_master.domain.model import Custody, Line, LineSnapshot, Slot, VersionState
from certline_master.domain.ports import Records

IN_USE = (VersionState.ORDERED, VersionState.STAGED, VersionState.LIVE)


def ask_rollover(records: Records, caller: Caller, lines: Iterable[Line], reason: str, now: datetime) -> list[str]:
    """The next key of these lines is to be used; the names of those for which that is new."""
    fresh = [line for line in lines if line.rollover is None]
    for line in fresh:
        present = records.lines.by_id(SYSTEM, line.id)
        records.lines.save(caller, replace(present, rollover=reason, next_look=now, paused=None))
    return [line.name for line in fresh]


def spread(records: Records, line: Line, reason: str, now: datetime) -> None:
    """A line rolls its shared key over: the other lines of the key go with it."""
    if line.key_id is None or line.custody is not Custody.MASTER:
        return
    kin = [one for one in records.lines.of_key(SYSTEM, line.key_id) if one.custody is Custody.MASTER]
    if len(kin) > 1:
        for one in kin:
            if one.rollover is None:
                look = one.next_look if one.id == line.id else now
                records.lines.save(SYSTEM, replace(one, rollover=reason, next_look=look))


def replace_current(records: Records, caller: Caller, key_id: str, exposed: Collection[str], now: datetime) -> bool:
    """The current key is never to be used again. The next one takes its place at once, unless it is exposed too: then
    another is made. Tells whether the next one did.
    """
    kept = records.keys.materials(SYSTEM, [key_id]).get(key_id, [])
    if not _any_of((one for one in kept if one.slot is Slot.CURRENT), exposed):
        return True  # for another line of the key it was done already
    following = [one for one in kept if one.slot is Slot.NEXT]
    types = {one.key_type for one in kept if one.slot is Slot.CURRENT}
    if not following or {one.key_type for one in following} < types or _any_of(following, exposed):
        retire(records, caller, key_id)
        return False
    for material in following:
        records.keys.rise(caller, material, now=now)
    return True


def retire(records: Records, caller: Caller, key_id: str) -> None:
    """None of its keys is used for new certificates any more. One that was made ahead and for nothing is deleted."""
    kept = records.keys.materials(SYSTEM, [key_id]).get(key_id, [])
    for material in kept:
        if material.slot is Slot.NEXT and not records.versions.for_keys(SYSTEM, [material.spki_sha256]):
            delete(records, caller, material)
    records.keys.demote(caller, key_id)


def _any_of(materials: Iterable[KeyMaterial], exposed: Collection[str]) -> bool:
    return any(one.spki_sha256 in exposed for one in materials)


def forget(  # noqa: PLR0917 one record's parts
    records: Records, caller: Caller, lines: Sequence[Line], key: str, pins: Collection[str], why: str, now: datetime
) -> list[str]:
    """Former keys of the name `key`, which these lines have: what the master has of them is deleted. Which were."""
    gone = [pin for line in lines if _drop(records, caller, line, pins) for pin in pins]
    kept = [one for one in records.keys.by_pins(SYSTEM, sorted(pins)) if one.slot is Slot.PREVIOUS]
    free = [material for material in kept if not _is_needed(records, material)]
    gone += [material.spki_sha256 for material in free if delete(records, caller, material)]
    found = sorted(set(gone))
    if found:
        text = f"{len(found)} former key{'s are' if len(found) > 1 else ' is'} forgotten: {why}"
        records.events.add(caller, "key.forgotten", f"key:{key}", text, now=now, data={"spki_sha256": found})
    return found


def _drop(records: Records, caller: Caller, line: Line, pins: Collection[str]) -> int:
    return records.lines.drop_previous(caller, line.id, sorted(pins)) if line.custody is Custody.FOLLOWER else 0


def _is_needed(records: Records, material: KeyMaterial) -> bool:
    """Whether a version in use is for it, or one that a rollout still gives to hosts."""
    lines = records.lines.of_key(SYSTEM, material.key_id)
    for snapshot in records.lines.snapshots(SYSTEM, [line.id for line in lines]):
        used = [version for version in snapshot.versions if version.state in IN_USE]
        if any(one.spki_sha256 == material.spki_sha256 for version in used for one in version.certificates):
            return True
        if _is_rolled_out(records, snapshot):
            return True
    return False


def _is_rolled_out(records: Records, snapshot: LineSnapshot) -> bool:
    live = next((version for version in snapshot.versions if version.state is VersionState.LIVE), None)
    if live is None or snapshot.line.rollout is None:
        return False
    wave = records.waves.of_lines(SYSTEM, [snapshot.line.id]).get(snapshot.line.id, {}).get(live.number)
    return wave is not None and wave.finished is None


def delete(records: Records, caller: Caller, material: KeyMaterial) -> bool:
    """With its secret."""
    done = records.keys.forget(caller, material)
    if done:
        records.secrets.delete(caller, material.secret)
    return done
