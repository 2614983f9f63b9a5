"""Waiting for news of a follower's manifest: an open request that holds no thread and no session."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive

from certline_master.domain.ports import Bell

MOST_OF_ONE = 3  # a new request and those that a proxy has not let go of


class Seat:
    """One open long-poll. `full` when there was no room for it: it never waits then."""

    def __init__(self, *, full: bool) -> None:
        self.full = full
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._ended = full

    def ring(self) -> None:
        """There may be news. From any thread."""
        self._loop.call_soon_threadsafe(self._news.set)

    def end(self) -> None:
        """Wait no longer. From any thread."""
        self._ended = True
        self.ring()

    async def news(self, receive: Receive, until: float) -> bool:
        """Wait for a ring; False when the loop's time `until` came first, the client left, or the master stops."""
        if self._ended:
            return False
        waits = {asyncio.ensure_future(self._news.wait()), asyncio.ensure_future(_gone(receive))}
        try:
            left = max(0.0, until - self._loop.time())
            await asyncio.wait(waits, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        rang = self._news.is_set() and not self._ended
        self._news.clear()
        return rang


class LongPolls:
    """The open ones, at most `most`, and MOST_OF_ONE of one follower, so that none takes the others' places.

    `close` ends them all, so that a stopping master need not wait for them.
    """

    def __init__(self, bell: Bell, most: int) -> None:
        self._bell, self._most = bell, most
        self._seats: set[Seat] = set()
        self._taken: Counter[str] = Counter()  # by follower
        self._closed = False

    @property
    def open(self) -> int:
        return len(self._seats)

    @asynccontextmanager
    async def seat(self, follower_id: str, *, wanted: bool) -> AsyncIterator[Seat]:
        """A place to wait for rings of this follower's topic, heard from here on."""
        seat = Seat(full=wanted and not self._has_room(follower_id))
        if seat.full or not wanted:
            seat.end()
            yield seat
            return
        self._seats.add(seat)
        self._taken[follower_id] += 1
        stop_listening = self._bell.listen(f"follower:{follower_id}", seat.ring)
        try:
            yield seat
        finally:
            stop_listening()
            self._leave(seat, follower_id)

    def _has_room(self, follower_id: str) -> bool:
        return not self._closed and len(self._seats) < self._most and self._taken[follower_id] < MOST_OF_ONE

    def _leave(self, seat: Seat, follower_id: str) -> None:
        self._seats.discard(seat)
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
