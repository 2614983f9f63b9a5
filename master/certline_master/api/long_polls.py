"""Waiting for news of a follower's manifest: an open request that holds no thread, no session and next to no memory."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from starlette.types import Receive

from certline_master.domain.ports import Bell

MOST_OF_ONE = 3  # a new request and those that a proxy has not let go of
MOST_LOOKING = 20  # of those that were told that there may be news: half of the threads, and the others go on waiting


class Seat:
    """One open long-poll. `full` when there was no room for it: it never waits then."""

    __slots__ = ("_ended", "_loop", "_rang", "_waiting", "full")

    def __init__(self, *, full: bool) -> None:
        self.full = full
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Timeout | None = None
        self._rang, self._ended = False, full

    def ring(self) -> None:
        """There may be news. From any thread."""
        self._loop.call_soon_threadsafe(self._hear)

    def end(self) -> None:
        """Wait no longer. From any thread."""
        self._ended = True
        self.ring()

    def _hear(self) -> None:
        self._rang = True
        if self._waiting is not None and not self._waiting.expired():
            self._waiting.reschedule(self._loop.time())

    async def news(self, receive: Receive, until: float) -> bool:
        """Wait for a ring; False when the loop's time `until` came first, the client left, or the master stops.

        What waits is the request's own task, on its client alone: a ring is a time limit that was moved to now.
        """
        if not (self._rang or self._ended):
            with suppress(TimeoutError):
                async with asyncio.timeout_at(until) as self._waiting:
                    await _gone(receive)
            self._waiting = None
        rang, self._rang = self._rang, False
        return rang and not self._ended


class LongPolls:
    """The open ones, at most `most`, and MOST_OF_ONE of one follower, so that none takes the others' places.

    `close` ends them all, so that a stopping master need not wait for them.
    """

    def __init__(self, bell: Bell, most: int) -> None:
        self._bell, self._most = bell, most
        self._seats: dict[Seat, Callable[[], None]] = {}  # with what ends its listening
        self._taken: Counter[str] = Counter()  # by follower
        self._closed = False
        self.looking = asyncio.Semaphore(MOST_LOOKING)

    @property
    def open(self) -> int:
        return len(self._seats)

    @contextmanager
    def seat(self, follower_id: str) -> Iterator[Seat]:
        """A place to wait for rings of this follower's topic, heard from here on."""
        seat = Seat(full=not self._has_room(follower_id))
        if seat.full:
            yield seat
            return
        self._seats[seat] = self._bell.listen(f"follower:{follower_id}", seat.ring)
        self._taken[follower_id] += 1
        try:
            yield seat
        finally:
            self._seats.pop(seat)()
            self._leave(follower_id)

    def _has_room(self, follower_id: str) -> bool:
        return not self._closed and len(self._seats) < self._most and self._taken[follower_id] < MOST_OF_ONE

    def _leave(self, follower_id: str) -> None:
        self._taken[follower_id] -= 1
        if not self._taken[follower_id]:
            del self._taken[follower_id]

    def close(self) -> None:
        """From any thread; waits begun later end at once."""
        self._closed = True
        for seat in tuple(self._seats):
            seat.end()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
