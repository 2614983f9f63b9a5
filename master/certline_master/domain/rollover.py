"""When a line's next key takes the place of the current one, what keeps that back, and what is only told. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from certline_master.domain.durations import seconds_of
from certline_master.domain.model import (
    Custody,
    HeldKey,
    KeyOptions,
    KeyPolicy,
    LineSnapshot,
    Slot,
    Version,
    VersionState,
)
from certline_shared.keys import KeyType

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class MakeNextKey:
    """Make the next key of these types, in idle time."""

    key_types: tuple[KeyType, ...]
    reason: str = "the next key is made ahead"
    is_wanted: bool = False  # a rollover waits for it


@dataclass(frozen=True, slots=True)
class TellAge:
    """The key is older than it should be, and nobody said that it is rolled over by itself."""

    pins: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ForgetPrevious:
    """No client keeps the pins of these former keys any more."""

    pins: tuple[str, ...]
    reason: str = "its pins are kept by no client any more"


KeyStep = MakeNextKey | TellAge | ForgetPrevious


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a line's key now."""

    reason: str | None = None  # why its next key is to be used
    refused: str | None = None  # why not yet, although it is due
    notice: str | None = None  # it is due, and waits for somebody to ask
    look: datetime | None = None  # when this may be another


def judge(snapshot: LineSnapshot, live: Version | None, now: datetime, *, renews: bool) -> Verdict:
    """`renews`: the live version is due for renewal, so that a version is ordered anyway."""
    if snapshot.line.rollover is not None:
        return Verdict(reason=snapshot.line.rollover)
    if live is None:
        return Verdict()
    due = _why_due(snapshot, live, now, renews=renews)
    if due is None:
        return Verdict(look=_next_look(snapshot, now))
    options, pinned = (
        snapshot.key_options,
        why_pinned(snapshot.keys, snapshot.line.key_types, snapshot.key_options, now),
    )
    if pinned is not None:
        return Verdict(refused=f"{due}; {pinned}", look=_next_look(snapshot, now))
    if options.policy == KeyPolicy.NEW and renews:
        return Verdict(reason=due)
    return Verdict(reason=due) if options.auto else Verdict(notice=f"{due}: `certline key rollover` does it")


def outlook(snapshot: LineSnapshot, live: Version | None, now: datetime) -> str:
    """What a rollover would say now, in words for the operator."""
    if is_rolling(snapshot) or snapshot.line.rollover is not None:
        return f"under way: {snapshot.line.rollover or 'a version for the next key is on its way'}"
    verdict = judge(snapshot, live, now, renews=False)
    pinned = why_pinned(snapshot.keys, snapshot.line.key_types, snapshot.key_options, now)
    lacking = lacking_next(snapshot)
    possible = f"refused: {pinned}" if pinned else "possible"
    if lacking:
        possible += f"; it would wait for the next key ({', '.join(lacking)})"
    ends = end_of_age(snapshot.keys, snapshot.key_options)
    due = verdict.reason or verdict.refused or verdict.notice
    if due:
        return f"{possible}; due: {due}"
    return f"{possible}; due {ends:%Y-%m-%d %H:%M} UTC" if ends else possible


def _why_due(snapshot: LineSnapshot, live: Version, now: datetime, *, renews: bool) -> str | None:
    if renews and snapshot.key_options.policy == KeyPolicy.NEW:
        return "a new key at each renewal"
    ends = end_of_age(snapshot.keys, snapshot.key_options)
    if ends is None:
        return None
    if ends <= now:
        return f"its key is older than {snapshot.key_options.max_age}"
    if renews and ends <= now + _between_renewals(live):
        return f"its key would be older than {snapshot.key_options.max_age} before the next renewal"
    return None


def end_of_age(keys: Iterable[HeldKey], options: KeyOptions) -> datetime | None:
    """When the oldest current key has its full age, counted from when it came into use."""
    if options.max_age is None:
        return None
    begun = [key.since for key in keys if key.slot is Slot.CURRENT and key.since is not None]
    return min(begun) + timedelta(seconds=seconds_of(options.max_age)) if begun else None


def why_pinned(keys: Iterable[HeldKey], key_types: Iterable[KeyType], options: KeyOptions, now: datetime) -> str | None:
    """Why the next key may not be used yet: clients may keep the pins from before it was published. None: it may."""
    if not options.pin_days:
        return None
    until = pinned_until(keys, key_types, options, now)
    if until <= now:
        return None
    missing = ceil((until - now) / DAY)
    return f"clients may keep pins without its next key for {missing} more day{'s' if missing > 1 else ''}"


def pinned_until(keys: Iterable[HeldKey], key_types: Iterable[KeyType], options: KeyOptions, now: datetime) -> datetime:
    """Until when some client may know only pins from before the next key was published, in each of the key types."""
    kept = {key.key_type: key for key in keys if key.slot is Slot.NEXT}
    days = (options.pin_days or 0) * DAY
    since = [kept[one].published or now - days if one in kept else now for one in key_types]
    return max(since, default=now) + days


def lacking_next(snapshot: LineSnapshot) -> tuple[KeyType, ...]:
    """The key types without a next key."""
    kept = {key.key_type for key in snapshot.keys if key.slot is Slot.NEXT}
    return tuple(sorted(set(snapshot.line.key_types) - kept))


def is_rolling(snapshot: LineSnapshot) -> bool:
    """Whether a version for the next keys is on its way, or staged."""
    return any(on_its_way(snapshot))


def on_its_way(snapshot: LineSnapshot) -> Iterable[Version]:
    pins = {key.spki_sha256 for key in snapshot.keys if key.slot is Slot.NEXT}
    states = (VersionState.ORDERED, VersionState.STAGED)
    for version in snapshot.versions:
        held = {certificate.spki_sha256 for certificate in version.certificates}
        if version.state in states and held and held <= pins:
            yield version


def steps(snapshot: LineSnapshot, verdict: Verdict, now: datetime) -> list[KeyStep]:
    """What is done about keys beside orders, in idle time."""
    found: list[KeyStep] = []
    lacking = lacking_next(snapshot)
    if lacking and snapshot.line.custody is Custody.MASTER and snapshot.line.key_id is not None:
        found.append(MakeNextKey(lacking))
    if verdict.notice is not None:
        current = (key.spki_sha256 for key in snapshot.keys if key.slot is Slot.CURRENT)
        found.append(TellAge(tuple(sorted(current)), verdict.notice))
    over = _over(snapshot, now)
    return [*found, ForgetPrevious(over)] if over else found


def _over(snapshot: LineSnapshot, now: datetime) -> tuple[str, ...]:
    """Former keys that no client keeps pins of; never one that a version still needs."""
    days = snapshot.key_options.pin_days
    if days is None:
        return ()
    needed = {one.spki_sha256 for version in snapshot.versions for one in version.certificates if _is_used(version)}
    former = (key for key in snapshot.keys if key.slot is Slot.PREVIOUS and key.spki_sha256 not in needed)
    return tuple(sorted(key.spki_sha256 for key in former if key.since and key.since + days * DAY <= now))


def _is_used(version: Version) -> bool:
    return version.state in (VersionState.ORDERED, VersionState.STAGED, VersionState.LIVE)


def _between_renewals(live: Version) -> timedelta:
    spans = [one.renewal.at - one.not_before for one in live.certificates if one.renewal and one.not_before]
    return max(min(spans, default=timedelta()), timedelta())


def _next_look(snapshot: LineSnapshot, now: datetime) -> datetime | None:
    options, looks = snapshot.key_options, []
    ends = end_of_age(snapshot.keys, options)
    if ends is not None:
        looks.append(ends)
    if options.pin_days:
        looks.append(pinned_until(snapshot.keys, snapshot.line.key_types, options, now))
    if options.pin_days is not None:
        former = (key.since for key in snapshot.keys if key.slot is Slot.PREVIOUS and key.since)
        looks += [since + options.pin_days * DAY for since in former]
    return min((look for look in looks if look > now), default=None)
