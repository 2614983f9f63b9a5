"""One run of the follower at a time, by a lock that the kernel frees when the process ends."""

from pathlib import Path
from types import TracebackType
from typing import Self


class RunLock:
    """`state_dir/lock`, held from `acquire` to `release`, or to the end of a `with`."""

    def __init__(self, state_dir: Path) -> None:
        raise NotImplementedError

    def acquire(self, wait: bool) -> bool:
        """Take the lock, waiting for it when `wait`; False when another run has it."""
        raise NotImplementedError

    def release(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
