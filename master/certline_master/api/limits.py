"""How often somebody may ask: token buckets per follower, admin token and address, in tables that cannot grow.

Who is past a limit waits; nobody else does. So a bucket's key is always something that a stranger cannot name for
another: a follower or an admin token only after its credentials were verified; an address counts failures only, and
good credentials pass from any address, however many fail beside them.

A full table forgets the key that asked longest ago. What is forgotten is that key's debt, so forgetting never refuses
anybody. It gains an attacker one more burst for as many other addresses as the table holds, of which each has to fail
first; all addresses of one IPv6 /64, which one host may have to itself, are one key.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil

from certline_master.api.problems import Refused
from certline_shared.clock import Clock

MOST_KEYS = 32_768
_IPV6_HOST = 64  # bits of an address that say which site it is


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and then so many a minute; 0 a minute is without a limit."""

    burst: int
    per_minute: float


@dataclass(frozen=True, slots=True)
class Rates:
    """The limits in force."""

    follower: Rate = Rate(600, 240)  # requests: a start with 100 lines is some 300
    records: Rate = Rate(2000, 30)  # events that its wishes and reports put on record
    caller: Rate = Rate(1200, 1200)  # requests with one admin token
    failures: Rate = Rate(60, 60)  # refused credentials and enrolments from one address
    introductions: Rate = Rate(120, 6)  # hosts that introduce themselves, or themselves anew, from one address
    strangers: Rate = Rate(120, 60)  # records of refusals from addresses, all together


class Buckets:
    """One bucket for each key. Thread-safe.

    Kept is only when a bucket will be full again (the generic cell rate algorithm): a full one need not be kept.
    """

    def __init__(self, clock: Clock, rate: Rate, *, most: int = MOST_KEYS) -> None:
        self._clock, self._most = clock, most
        self._every = 60 / rate.per_minute if rate.per_minute else 0.0
        self._depth = self._every * rate.burst
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable) -> float:
        """Seconds until one more of this key may come; 0.0 when this one may, which then counts."""
        with self._lock:
            wait = self._wait(key)
            self._count(key, 0 if wait else 1)
            return wait

    def wait(self, key: Hashable) -> float:
        """The same, but nothing counts."""
        with self._lock:
            return self._wait(key)

    def owe(self, key: Hashable) -> None:
        """Count one that cannot be refused any more; it is paid for by waiting later."""
        with self._lock:
            self._count(key, 1)

    def _wait(self, key: Hashable) -> float:
        now = self._clock.monotonic()
        full_at = max(self._full_at.get(key, now), now) + self._every
        return max(0.0, full_at - now - self._depth)

    def _count(self, key: Hashable, number: int) -> None:
        """Who is refused is kept too: who goes on asking is not forgotten."""
        if not self._every:
            return
        now = self._clock.monotonic()
        self._full_at[key] = max(self._full_at.get(key, now), now) + number * self._every
        self._full_at.move_to_end(key)
        while len(self._full_at) > self._most:
            self._full_at.popitem(last=False)


class Limits:
    """All buckets of a master."""

    def __init__(self, clock: Clock, rates: Rates) -> None:
        self._follower, self._caller = Buckets(clock, rates.follower), Buckets(clock, rates.caller)
        self._records, self._failures = Buckets(clock, rates.records), Buckets(clock, rates.failures)
        self._introductions, self._strangers = Buckets(clock, rates.introductions), Buckets(clock, rates.strangers)

    def follower(self, follower_id: str) -> None:
        """Of a request whose signature holds. Raises Refused."""
        _refuse(self._follower.take(follower_id), "this follower asks too often")

    def caller(self, token_id: str) -> None:
        """Of a request with a good admin token. Raises Refused."""
        _refuse(self._caller.take(token_id), "too many requests with this token")

    def change(self, follower_id: str) -> None:
        """Before a follower changes something: what cannot be put on record is not done. Raises Refused."""
        _refuse(self._records.wait(follower_id), "this follower changes things too often")

    def noted(self, follower_id: str | None) -> None:
        """After an event that a follower caused; where one request causes many, the next ones wait for it."""
        self._records.owe(follower_id)

    def failed(self, address: str) -> None:
        """After credentials were refused, and before that is put on record. Raises Refused in place of the refusal."""
        _refuse(self._failures.take(site_of(address)), "too many refused requests from this address")

    def introduces(self, address: str) -> None:
        """Before an introduction is put on record: nobody has let that host in. Raises Refused."""
        _refuse(self._introductions.take(site_of(address)), "too many introductions from this address")

    def may_note(self, subject: str) -> bool:
        """Whether a refusal is put on record: those from addresses must not fill the disk, however many there are."""
        return not subject.startswith("address:") or self._strangers.take("address") == 0.0


def site_of(address: str) -> str:
    """What addresses count as: an IPv6 address as its /64, any other as it is."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ip_network((found, _IPV6_HOST), strict=False))


def _refuse(seconds: float, why: str) -> None:
    if seconds:
        wait = max(1, ceil(seconds))
        raise Refused("too-many-requests", f"{why}: try again in {wait} seconds", headers={"Retry-After": str(wait)})
