"""When more requests wait for a thread than are soon served, the next ones are sent away before any work for them."""

from anyio.to_thread import current_default_thread_limiter

from certline_master.api.problems import Refused
from certline_shared.chance import Chance

MOST_WAITING = 200  # some tenths of a second of work
COME_BACK_SECONDS = (30, 300)  # at random, so that a herd does not come back as one


class Overload:
    """For the event loop's thread. What waits behind the threads (the store's writer) is bounded by their number."""

    def __init__(self, chance: Chance, most_waiting: int) -> None:
        self._chance, self._most = chance, most_waiting

    def check(self) -> None:
        """Raises Refused, unsigned and not looked into: the signature alone would cost what there is none of."""
        if current_default_thread_limiter().statistics().tasks_waiting < self._most:
            return
        seconds = round(self._chance.uniform(*COME_BACK_SECONDS))
        raise Refused(
            "unavailable",
            "the master has more to do than it can: come back later",
            headers={"Retry-After": str(seconds)},
        )
