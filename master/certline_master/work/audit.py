"""Keeps the audit trail: seals the chains at intervals, and hands every event on to where the operator wants it."""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from certline_master.domain.access import SYSTEM
from certline_master.domain.audit import make_seal
from certline_master.domain.errors import Conflict, DomainError
from certline_master.domain.model import Event
from certline_master.domain.ports import Records, Store
from certline_shared.backoff import delay
from certline_shared.chance import Chance
from certline_shared.clock import Clock

CURSOR = "audit.handed-on"
LOOK_EVERY = 2.0
SETTLED = 2.0
"""Seconds after which all events with a lower id are there: on Postgres they may be committed in another order."""
AT_ONCE = 500
LONGEST = timedelta(minutes=5)

log = logging.getLogger("certline.audit")


class Sink(Protocol):
    """Where events are handed on to."""

    def send(self, lines: Sequence[str]) -> None:
        """One JSON object a line. Raises OSError; then all of them are sent again."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SealingKey:
    private: bytes
    public: bytes


class AuditKeeper:
    """A thread that seals every `seal_every` seconds and at its end, and hands on what was not handed on yet."""

    def __init__(
        self,
        store: Store,
        key: Callable[[], SealingKey],
        sinks: Sequence[Sink],
        clock: Clock,
        chance: Chance,
        *,
        seal_every: float,
    ) -> None:
        self._store, self._key, self._sinks, self._clock, self._chance = store, key, sinks, clock, chance
        self._seal_every = seal_every
        self._stop = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(1.0)
        for sink in self._sinks:
            sink.close()

    def seal(self) -> bool:
        """Seal what came since the last seal; False when nothing did, or another master was first."""
        try:
            return self._store.write(self._seal)
        except Conflict:
            return False

    def _seal(self, records: Records) -> bool:
        last = records.seals.last(SYSTEM)
        up_to, heads = records.seals.heads(SYSTEM, after=last.up_to if last else 0)
        if not heads:
            return False
        key, previous = self._key(), last.hash if last else ""
        made = make_seal(
            heads, up_to=up_to, at=self._clock.now(), previous=previous, private=key.private, public=key.public
        )
        records.seals.add(SYSTEM, made)
        return True

    def hand_on(self) -> int:
        """Send the next events to all sinks; their number. Raises OSError: they are sent again, to all."""
        with self._store.read() as records:
            after = int(records.instance.get(SYSTEM, CURSOR) or 0)
            found = records.events.all(SYSTEM, after=after, limit=AT_ONCE, newest_first=False)
        now = self._clock.now()
        settled = [event for event in found if (now - event.at).total_seconds() >= SETTLED]
        if not settled:
            return 0
        lines = [line_of(event) for event in settled]
        for sink in self._sinks:
            sink.send(lines)
        self._store.write(lambda records: records.instance.set(SYSTEM, CURSOR, str(settled[-1].id)))
        return len(settled)

    def _run(self) -> None:
        due = self._clock.monotonic() + self._seal_every
        while not self._stop.is_set():
            self._safely(self._hand_all_on)
            if self._clock.monotonic() >= due:
                self._safely(self.seal)
                due = self._clock.monotonic() + self._seal_every
            self._clock.pause(self._pause(), self._stop)
        self._safely(self.seal)

    def _hand_all_on(self) -> None:
        while self._sinks and not self._stop.is_set() and self.hand_on() == AT_ONCE:
            pass

    def _pause(self) -> float:
        if not self._failures:
            return LOOK_EVERY
        return delay(self._failures, self._chance, first=timedelta(seconds=LOOK_EVERY), most=LONGEST).total_seconds()

    def _safely(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except (DomainError, OSError) as fault:
            self._failures += 1
            log.error("the audit trail waits", extra={"error": str(fault)})
        else:
            self._failures = 0


def line_of(event: Event) -> str:
    """As `event export` writes it."""
    found = {
        "id": event.id,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "actor": event.actor,
        "subject": event.subject,
        "text": event.text,
        "data": event.data,
        "chain": event.chain,
        "link": event.link,
        "hash": event.hash,
    }
    return json.dumps(found, sort_keys=True, ensure_ascii=False)
