"""The survival budget: how long until something breaks if the master, the CA or the DNS stops now. Pure.

- master: until the first certificate ends that a host has installed, for nobody would bring its successor.
- CA: until the first live certificate ends; what is issued but not installed yet still reaches its host.
- DNS: the same, of lines with a name that is proven by dns-01. That the CA might reuse an authorization is not counted.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from certline_master.domain.deployment import InUse

SHORT = timedelta(days=3)
SHARE = 10
"""An alarm by default below SHORT, or below this part of the lifetime where that is less."""


@dataclass(frozen=True, slots=True)
class LiveUntil:
    """The live version of a line that hosts are to have."""

    line: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime


What = Literal["master", "ca", "dns"]
NAMES: Mapping[What, str] = {"master": "master", "ca": "CA", "dns": "DNS"}


@dataclass(frozen=True, slots=True)
class Held:
    """A certificate that somebody depends on."""

    line: str
    follower: str | None  # the host that has it installed
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Budget:
    """What ends first if one of the three stops. `seconds` is below 0 where it ended already."""

    what: What
    until: datetime
    seconds: int
    line: str
    follower: str | None
    low: bool


def budget(what: What, held: Iterable[Held], now: datetime, limit: timedelta | None = None) -> Budget | None:
    """None where nothing depends on it. `limit`: below it the budget is low; None for the default."""
    every = list(held)
    if not every:
        return None
    first = min(every, key=lambda one: (one.not_after, one.line, one.follower or ""))
    left = first.not_after - now
    low = any(one.not_after - now < _least(one, limit) for one in every)
    return Budget(what, first.not_after, int(left.total_seconds()), first.line, first.follower, low)


def budgets(
    in_use: Iterable[InUse],
    live: Iterable[LiveUntil],
    by_http: Collection[str],
    now: datetime,
    limit: timedelta | None = None,
) -> tuple[Budget, ...]:
    """Of the whole fleet; `by_http` are the names that are proven by http-01."""
    lines = list(live)
    held: dict[What, list[Held]] = {
        "master": [Held(one.line, one.receiver.name, one.not_before, one.not_after) for one in in_use],
        "ca": [_of(one) for one in lines],
        "dns": [_of(one) for one in lines if not set(one.names) <= set(by_http)],
    }
    found = (budget(what, of_it, now, limit) for what, of_it in held.items())
    return tuple(one for one in found if one is not None)


def _of(one: LiveUntil) -> Held:
    return Held(one.line, None, one.not_before, one.not_after)


def _least(one: Held, limit: timedelta | None) -> timedelta:
    return limit if limit is not None else min(SHORT, (one.not_after - one.not_before) / SHARE)


def in_words(one: Budget) -> str:
    """As `21 days (web-3, line shop)`."""
    whose = f"{one.follower}, line {one.line}" if one.follower else f"line {one.line}"
    return f"{_length(one.seconds)} ({whose})"


def _length(seconds: int) -> str:
    if seconds < 0:
        return "over already"
    for size, word in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds // size} {word}s"
    return "less than 2 minutes"
