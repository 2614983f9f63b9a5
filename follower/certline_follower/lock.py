"""One run of the follower at a time, by a lock that the kernel frees when the process ends."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class RunLock:
    """`state_dir/lock`, held from `acquire` to `release`, or to the end of a `with`; raises OSError as open(2) does."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "lock"
        self._fd: int | None = None

    def acquire(self, wait: bool) -> bool:
        """Take the lock, waiting for it when `wait`; False when another run has it."""
        # Close-on-exec, so that a daemon which a reload command leaves behind does not keep the lock.
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return True

    def release(self) -> None:
        """Give the lock back; nothing when it is not held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
