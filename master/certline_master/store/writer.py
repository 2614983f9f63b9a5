"""The one writer thread: works that wait together share a transaction, each in a savepoint of its own."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar, cast

from sqlalchemy.exc import SQLAlchemyError

from certline_master.domain.errors import Unavailable
from certline_master.domain.ports import Records
from certline_master.store.faults import Trouble, in_domain_words, trouble, unavailable

T = TypeVar("T")

_MOST_TOGETHER = 256  # works in one transaction: bounds how long the first of them waits
_MOST_TRIES = 5


class Transactions(Protocol):
    """Where the writer writes: one connection, made again when it is lost."""

    def begin(self) -> Records:
        """Raises Unavailable when there is no connection to be had."""
        ...

    def say(self, statement: str) -> None: ...

    def end_work(self, records: Records) -> None:
        """A work has done its part, which is kept."""
        ...

    def give_up(self) -> None:
        """Undo what was begun; never raises."""
        ...


@dataclass(slots=True)
class _Job:
    work: Callable[[Records], Any]
    future: "Future[Any]" = field(default_factory=Future)
    tries: int = 0


@dataclass(frozen=True, slots=True)
class _Outcome:
    result: Any = None
    error: BaseException | None = None


class _Undone(Exception):
    """Nothing of the transaction was kept."""

    def __init__(self, cause: SQLAlchemyError) -> None:
        super().__init__(str(cause))
        self.trouble, self.words = trouble(cause), unavailable(cause)


class Writer:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._gate = threading.Lock()  # nothing enters the queue after its end
        self._closed = False
        self._broken: str | None = None
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    @property
    def broken(self) -> str | None:
        """Why nothing is written any more, until the process is started anew; None while all is well."""
        return self._broken

    def run(self, work: Callable[[Records], T]) -> T:
        """Raises what the work raises, Conflict, or Unavailable (closed, broken, locked, full, connection lost)."""
        if threading.get_ident() == self._thread.ident:
            raise RuntimeError("a work must not call write(): it is in a transaction already")
        job = _Job(work)
        with self._gate:
            if self._closed:
                raise Unavailable("the store is closed")
            self._queue.put(job)
        return cast("T", job.future.result())

    def close(self) -> None:
        """Does what is queued, then ends. May be called twice."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        goes_on = True
        while goes_on:
            jobs, goes_on = self._next()
            if jobs:
                self._settle(jobs)

    def _next(self) -> tuple[list[_Job], bool]:
        """All that is queued, after waiting for the first; False: the end was reached."""
        found: list[_Job] = []
        job = self._queue.get()
        while job is not None:
            found.append(job)
            if len(found) >= _MOST_TOGETHER:
                return found, True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return found, True
        return found, False

    def _settle(self, jobs: Sequence[_Job]) -> None:
        """Run the jobs until each has an outcome."""
        try:
            outcomes = self._together(jobs)
        except _Undone as undone:
            self._after(undone, jobs)
        except Exception as error:  # noqa: BLE001 whoever waits must be told, whatever it is
            self._refuse(jobs, error)
        else:
            for job, outcome in zip(jobs, outcomes, strict=True):
                _deliver(job, outcome)

    def _together(self, jobs: Sequence[_Job]) -> list[_Outcome]:
        """One transaction. Raises _Undone, or Unavailable where the outcome of a commit is not known."""
        if self._broken:
            raise Unavailable(self._broken)
        records = self._transactions.begin()
        try:
            outcomes = [self._attempt(records, job) for job in jobs]
        except SQLAlchemyError as error:
            self._transactions.give_up()
            raise _Undone(error) from error
        self._commit()
        return outcomes

    def _attempt(self, records: Records, job: _Job) -> _Outcome:
        """Raises only what hurts the whole transaction."""
        self._transactions.say("SAVEPOINT work")
        try:
            outcome = _Outcome(job.work(records))
            self._transactions.end_work(records)
        except BaseException as error:
            if trouble(error):
                raise
            self._transactions.say("ROLLBACK TO SAVEPOINT work")
            outcome = _Outcome(error=in_domain_words(error))
        self._transactions.say("RELEASE SAVEPOINT work")
        return outcome

    def _commit(self) -> None:
        try:
            self._transactions.say("COMMIT")
        except SQLAlchemyError as error:
            self._transactions.give_up()
            if trouble(error) is Trouble.LOST:
                raise Unavailable(
                    "the connection was lost during a commit: whether it was kept is not known, look again"
                ) from error
            raise _Undone(error) from error

    def _after(self, undone: _Undone, jobs: Sequence[_Job]) -> None:
        """Alone, only the one at fault fails."""
        if undone.trouble is Trouble.BROKEN:
            # After a failed fsync the page cache may say what the disk does not hold (security note C4).
            self._broken = f"{undone.words}; nothing is written any more: look at the disk, then start certline anew"
            self._refuse(jobs, Unavailable(self._broken))
        elif len(jobs) > 1:
            for job in jobs:
                self._settle([job])
        else:
            self._once_more(undone, jobs[0])

    def _once_more(self, undone: _Undone, job: _Job) -> None:
        job.tries += 1
        if undone.trouble in (Trouble.AGAIN, Trouble.LOST) and job.tries < _MOST_TRIES:
            self._settle([job])
        else:
            self._refuse([job], undone.words)

    def _refuse(self, jobs: Sequence[_Job], error: BaseException) -> None:
        for job in jobs:
            _deliver(job, _Outcome(error=error))


def _deliver(job: _Job, outcome: _Outcome) -> None:
    if outcome.error is None:
        job.future.set_result(outcome.result)
    else:
        job.future.set_exception(outcome.error)
