"""What one line must ask of the master: its key, its request, and what to make of a refusal. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certline_follower.custody import MASTER, KeySlot, is_spent, promoted
from certline_follower.held import Subject
from certline_follower.settings import LineSettings
from certline_follower.state import Asked, HeldLine
from certline_shared.manifest import Manifest, ManifestLine
from certline_shared.messages import read_time

LONGEST_WAIT = timedelta(hours=1)  # until a refused wish, or one that the master lost, is put again


@dataclass(frozen=True, slots=True)
class MakeKey:
    """Make the line's private key."""

    line: str
    key_type: str
    reason: str
    slot: KeySlot = "current"


@dataclass(frozen=True, slots=True)
class MakeAhead:
    """Make the key that a rollover will make the current one; when nothing else is to be done."""

    line: str
    key_type: str
    reason: str
    slot: KeySlot = "next"


@dataclass(frozen=True, slots=True)
class Ask:
    """Put the line's wish to the master, with a request for each key type, and for the next keys that it wants."""

    line: str
    wished: tuple[str, ...] | None  # None: the operator made the line, its names come from the master
    names: tuple[str, ...]
    key_types: tuple[str, ...]
    manifest: str  # see mark
    reason: str
    ahead: tuple[str, ...] = ()  # key types with a request for the next key
    promoted: tuple[str, ...] = ()  # those whose next key is the master's current one already
    subject: Subject = field(default_factory=Subject)
    is_upkeep: bool = False  # only a next key is news


def is_upkeep(step: object) -> bool:
    """Whether it is about a key for later: nobody waits for it, and nothing that is used changes."""
    return isinstance(step, MakeAhead) or (isinstance(step, Ask) and step.is_upkeep)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the line must ask now."""

    steps: tuple[MakeKey | Ask, ...] = ()
    notes: tuple[str, ...] = ()
    dues: tuple[datetime, ...] = ()
    refused: bool = False


def mark(manifest: Manifest) -> str:
    """What tells one manifest from another: the serial rises with each change of grants or lines."""
    return f"{manifest.epoch}.{manifest.serial}"


def wish_of(
    line: LineSettings, offered: ManifestLine | None, held: HeldLine, manifest: Manifest, now: datetime
) -> Wanted:
    """The steps to ask for a line; none where the master has what it needs."""
    if offered is not None and offered.custody == MASTER:
        return Wanted(notes=tuple(_names_are_the_masters(line, offered)))
    if line.names is None and offered is None:
        return Wanted(notes=(_no_such_line(line, manifest),), refused=True)
    names = line.names or (offered.names if offered else ())
    types = _key_types(line, offered)
    if offered is not None and offered.request_given:
        return _of_the_given_request(line, held, types)
    refusal = held.refusal
    if refusal and refusal.manifest == mark(manifest) and not refusal.retry.is_due(now, LONGEST_WAIT):
        due = read_time(refusal.retry.due)
        note = f"line {line.name} is refused: {refusal.retry.error}"
        return Wanted(
            notes=(f"{note}; asked again when the grants change, or at {due:%H:%M} UTC",), dues=(due,), refused=True
        )
    missing = tuple(kind for kind in types if kind not in held.keys or is_spent(held, kind))
    ahead = () if line.key_file else next_types(offered, held)
    early = promoted_types(offered, held)
    ready = tuple(kind for kind in ahead if kind in held.next_keys)
    of_now = _reason(names, types, offered, _as_promoted(held, early), now)
    reason = of_now or (_reason_of_next(ready, held, now) if len(ready) == len(ahead) else None)
    if reason is None:
        return Wanted(dues=_dues(offered, held, ahead))
    makes = tuple(MakeKey(line.name, kind, _why_a_key(line, kind, held)) for kind in missing)
    sent = tuple(
        kind for kind in types if kind in held.next_keys and kind not in early and _is_known(kind, ready, held)
    )
    ask = Ask(
        line.name, line.names, names, types, mark(manifest), reason, sent, early, subject_of(offered),
        is_upkeep=of_now is None,
    )  # fmt: skip
    return Wanted(steps=(*makes, ask))


def subject_of(offered: ManifestLine | None) -> Subject:
    """What the master wants of a request; before it knows the line, nothing."""
    return Subject(offered.common_name, offered.must_staple) if offered else Subject()


def _of_the_given_request(line: LineSettings, held: HeldLine, types: tuple[str, ...]) -> Wanted:
    """The operator gave the request, so its key is here already: nothing is made and nothing asked."""
    if line.key_file is None:
        text = "its request was made elsewhere and given to the master: name the file of its key with `key_file`"
        return Wanted(notes=(f"line {line.name}: {text}",))
    missing = (kind for kind in types if kind not in held.keys)
    return Wanted(steps=tuple(MakeKey(line.name, kind, "its key is read") for kind in missing))


def next_types(offered: ManifestLine | None, held: HeldLine) -> tuple[str, ...]:
    """The key types whose next key the master wants to know; not while the last one is on its way to be current."""
    if offered is None:
        return ()
    coming = [offered.spki_sha256, offered.staged.spki_sha256 if offered.staged else {}]
    taken = {kind for pins in coming for kind, pin in pins.items() if held.next_keys.get(kind) == pin}
    wanted = {want.key_type for want in offered.csr_wanted if want.slot == "next"} - taken
    return tuple(kind for kind in offered.key_types if kind in wanted)


def promoted_types(offered: ManifestLine | None, held: HeldLine) -> tuple[str, ...]:
    """Those whose next key is what the live version is for, which is not installed here yet."""
    pins = offered.spki_sha256 if offered else {}
    return tuple(kind for kind, pin in pins.items() if held.next_keys.get(kind) == pin)


def _as_promoted(held: HeldLine, types: tuple[str, ...]) -> HeldLine:
    for kind in types:
        held = promoted(held, kind)
    return held


def _is_known(kind: str, ready: tuple[str, ...], held: HeldLine) -> bool:
    """Whether the master wants the next key, or was told of it before: it is never taken back by silence."""
    return kind in ready or (held.asked is not None and kind in held.asked.next_keys)


def _reason_of_next(ready: tuple[str, ...], held: HeldLine, now: datetime) -> str | None:
    asked = held.asked
    if not ready:
        return None
    if asked is None or any(asked.next_keys.get(kind) != held.next_keys[kind] for kind in ready):
        return "its next key is new"
    return "the master still lacks the request for the next key" if asked.retry.is_due(now, LONGEST_WAIT) else None


def _names_are_the_masters(line: LineSettings, offered: ManifestLine) -> Iterator[str]:
    if line.names is not None and set(line.names) != set(offered.names):
        yield (
            f"line {line.name}: the master keeps its key and says its names ({', '.join(offered.names)}): "
            "take `names` out of the file"
        )


def _why_a_key(line: LineSettings, kind: str, held: HeldLine) -> str:
    if kind in held.spent:
        return f"the master kept the key of line {line.name}: it gets a new {kind} key of its own"
    return f"line {line.name} has no {kind} key yet"


def _no_such_line(line: LineSettings, manifest: Manifest) -> str:
    return (
        f"line {line.name} is not on the master for this host: make the line there with this follower, or grant it to "
        f"pull the line, or give `names` in the file (granted to this host: {', '.join(manifest.grants) or 'none'})"
    )


def _key_types(line: LineSettings, offered: ManifestLine | None) -> tuple[str, ...]:
    """The file says it for a line that the host asks for, the master for its own lines."""
    if line.names is not None or offered is None:
        return tuple(map(str, line.key_types))
    wanted = {want.key_type for want in offered.csr_wanted if want.slot == "current"}
    return tuple(dict.fromkeys((*offered.key_types, *sorted(wanted))))


def _reason(
    names: tuple[str, ...], types: tuple[str, ...], offered: ManifestLine | None, held: HeldLine, now: datetime
) -> str | None:
    """Why the wish is to be put now, or None."""
    asked = held.asked
    if held.refusal is not None:
        return f"it was refused: {held.refusal.retry.error}"
    if asked is None:
        if offered is not None and not offered.csr_wanted and _issued_for(offered, names, types, held):
            return None  # the state was lost, the master still knows
        return "it was not asked for yet"
    if set(asked.names) != set(names):
        return "its names changed"
    if any(asked.keys.get(kind) != held.keys.get(kind) for kind in types) or set(asked.keys) != set(types):
        return "its key is new"
    if lacking(offered) and asked.subject != subject_of(offered):
        return "what its request is to ask for changed"
    if lacking(offered) and asked.retry.is_due(now, LONGEST_WAIT):
        return "the master still lacks the request" if offered else "the master does not know the wish"
    return None


def _issued_for(offered: ManifestLine, names: tuple[str, ...], types: tuple[str, ...], held: HeldLine) -> bool:
    return set(offered.names) == set(names) and all(
        kind in held.keys and not is_spent(held, kind) and held.keys[kind] == offered.spki_sha256.get(kind)
        for kind in types
    )


def lacking(offered: ManifestLine | None) -> bool:
    return offered is None or any(want.slot == "current" for want in offered.csr_wanted)


def _dues(offered: ManifestLine | None, held: HeldLine, ahead: tuple[str, ...]) -> tuple[datetime, ...]:
    asked: Asked | None = held.asked
    waits = lacking(offered) or (asked is not None and any(kind in asked.next_keys for kind in ahead))
    return (read_time(asked.retry.due),) if asked and waits else ()
