"""Work that takes long and that nothing waits for, such as making RSA keys: in a thread of its own, after all else."""

import itertools
import logging
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from certline_master.domain.errors import DomainError
from certline_shared.clock import Clock

IDLE_LOOK = 0.2  # seconds
NICE = 10

Task = Callable[[], None]
Aside = Callable[[str, Task, bool], None]
"""A task's name, the task, and whether somebody waits for it; a task of a name that is in hand already is dropped."""

log = logging.getLogger("certline.work.aside")


def at_once(_name: str, task: Task, _urgent: bool) -> None:
    """Without a thread."""
    task()


class AsideThread:
    """What is urgent comes first; the rest only while `is_idle` says that no worker has anything to do."""

    def __init__(self, clock: Clock, stopping: threading.Event, is_idle: Callable[[], bool]) -> None:
        self._clock, self._stopping, self._is_idle = clock, stopping, is_idle
        self._queue: queue.PriorityQueue[tuple[int, int, str, Task | None]] = queue.PriorityQueue()
        self._sequence, self._lock = itertools.count(), threading.Lock()
        self._in_hand: set[str] = set()

    def __call__(self, name: str, task: Task, urgent: bool) -> None:
        with self._lock:
            if name in self._in_hand:
                return
            self._in_hand.add(name)
        self._queue.put((0 if urgent else 1, next(self._sequence), name, task))

    def stop(self) -> None:
        """A key that is being made is waited for by nobody."""
        self._queue.put((-1, next(self._sequence), "", None))

    def run(self) -> None:
        """The thread's work."""
        with suppress(OSError, AttributeError):  # Linux: of this thread alone
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while not self._stopping.is_set():
            rank, place, name, task = self._queue.get()
            if task is None:
                return
            if rank and not self._is_idle():
                self._queue.put((rank, place, name, task))
                self._clock.pause(IDLE_LOOK, self._stopping)
                continue
            self._do(name, task)

    def _do(self, name: str, task: Task) -> None:
        try:
            task()
        except DomainError as fault:
            log.error("a task failed; it is tried again", extra={"task": name, "error": str(fault)})
        except Exception:  # an error of ours must not end the thread: the planner asks again
            log.exception("a task broke", extra={"task": name})
        finally:
            with self._lock:
                self._in_hand.discard(name)
