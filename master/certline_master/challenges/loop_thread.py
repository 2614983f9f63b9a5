"""An asyncio loop in a thread of its own, for listeners beside synchronous code."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager

import uvloop

Service = Callable[[], AbstractAsyncContextManager[None]]


class LoopThread:
    """Runs a service from `start` to `stop`: enters it in the thread's loop, and leaves it there at the end.

    What is still running in the loop then is cancelled. May be started again after it was stopped.
    """

    def __init__(self, name: str, service: Service) -> None:
        self._name, self._service = name, service
        self._thread: threading.Thread | None = None
        self._end: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Returns when the service was entered; raises what entering it raised."""
        started: Future[Callable[[], None]] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name=self._name, daemon=True)
        self._thread.start()
        try:
            self._end = started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise

    def stop(self) -> None:
        """Returns when the service was left. Nothing happens when it does not run."""
        if self._thread is not None:
            self._end()
            self._thread.join()
            self._thread = None

    def _run(self, started: "Future[Callable[[], None]]") -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._until_ended(started))

    async def _until_ended(self, started: "Future[Callable[[], None]]") -> None:
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        try:
            async with self._service():
                started.set_result(lambda: _call(loop, ended.set))
                await ended.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)


def _call(loop: asyncio.AbstractEventLoop, do: Callable[[], None]) -> None:
    loop.call_soon_threadsafe(do)
