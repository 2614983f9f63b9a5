"""Room for so many connections: when it is full, the one that keeps the master waiting for longest makes place."""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MOST_RESTING = 2_000
"""Connections that are kept between two requests: each holds some 40 KB, and a new one costs a handshake."""


@dataclass(eq=False, slots=True)
class Place:
    """One connection's place. It waits for its client from the start; between two requests it rests."""

    address: str
    cut: Callable[[], None]
    _places: "Places"

    def rests(self) -> None:
        """It waits again: all that was asked is answered."""
        self._places.rests(self)

    def answers(self) -> None:
        """A whole request came: it is not cut until that is answered."""
        self._places.answers(self)

    def leave(self) -> None:
        """It ended. Again: nothing."""
        self._places.leave(self)


def no_address(address: str) -> bool:
    del address
    return False


class Places:
    """At most `most` connections, and half of them from one address, unless many clients `share` that address.

    Of those that rest, the one that rests for longest is closed when they are more than `most_resting`.
    """

    def __init__(
        self, most: int, share: Callable[[str], bool] = no_address, *, most_resting: int = MOST_RESTING
    ) -> None:
        self.most, self.most_resting, self._share = most, most_resting, share
        self._taken: set[Place] = set()
        self._of: Counter[str] = Counter()  # by address
        self._waiting: OrderedDict[Place, None] = OrderedDict()  # who waits longest comes first
        self._waiting_of: dict[str, OrderedDict[Place, None]] = {}
        self._resting: OrderedDict[Place, None] = OrderedDict()  # of those that wait

    @property
    def taken(self) -> int:
        return len(self._taken)

    def take(self, address: str, cut: Callable[[], None]) -> Place | None:
        """A place for a new connection; None when there is no room, and nobody who could make some."""
        if self._of[address] >= max(1, self.most // 2) and not self._share(address):
            if not self._make_room(self._waiting_of.get(address)):
                return None
        elif self.taken >= self.most and not self._make_room(self._waiting):
            return None
        place = Place(address, cut, self)
        self._taken.add(place)
        self._of[address] += 1
        self._waits(place)
        return place

    def _make_room(self, waiting: "OrderedDict[Place, None] | None") -> bool:
        if not waiting:
            return False
        longest = next(iter(waiting))
        self.leave(longest)
        longest.cut()
        return True

    def rests(self, place: Place) -> None:
        self._waits(place)
        if place in self._waiting:
            self._resting[place] = None
            if len(self._resting) > self.most_resting:
                self._make_room(self._resting)

    def _waits(self, place: Place) -> None:
        if place in self._taken:
            self.answers(place)
            self._waiting[place] = None
            self._waiting_of.setdefault(place.address, OrderedDict())[place] = None

    def answers(self, place: Place) -> None:
        if place in self._waiting:
            self._resting.pop(place, None)
            del self._waiting[place], self._waiting_of[place.address][place]
            if not self._waiting_of[place.address]:
                del self._waiting_of[place.address]

    def leave(self, place: Place) -> None:
        if place in self._taken:
            self.answers(place)
            self._taken.discard(place)
            self._of[place.address] -= 1
            if not self._of[place.address]:
                del self._of[place.address]
