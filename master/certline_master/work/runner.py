"""The engine's loop: one thread finds what is due and hands it to worker threads; waits are due times, never blocked
threads.
"""

import heapq
import itertools
import logging
import queue
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import DomainError
from certline_master.domain.model import OrderWork
from certline_master.work.accounts import Accounts
from certline_master.work.answers import Answers
from certline_master.work.context import Context
from certline_master.work.driver import Driver
from certline_master.work.journey import Journey
from certline_master.work.lines import Lines
from certline_master.work.sweep import Sweep

LINES_AT_ONCE = 200
LINES_PER_TASK = 10

log = logging.getLogger("certline.work")


class Runner:
    """Runs orders, lines and sweeps until told to stop."""

    def __init__(self, context: Context) -> None:
        self._context = context
        accounts, answers = Accounts(context), Answers(context)
        self._driver = Driver(context, accounts, answers)
        self._lines = Lines(context, accounts)
        self._sweep = Sweep(context, answers)
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._waiting: list[tuple[datetime, int, Journey]] = []
        self._held: dict[str, Journey] = {}
        self._lines_in_hand: set[str] = set()
        self._sweeping = False
        self._sequence = itertools.count()
        self._store_look: datetime | None = None  # when to ask the store again; None: at once
        self._leases_renewed: datetime | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Free what a former life of this worker held, then begin."""
        self._context.store.write(lambda records: records.orders.release_all(SYSTEM, self._context.worker))
        self._stop_listening = self._context.bell.listen("work", self.look_now)
        names = [("engine", self._loop)] + [(f"worker-{n}", self._work) for n in range(self._context.limits.threads)]
        self._threads = [threading.Thread(target=target, name=name, daemon=True) for name, target in names]
        for thread in self._threads:
            thread.start()

    def stop(self, within: float = 5.0) -> None:
        """Let every worker finish the request it is in, record it, and free the leases; at most `within` seconds in
        all.
        """
        self._context.stopping.set()
        self._stop_listening()
        self._wake.set()
        for _ in range(self._context.limits.threads):
            self._tasks.put(None)
        deadline = self._context.clock.monotonic() + within
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._context.clock.monotonic()))
        self._context.store.write(lambda records: records.orders.release_all(SYSTEM, self._context.worker))

    def look_now(self) -> None:
        """Something may be due: ask the store at once."""
        self._store_look = None
        self._wake.set()

    # --- the finding thread ---

    def _loop(self) -> None:
        while not self._context.stopping.is_set():
            self._wake.clear()
            now = self._context.clock.now()
            try:
                self._resume_waiting(now)
                self._renew_leases(now)
                if self._store_look is None or self._store_look <= now:
                    self._ask_store(now)
            except DomainError as fault:
                log.error("the engine's turn failed; it goes on", extra={"error": str(fault)})
                self._store_look = now + timedelta(seconds=1)
            self._context.clock.pause(self._pause(), self._wake)

    def _pause(self) -> float:
        now = self._context.clock.now()
        looks = [self._store_look or now]
        with self._lock:
            if self._waiting:
                looks.append(self._waiting[0][0])
        return max(0.0, min((min(looks) - now).total_seconds(), self._context.limits.lease.total_seconds() / 3))

    def _resume_waiting(self, now: datetime) -> None:
        with self._lock:
            while self._waiting and self._waiting[0][0] <= now:
                journey = heapq.heappop(self._waiting)[2]
                self._tasks.put(self._task(journey))

    def _ask_store(self, now: datetime) -> None:
        """One look for all that is due; then the next look is at the earliest due time, a ring of the bell, or the
        idle time.
        """
        self._store_look = now + self._context.limits.idle_look
        with self._context.store.read() as records:
            due = records.orders.next_due(SYSTEM)
            lines = records.lines.due(SYSTEM, now, LINES_AT_ONCE)
        if due is not None and due > now:
            self._store_look = min(self._store_look, due)
            return
        if due is None:
            return
        self._take_lines(lines)
        taken = self._claim(now)
        self._start_sweep()
        if taken or lines:
            self._store_look = None if len(lines) == LINES_AT_ONCE else now + timedelta(milliseconds=50)
        else:
            self._store_look = now + timedelta(milliseconds=200)

    def _take_lines(self, line_ids: list[str]) -> None:
        with self._lock:
            fresh = [line_id for line_id in line_ids if line_id not in self._lines_in_hand]
            self._lines_in_hand.update(fresh)
        for start in range(0, len(fresh), LINES_PER_TASK):
            batch = fresh[start : start + LINES_PER_TASK]
            self._tasks.put(lambda batch=batch: self._turn_lines(batch))  # type: ignore[misc]

    def _claim(self, now: datetime) -> list[OrderWork]:
        limits = self._context.limits
        room = limits.orders_at_once - len(self._held)
        if room <= 0:
            return []
        works = self._context.store.write(
            lambda records: records.orders.claim(
                SYSTEM,
                self._context.worker,
                now=now,
                lease=limits.lease,
                limit=room,
                in_flight_most=limits.orders_at_once,
            )
        )
        for work in works:
            journey = Journey(work)
            with self._lock:
                self._held[work.order.id] = journey
            self._tasks.put(self._task(journey))
        return works

    def _start_sweep(self) -> None:
        with self._lock:
            if self._sweeping:
                return
            self._sweeping = True
        self._tasks.put(self._turn_sweep)

    def _renew_leases(self, now: datetime) -> None:
        """Three times per lease; an order that is no longer ours is dropped (its next write would be refused)."""
        third = self._context.limits.lease / 3
        if self._leases_renewed is not None and now < self._leases_renewed + third:
            return
        self._leases_renewed = now
        with self._lock:
            held = list(self._held)
        if not held:
            return
        lease = self._context.limits.lease
        ours = self._context.store.write(
            lambda records: records.orders.renew(SYSTEM, self._context.worker, held, now=now, lease=lease)
        )
        with self._lock:
            for lost in set(held) - set(ours):
                self._held.pop(lost, None)
            self._waiting = [entry for entry in self._waiting if entry[2].order.id in self._held]
            heapq.heapify(self._waiting)

    # --- the worker threads ---

    def _work(self) -> None:
        while not self._context.stopping.is_set():
            task = self._tasks.get()
            if task is None:
                return
            try:
                task()
            except DomainError as fault:
                log.error("a task failed; it is tried again", extra={"error": str(fault)})
            except Exception:  # an error of ours must not end a worker thread: it is told, the order's lease runs out
                log.exception("a task broke")

    def _task(self, journey: Journey) -> Callable[[], None]:
        return lambda: self._drive(journey)

    def _drive(self, journey: Journey) -> None:
        held = False
        try:
            held = self._driver.drive(journey)
        finally:
            with self._lock:
                if held:
                    heapq.heappush(self._waiting, (journey.order.due, next(self._sequence), journey))
                else:
                    self._held.pop(journey.order.id, None)
            if held:
                self._wake.set()
            else:
                self.look_now()

    def _turn_lines(self, line_ids: list[str]) -> None:
        try:
            self._lines.turn(line_ids)
        finally:
            with self._lock:
                self._lines_in_hand.difference_update(line_ids)
            self.look_now()

    def _turn_sweep(self) -> None:
        try:
            self._sweep.turn()
        finally:
            with self._lock:
                self._sweeping = False
