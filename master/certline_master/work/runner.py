"""The engine's loop: one thread finds what is due and hands it to worker threads; waits are due times, never blocked
threads.
"""

import heapq
import itertools
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import DomainError
from certline_master.work.accounts import Accounts
from certline_master.work.answers import Answers
from certline_master.work.aside import AsideThread
from certline_master.work.context import Context
from certline_master.work.driver import Driver
from certline_master.work.journey import Journey
from certline_master.work.lines import Lines
from certline_master.work.revoking import Revoking
from certline_master.work.sweep import Sweep
from certline_master.work.tlsa import PENDING, Tlsa
from certline_master.work.watch import EVERY, Watch

LINES_AT_ONCE = 200
LINES_PER_TASK = 10
SOON = timedelta(milliseconds=50)  # more may be due than one look takes
NO_ROOM = timedelta(milliseconds=200)  # what is due is in hand, or there is no room for it; a task that ends rings
AFTER_A_FAULT = timedelta(seconds=1)
GRACE = 0.5  # seconds between TERM and KILL for what runs beside an order, when we stop

log = logging.getLogger("certline.work")


@dataclass(slots=True)
class _Beat:
    """Work that is looked for from time to time, in one thread at a time."""

    every: timedelta
    turn: Callable[[], object]  # what it returns tells whether there may be more to do for others
    due: float
    running: bool = False


class Runner:
    """Runs orders, lines and sweeps until told to stop."""

    def __init__(self, context: Context) -> None:
        self._context = context
        accounts, answers = Accounts(context), Answers(context)
        self._driver = Driver(context, accounts, answers)
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._aside = AsideThread(context.clock, context.stopping, self._tasks.empty)
        self._lines = Lines(context, accounts, self._aside)
        self._sweep = Sweep(context, answers)
        self._revoking = Revoking(context, accounts)
        moment = self._context.clock.monotonic()
        self._beats = (_Beat(EVERY, Watch(context).turn, moment), _Beat(PENDING, Tlsa(context).turn, moment))
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, Journey]] = []  # by the moment they are due
        self._held: dict[str, Journey] = {}
        self._lines_in_hand: set[str] = set()
        self._sweeping = False
        self._sequence = itertools.count()
        # Moments are the monotonic clock's: the wall clock may be set, and nothing may stand still because of that.
        self._store_look = self._leases_due = self._calm_until = self._context.clock.monotonic()
        self._rung = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Free what a former life of this worker held, then begin."""
        self._context.store.write(lambda records: records.orders.release_all(SYSTEM, self._context.worker))
        self._stop_listening = self._context.bell.listen("work", self.look_now)
        names = [("engine", self._loop), ("aside", self._aside.run)]
        names += [(f"worker-{n}", self._work) for n in range(self._context.limits.threads)]
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
        self._aside.stop()
        for _ in range(self._context.limits.threads):
            self._tasks.put(None)
        deadline = self._context.clock.monotonic() + within
        for thread in self._threads:
            thread.join(max(0.0, deadline - self._context.clock.monotonic()))
        self._driver.stop(GRACE)
        try:
            self._context.store.write(lambda records: records.orders.release_all(SYSTEM, self._context.worker))
        except DomainError as fault:
            log.error("the leases could not be freed; they run out", extra={"error": str(fault)})

    def look_now(self) -> None:
        """Something may be due: ask the store at once."""
        self._rung.set()
        self._wake.set()

    # --- the finding thread ---

    def _loop(self) -> None:
        while not self._context.stopping.is_set():
            self._wake.clear()
            try:
                self._turn(self._context.clock.monotonic())
            except DomainError as fault:
                log.error("the engine's turn failed; it goes on", extra={"error": str(fault)})
                self._calm_down()
            except Exception:  # an error of ours must not end the only thread that finds work
                log.exception("the engine's turn broke; it goes on")
                self._calm_down()
            self._context.clock.pause(self._pause(), self._wake)

    def _turn(self, moment: float) -> None:
        self._resume_waiting(moment)
        self._renew_leases(moment)
        self._start_beats(moment)
        if self._next_look() <= moment:
            self._rung.clear()  # before the look: what is written later rings again
            self._store_look = self._in(self._ask_store(self._context.clock.now()))

    def _next_look(self) -> float:
        return max(self._calm_until, 0.0 if self._rung.is_set() else self._store_look)

    def _calm_down(self) -> None:
        """What failed would fail again at once, and rings would call for it."""
        self._calm_until = self._store_look = self._in(AFTER_A_FAULT)

    def _in(self, pause: timedelta) -> float:
        return self._context.clock.monotonic() + pause.total_seconds()

    def _pause(self) -> float:
        looks = [self._next_look(), self._leases_due, *(beat.due for beat in self._beats)]
        with self._lock:
            if self._waiting:
                looks.append(self._waiting[0][0])
        return max(0.0, min(looks) - self._context.clock.monotonic())

    def _resume_waiting(self, moment: float) -> None:
        with self._lock:
            while self._waiting and self._waiting[0][0] <= moment:
                self._tasks.put(self._task(heapq.heappop(self._waiting)[2]))

    def _ask_store(self, now: datetime) -> timedelta:
        """One look for all that is due; how long until the next one, unless the bell rings."""
        idle = self._context.limits.idle_look
        with self._context.store.read() as records:
            due = records.orders.next_due(SYSTEM)
            lines = records.lines.due(SYSTEM, now, LINES_AT_ONCE) if due and due <= now else []
        if due is None or due > now:
            return min(idle, due - now) if due else idle
        found = self._take_lines(lines) + self._claim(now)
        self._start_sweep()
        return SOON if found else NO_ROOM

    def _take_lines(self, line_ids: list[str]) -> int:
        """Hand out those that are not in hand; their number."""
        with self._lock:
            fresh = [line_id for line_id in line_ids if line_id not in self._lines_in_hand]
            self._lines_in_hand.update(fresh)
        for start in range(0, len(fresh), LINES_PER_TASK):
            batch = fresh[start : start + LINES_PER_TASK]
            self._tasks.put(partial(self._turn_lines, batch))
        return len(fresh)

    def _claim(self, now: datetime) -> int:
        """Take orders that are due, as far as there is room; their number."""
        limits = self._context.limits
        room = limits.orders_at_once - len(self._held)
        if room <= 0:
            return 0
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
        return len(works)

    def _start_sweep(self) -> None:
        with self._lock:
            if self._sweeping:
                return
            self._sweeping = True
        self._tasks.put(self._turn_sweep)

    def _start_beats(self, moment: float) -> None:
        for beat in self._beats:
            with self._lock:
                if moment < beat.due:
                    continue
                beat.due = self._in(beat.every)
                if beat.running:
                    continue
                beat.running = True
            self._tasks.put(partial(self._turn_beat, beat))

    def _renew_leases(self, moment: float) -> None:
        """Three times per lease; an order that is no longer ours is dropped (its next write would be refused)."""
        if moment < self._leases_due:
            return
        self._leases_due = self._in(self._context.limits.lease / 3)
        with self._lock:
            held = list(self._held)
        if not held:
            return
        now, lease = self._context.clock.now(), self._context.limits.lease
        ours = self._context.store.write(
            lambda records: records.orders.renew(SYSTEM, self._context.worker, held, now=now, lease=lease)
        )
        self._driver.let_go(set(held) - set(ours))
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
                self._calm_down()
            except Exception:  # an error of ours must not end a worker thread: it is told, the order's lease runs out
                log.exception("a task broke")
                self._calm_down()

    def _task(self, journey: Journey) -> Callable[[], None]:
        return lambda: self._drive(journey)

    def _drive(self, journey: Journey) -> None:
        if self._held.get(journey.order.id) is not journey:
            return  # its lease was lost while it stood in the queue
        held = False
        try:
            held = self._driver.drive(journey)
        finally:
            self._put_back(journey) if held else self._let_go(journey)

    def _put_back(self, journey: Journey) -> None:
        moment = self._in(journey.order.due - self._context.clock.now())
        with self._lock:
            heapq.heappush(self._waiting, (moment, next(self._sequence), journey))
        self._wake.set()

    def _let_go(self, journey: Journey) -> None:
        """Unless the order has been taken anew meanwhile: then it is that journey's."""
        with self._lock:
            if self._held.get(journey.order.id) is journey:
                del self._held[journey.order.id]
        self.look_now()

    def _turn_lines(self, line_ids: list[str]) -> None:
        try:
            self._lines.turn(line_ids)
        finally:
            with self._lock:
                self._lines_in_hand.difference_update(line_ids)
            self.look_now()

    def _turn_beat(self, beat: "_Beat") -> None:
        try:
            if beat.turn():
                self.look_now()
        finally:
            with self._lock:
                beat.running = False

    def _turn_sweep(self) -> None:
        try:
            self._sweep.turn()
            self._revoking.turn()
        finally:
            with self._lock:
                self._sweeping = False
