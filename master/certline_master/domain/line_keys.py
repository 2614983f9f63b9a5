"""Keys by name, with their lines, whoever keeps them; and what somebody may have done with one."""

from dataclasses import dataclass
from datetime import datetime

from certline_master.domain.access import Caller
from certline_master.domain.custody import Key, Revocation
from certline_master.domain.errors import Conflict, NotFound
from certline_master.domain.key_moves import ask_rollover, forget
from certline_master.domain.line_revoking import LineRevoking
from certline_master.domain.model import Custody, HeldKey, LineSnapshot, Slot
from certline_master.domain.placement import live_version
from certline_master.domain.ports import Records
from certline_master.domain.rollover import is_rolling, why_pinned
from certline_shared.chance import Chance


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key with the lines that use it. `key` is None where a host keeps it and the line names none: it bears the
    line's name then.
    """

    name: str
    key: Key | None
    lines: tuple[LineSnapshot, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The lines whose next key is used from now on; none where that was asked for already."""

    name: str
    lines: tuple[str, ...]


def find(records: Records, caller: Caller, name: str) -> NamedKey:
    """Raises NotFound."""
    try:
        key = records.keys.get(caller, name)
    except NotFound:
        line = _own_line(records, caller, name)
        if line is None:
            raise NotFound("key", name) from None
        return NamedKey(name, None, (line,))
    lines = records.lines.of_key(caller, key.id)
    found = tuple(records.lines.snapshots(caller, [line.id for line in lines]))
    own = None if found or key.declared else _own_line(records, caller, name)
    return NamedKey(name, key, found or ((own,) if own else ()))


def every(records: Records, caller: Caller) -> list[NamedKey]:
    """All that the master keeps, or that are declared, by name."""
    lines = records.lines.all(caller, limit=1_000_000)
    keyed = [line.id for line in lines if line.key_id]
    by_key: dict[str, list[LineSnapshot]] = {}
    for one in records.lines.snapshots(caller, keyed) if keyed else ():
        by_key.setdefault(one.line.key_id or "", []).append(one)
    return [NamedKey(key.name, key, tuple(by_key.get(key.id, ()))) for key in records.keys.all(caller)]


def held(records: Records, caller: Caller, found: NamedKey) -> list[HeldKey]:
    """In every slot; a host's, and those that the master has of the key."""
    of_lines = {one.spki_sha256: one for line in found.lines for one in line.keys}
    kept = records.keys.materials(caller, [found.key.id]).get(found.key.id, []) if found.key else []
    for material in kept:
        since = material.moved or material.created
        one = HeldKey(material.key_type, material.slot, material.spki_sha256, material.created, since)
        of_lines.setdefault(one.spki_sha256, one)
    return list(of_lines.values())


def _own_line(records: Records, caller: Caller, name: str) -> LineSnapshot | None:
    """The line of that name, where its host keeps its own key."""
    try:
        line = records.lines.get(caller, name)
    except NotFound:
        return None
    return records.lines.snapshot(caller, line.id) if line.custody is Custody.FOLLOWER else None


def roll_over(records: Records, caller: Caller, name: str, now: datetime, *, force: bool) -> Asked:
    """All lines of the key. Raises NotFound, and Conflict while clients may keep pins, unless forced."""
    found = find(records, caller, name)
    if not any(live_version(one) for one in found.lines):
        raise Conflict(f"the key {name} has no line with a live version: there is nothing to roll over")
    for one in found.lines:
        pinned = why_pinned(one.keys, one.line.key_types, one.key_options, now)
        if pinned and not force:
            raise Conflict(f"the key {name} is not rolled over: {pinned}; --force does it all the same")
    waiting = [one.line for one in found.lines if not is_rolling(one)]
    asked = ask_rollover(records, caller, waiting, f"asked for by {caller.actor}", now)
    if asked:
        text, data = f"{caller.actor} asked for the next key to be used", {"lines": asked, "force": force}
        records.events.add(caller, "key.rollover", f"key:{name}", text, now=now, data=data)
    return Asked(name, tuple(asked))


def revoke(  # noqa: PLR0917 one act's parts
    records: Records, caller: Caller, chance: Chance, name: str, reason: int, now: datetime
) -> tuple[Revocation, ...]:
    """What is live of all its lines. Raises NotFound, and Conflict where nothing is."""
    found = find(records, caller, name)
    live = [one.line for one in found.lines if live_version(one)]
    if not live:
        raise Conflict(f"the key {name} has no line with a live version: there is nothing to revoke")
    revoking = LineRevoking(records, caller, chance, now, reason)
    done = tuple(one for line in live for one in revoking.run(line))
    text, data = f"{caller.actor} has the certificates of all its lines revoked", {"lines": [one.name for one in live]}
    records.events.add(caller, "key.revoked", f"key:{name}", text, now=now, data=data)
    return done


def forget_previous(records: Records, caller: Caller, name: str, now: datetime) -> tuple[str, ...]:
    """Pins of the former keys that are gone now. Raises NotFound, and Conflict while one of them is needed."""
    found = find(records, caller, name)
    pins = _previous(records, caller, found)
    gone = forget(records, caller, [one.line for one in found.lines], name, pins, f"{caller.actor} said so", now)
    kept = sorted(pins - set(gone))
    if kept and not gone:
        raise Conflict(f"the former key of {name} is in use: wait until every line and every host has the next one")
    return tuple(gone)


def _previous(records: Records, caller: Caller, found: NamedKey) -> set[str]:
    return {one.spki_sha256 for one in held(records, caller, found) if one.slot is Slot.PREVIOUS}
