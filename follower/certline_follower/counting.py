"""The numbers of this host's changing requests, on disk before they are sent: two hosts with one identity differ.

The number rises by chance: two hosts that were one until now part with their next requests, and what comes from the one
that is behind shows on the master. It has a file of its own, for it must outlive a state that was lost.
"""

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from certline_follower.private_files import write_private
from certline_shared.chance import Chance

NAME = "sequence"
_LONGEST_STEP = 1_000
_AHEAD_AFTER_LOSS = 300_000  # as much as some hundred requests count


class Sequence:
    """`state_dir/sequence`."""

    def __init__(self, state_dir: Path, chance: Chance) -> None:
        self._path, self._chance = state_dir / NAME, chance
        self._last: int | None = None

    def next(self, now: datetime, *, is_first: bool) -> int:
        """Without a file it begins at `now` (the master's time) in milliseconds; where it was lost, ahead of that: a
        host may have counted faster than time went by.

        A disk that takes nothing must not keep the host from telling so: then the number is in memory only.
        """
        last = self._last if self._last is not None else self._kept()
        step = 1 + int(self._chance.uniform(0, _LONGEST_STEP))
        begin = int(now.timestamp() * 1_000) + (0 if is_first else _AHEAD_AFTER_LOSS)
        number = self._last = begin if last is None else last + step
        with suppress(OSError):
            write_private(self._path, f"{number}\n".encode())
        return number

    def _kept(self) -> int | None:
        try:
            text = self._path.read_text(encoding="ascii", errors="replace").strip()
        except OSError:
            return None
        return int(text) if text.isdigit() and len(text) <= 15 and text.isascii() else None
