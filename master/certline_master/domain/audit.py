"""The audit trail: each process chains its own events by hash, and at intervals the ends of all chains are sealed.

A chain for each process, because one chain for all would make every writer wait for one row. What a seal cannot see is
the removal of the newest events before the next seal; an export to another machine does.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from certline_master.domain.model import Event
from certline_shared import signing

SEAL_PREFIX = b"certline-seal/1\n"
MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True)
class Seal:
    """The ends of all chains that grew, as `LINK:HASH` by chain, signed; `previous` is the hash of the seal before."""

    at: datetime
    heads: Mapping[str, str]
    up_to: int  # the highest event id that was looked at
    previous: str
    hash: str
    signature: str  # Ed25519 over SEAL_PREFIX and the hash, hex
    key: str  # the public key, hex


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verification found; `problems` is empty when nothing was changed, removed or put in between."""

    events: int
    unchained: int  # from before events were chained
    chains: int
    seals: int
    sealed_at: datetime | None
    unsealed: int  # events since the last seal
    problems: tuple[str, ...]


def link_hash(previous: str, event: Event) -> str:
    """Over the event as it is stored (without its id, which the database gives) and the hash of the link before."""
    said = {
        "previous": previous,
        "chain": event.chain,
        "link": event.link,
        "at": _time(event.at),
        "kind": event.kind,
        "actor": event.actor,
        "subject": event.subject,
        "text": event.text,
        "data": event.data,
    }
    return _sha256(said)


def make_seal(
    heads: Mapping[str, str], *, up_to: int, at: datetime, previous: str, private: bytes, public: bytes
) -> Seal:
    made = seal_hash(heads, up_to=up_to, at=at, previous=previous)
    signature = signing.sign(private, SEAL_PREFIX + made.encode())
    return Seal(at, dict(heads), up_to, previous, made, signature.hex(), public.hex())


def seal_hash(heads: Mapping[str, str], *, up_to: int, at: datetime, previous: str) -> str:
    return _sha256({"heads": dict(heads), "up_to": up_to, "at": _time(at), "previous": previous})


def _sha256(said: Mapping[str, Any]) -> str:
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


@dataclass(slots=True)
class Verifier:
    """Takes seals, then events chain by chain in the order of their links; `finish` says what was found.

    `whole`: the events are all there are; else (an export from some id on) a chain may begin anywhere.
    """

    trusted: frozenset[str]  # public keys that may seal, hex
    whole: bool = True
    _events: int = 0
    _unchained: int = 0
    _youngest_unchained: int = 0
    _oldest_chained: int | None = None
    _at_end: dict[str, tuple[int, str]] = field(default_factory=dict)  # by chain: the last link and its hash
    _sealed: dict[tuple[str, int], str] = field(default_factory=dict)
    _ends: set[str] = field(default_factory=lambda: {""})  # hashes of seals: what a chain may begin on
    _last: Seal | None = None
    _seals: int = 0
    _unsealed: int = 0
    _problems: list[str] = field(default_factory=list)

    def seals(self, seals: Sequence[Seal]) -> None:
        """All of them, the oldest first."""
        previous = ""
        for number, seal in enumerate(seals, 1):
            made = seal_hash(seal.heads, up_to=seal.up_to, at=seal.at, previous=seal.previous)
            if seal.previous != previous:
                self._say(f"seal {number} does not follow the one before: a seal was removed, or put in between")
            if made != seal.hash or not _signed(seal):
                self._say(f"seal {number} of {_time(seal.at)} was changed")
            elif seal.key not in self.trusted:
                self._say(f"seal {number} of {_time(seal.at)} was made with a key that is not this master's")
            previous = seal.hash
            self._ends.add(seal.hash)
            for chain, head in seal.heads.items():
                link, _, ended = head.partition(":")
                self._sealed[chain, int(link)] = ended
        self._seals, self._last = len(seals), seals[-1] if seals else None

    def events(self, events: Iterable[Event]) -> None:
        for event in events:
            self._events += 1
            self._unsealed += self._last is None or event.id > self._last.up_to
            if event.chain is None:
                self._unchained += 1
                self._youngest_unchained = max(self._youngest_unchained, event.id)
            else:
                self._link(event, event.chain)

    def _link(self, event: Event, chain: str) -> None:
        self._oldest_chained = min(self._oldest_chained or event.id, event.id)
        number, before = self._at_end.get(chain, (0, None))
        place = f"event {event.id} ({event.kind})"
        starts = before is None and (not self.whole or event.link == 1)
        if not starts and event.link != number + 1:
            self._say(f"before {place} {_missing(number, event.link)} removed")
        elif before is not None and event.hash != link_hash(before, event):
            self._say(f"{place} was changed, or put there later")
        elif before is None and self.whole and not any(event.hash == link_hash(end, event) for end in self._ends):
            self._say(f"{place}, the first of its chain, was changed")
        expected = self._sealed.pop((chain, event.link or 0), None)
        if expected not in (None, event.hash):
            self._say(f"{place} is not what was sealed")
        self._at_end[chain] = event.link or 0, event.hash or ""

    def finish(self) -> Verdict:
        if self.whole:
            for (chain, link), _ in sorted(self._sealed.items(), key=lambda item: item[0][1]):
                self._say(f"chain {chain} was sealed up to its link {link}, which is gone")
        if self._oldest_chained is not None and self._youngest_unchained > self._oldest_chained:
            self._say(f"event {self._youngest_unchained} is in no chain, though younger ones were chained already")
        return Verdict(
            self._events,
            self._unchained,
            len(self._at_end),
            self._seals,
            self._last.at if self._last else None,
            self._unsealed,
            tuple(self._problems),
        )

    def _say(self, problem: str) -> None:
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(problem)


def _signed(seal: Seal) -> bool:
    try:
        key, signature = bytes.fromhex(seal.key), bytes.fromhex(seal.signature)
    except ValueError:
        return False
    return signing.verify(key, signature, SEAL_PREFIX + seal.hash.encode())


def _missing(number: int, link: int | None) -> str:
    gone = (link or 0) - number - 1
    return f"{gone} event{'s were' if gone != 1 else ' was'}" if gone > 0 else "links of its chain were"
