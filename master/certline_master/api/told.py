"""Which manifest each follower has, while nothing changes: so that the thousandth poll is not reckoned anew."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.domain.placement import Trust

LIFE = timedelta(minutes=15)
"""After that it is reckoned anew whatever the mark says; nothing but a fault of ours would show then."""

MOST = 100_000


@dataclass(frozen=True, slots=True)
class Basis:
    """What a manifest was made of: the store's mark, and what the master says of itself."""

    mark: str
    trust: Trust


class Told:
    """Thread-safe; the followers that were longest away are forgotten first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: OrderedDict[str, tuple[str, Basis, datetime]] = OrderedDict()
        self._basis: Basis | None = None  # the last one: thousands of manifests are made of the same

    def still(self, follower_id: str, tag: str, basis: Basis, now: datetime) -> bool:
        """Whether the manifest with this entity tag is the one to be had."""
        with self._lock:
            held, made_of, since = self._told.get(follower_id, ("", None, now))
        return held == tag and made_of == basis and timedelta(0) <= now - since < LIFE

    def note(self, follower_id: str, tag: str, basis: Basis, now: datetime) -> None:
        with self._lock:
            if self._basis != basis:
                self._basis = basis
            self._told[follower_id] = tag, self._basis, now
            self._told.move_to_end(follower_id)
            while len(self._told) > MOST:
                self._told.popitem(last=False)
