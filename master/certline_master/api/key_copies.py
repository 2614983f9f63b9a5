"""What a host says of the keys it was given: which of them are still there, and which it has deleted."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from certline_master.domain.access import Caller
from certline_master.domain.custody import KeyCopy
from certline_master.domain.ports import Records

SEEN_EVERY = timedelta(minutes=1)

_PIN = re.compile(r"[0-9a-f]{64}")

Told = Mapping[str, tuple[str, ...]] | None
"""Line → SPKI pins of the keys that are still on the host; None: it did not say."""


def faults(told: Told) -> Iterator[tuple[str, str]]:
    """What cannot be used: the member's place below `keys`, and why."""
    for line, pins in (told or {}).items():
        for index, pin in enumerate(pins):
            if _PIN.fullmatch(pin) is None:
                yield f"{line}/{index}", "expected an SPKI pin, 64 lower-case hex digits"


def record(records: Records, caller: Caller, told: Told, now: datetime) -> int:
    """How many events that made. Keys that were never given to this host are passed over: they are its own."""
    if told is None:
        return 0
    held = {pin for pins in told.values() for pin in pins}
    noted = 0
    for copy in records.keys.copies_at(caller, caller.follower_id or ""):
        if copy.spki_sha256 in held:
            noted += _seen(records, caller, copy, now)
        elif records.keys.deleted(caller, copy.follower_id, copy.spki_sha256, now=now):
            text = f"{caller.name} has deleted its {copy.key_type} key of line {copy.line}"
            _note(records, caller, copy, "key.deleted", text, now)
            noted += 1
    return noted


def _seen(records: Records, caller: Caller, copy: KeyCopy, now: datetime) -> bool:
    """Whether that was worth an event."""
    if copy.deleted is None and copy.seen is not None and now - copy.seen < SEEN_EVERY:
        return False
    records.keys.seen(caller, copy.follower_id, copy.spki_sha256, now=now)
    if copy.deleted is not None:
        text = f"{caller.name} has a key of line {copy.line} again that it had deleted: was the host restored?"
        _note(records, caller, copy, "key.reappeared", text, now)
    return copy.deleted is not None


def _note(records: Records, caller: Caller, copy: KeyCopy, kind: str, text: str, now: datetime) -> None:  # noqa: PLR0917 one record's parts
    data = {"follower": copy.follower, "key_type": copy.key_type, "spki_sha256": copy.spki_sha256}
    records.events.add(caller, kind, f"line:{copy.line}", text, now=now, data=data)
