"""Which TLSA records a line wants in DNS, and whether those of a version are old enough to switch to it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.domain.deployment import Receiver, arrived
from certline_master.domain.model import (
    Deployment,
    FollowerState,
    Line,
    LineCsr,
    TlsaRecord,
    TlsaState,
    TlsaWish,
    Version,
    VersionState,
)
from certline_shared.names import is_wildcard
from certline_shared.tlsa import MATCHINGS, Subject, rdata, subject_of_request, subjects_of_chain

STANDING = (TlsaState.INTENDED, TlsaState.PRESENT, TlsaState.VISIBLE)
"""States of a record that is wanted."""


LAST_PART = 12
"""Where a line does not wait for DNS for ever: it switches once less than this part of the lifetime is left."""


@dataclass(frozen=True, slots=True, order=True)
class Wanted:
    """A record that is to be in DNS."""

    name: str
    rdata: str
    ttl: int


@dataclass(frozen=True, slots=True)
class InUse:
    """Versions before the live one that hosts may still serve, and whom that is up to, by name."""

    versions: tuple[Version, ...] = ()
    waits_for: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()  # hosts of which nothing is expected: what they serve may fail


@dataclass(frozen=True, slots=True)
class Records:
    """What a line wants, and why what it could do without is still there."""

    wanted: frozenset[Wanted]
    in_use: InUse = InUse()
    kept: frozenset[Wanted] = frozenset()  # of the wanted ones: only for versions before the live one


@dataclass(frozen=True, slots=True)
class Gate:
    """Why a version is not switched to yet: its records are not visible, or caches may hold a set without them."""

    until: datetime | None  # None: until every server shows them
    why: str
    proof: tuple[str, ...]


def owners(line: Line, wish: TlsaWish) -> tuple[str, ...]:
    """Where the wished records stand (RFC 6698 section 3)."""
    hosts = (wish.host,) if wish.host else tuple(name for name in line.names if not is_wildcard(name))
    return tuple(f"_{wish.port}._{wish.protocol}.{host}" for host in hosts)


def wanted_by(
    line: Line,
    versions: Sequence[Version],
    next_csrs: Iterable[LineCsr],
    receivers: Sequence[Receiver],
    reported: Iterable[Deployment],
) -> Records:
    """For all versions that are served, or will be, and for the next keys. A revoked one has none at once."""
    if not line.options.tlsa:
        return Records(frozenset())
    steady = [one for one in versions if one.state in (VersionState.LIVE, VersionState.STAGED)]
    needed = frozenset(found for one in steady for found in of_version(line, one))
    needed |= frozenset(found for csr in next_csrs for found in of_request(line, csr))
    in_use = still_in_use(versions, receivers, reported)
    former = frozenset(found for one in in_use.versions for found in of_version(line, one))
    return Records(needed | former, in_use, former - needed)


def of_version(line: Line, version: Version) -> frozenset[Wanted]:
    """One for each certificate, or for each authority above it, by wish and matching type."""
    chains = [subjects_of_chain(one.chain) for one in version.certificates if one.chain]
    return frozenset(found for chain in chains for wish in line.options.tlsa for found in _of_chain(line, wish, chain))


def of_request(line: Line, csr: LineCsr) -> frozenset[Wanted]:
    """A key without a certificate: only an end-entity record of the key can be there before it (RFC 7671 section 8)."""
    subject = subject_of_request(csr.csr)
    ends = [wish for wish in line.options.tlsa if wish.usage.endswith("-ee")]
    return frozenset(found for wish in ends for found in _of_subject(line, wish, subject))


def _of_chain(line: Line, wish: TlsaWish, chain: Sequence[Subject]) -> Iterator[Wanted]:
    chosen = chain[:1] if wish.usage.endswith("-ee") else (*chain[1:], *_roots(wish))
    for subject in chosen:
        yield from _of_subject(line, wish, subject)


def _roots(wish: TlsaWish) -> tuple[Subject, ...]:
    return subjects_of_chain(wish.root) if wish.root else ()


def _of_subject(line: Line, wish: TlsaWish, subject: Subject) -> Iterator[Wanted]:
    for matching in MATCHINGS[wish.matching]:
        data = rdata(wish.usage, wish.selector, matching, subject)
        for name in owners(line, wish) if data else ():
            yield Wanted(name, data or "", wish.ttl)


def still_in_use(versions: Sequence[Version], receivers: Sequence[Receiver], reported: Iterable[Deployment]) -> InUse:
    """A host moved on once it reported the live version at its last step; before, it may serve what it had and all
    that came since. Of a host that was suspended nothing is expected: it is named.
    """
    live = next((one for one in versions if one.state is VersionState.LIVE), None)
    retired = [one for one in versions if one.state is VersionState.RETIRED]
    if live is None or not retired:
        return InUse()
    said = list(reported)
    floors = {
        one.name: _floor(live, [told for told in said if told.follower_id == one.id]) for one in _counted(receivers)
    }
    waiting = {name: floor for name, floor in floors.items() if floor is not None}
    lowest = min(waiting.values(), default=live.number)
    kept = tuple(one for one in retired if one.number >= lowest)
    return InUse(kept, tuple(sorted(waiting)) if kept else (), tuple(sorted(_left_out(receivers))))


def _counted(receivers: Iterable[Receiver]) -> list[Receiver]:
    return [one for one in receivers if one.counts]


def _left_out(receivers: Iterable[Receiver]) -> Iterator[str]:
    for one in receivers:
        if one.state in (FollowerState.SUSPENDED, FollowerState.REVOKED):
            yield f"{one.name} ({one.state})"


def _floor(live: Version, reported: Sequence[Deployment]) -> int | None:
    """The lowest version that a host may serve; None where it serves the live one, or was never given any."""
    told = {one.version: one for one in reported}
    if not told or arrived(told.get(live.number)):
        return None
    return max((number for number, one in told.items() if arrived(one)), default=min(told))


def gate(line: Line, version: Version, ledger: Iterable[TlsaRecord], now: datetime) -> Gate | None:
    """None where every record of the version is in all sets that a cache may hold, or it wants none."""
    wanted = sorted(of_version(line, version))
    rows = {(row.name, row.rdata): row for row in ledger}
    found = [(one, rows.get((one.name, one.rdata))) for one in wanted]
    hidden = [(one, row) for one, row in found if row is None or row.state is not TlsaState.VISIBLE]
    proof = tuple(_sentence(one, row) for one, row in found)
    if hidden:
        return Gate(None, f"its TLSA records are not shown by every name server yet: {_sentence(*hidden[0])}", proof)
    until = max((aged_at(row) or now for _, row in found if row), default=now)
    if until <= now:
        return None
    return Gate(until, f"caches may hold TLSA records without its own until {_minute(until)}", proof)


def latest_switch(line: Line, live: Version) -> datetime | None:
    """When a new version goes live whatever DNS shows, where the line says so: before the live one expires."""
    if line.options.tlsa_before_expiry != "go":
        return None
    spans = ((one.not_before, one.not_after) for one in live.certificates)
    return min((ends - (ends - begins) / LAST_PART for begins, ends in spans if begins and ends), default=None)


def aged_at(row: TlsaRecord) -> datetime | None:
    """From when on no cache holds a set from before this record's change; None: that cannot be told yet."""
    if row.visible_since is None:
        return None
    return row.visible_since + timedelta(seconds=row.former_ttl or 0)


def former_ttl(observed: int, at_name: Iterable[TlsaRecord], now: datetime) -> int:
    """How long caches may hold what stood before a change made now: as observed, or what was there before that."""
    younger = (row.former_ttl or 0 for row in at_name if (aged_at(row) or now) >= now and row.former_ttl is not None)
    return max(observed, *younger, 0)


def by_name(rows: Iterable[TlsaRecord]) -> Mapping[str, list[TlsaRecord]]:
    found: dict[str, list[TlsaRecord]] = {}
    for row in rows:
        found.setdefault(row.name, []).append(row)
    return found


def brief(rdata_text: str) -> str:
    """A record's data, short enough to read."""
    head, _, digest = rdata_text.rpartition(" ")
    return f"{head} {digest[:16]}{'...' if len(digest) > 16 else ''}"


def _sentence(wanted: Wanted, row: TlsaRecord | None) -> str:
    what = f"{wanted.name} TLSA {brief(wanted.rdata)}"
    if row is None:
        return f"{what} is about to be written"
    if row.state is not TlsaState.VISIBLE or row.visible_since is None:
        return f"{what} is {row.state}{f': {row.error}' if row.error else ''}"
    aged = aged_at(row) or row.visible_since
    seen = f"{what} is shown by every name server since {_minute(row.visible_since)}"
    return f"{seen}, and what stood before (TTL {row.former_ttl or 0} s) is in no cache from {_minute(aged)} on"


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
