"""A runner with its real threads on a real store, with a fake CA and solver, and what it takes to watch it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Version
from certline_master.domain.ports import Directory, Records, Store
from certline_master.store.bell import LocalBell
from certline_master.work.context import Context, Limits
from certline_master.work.runner import Runner
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.keys import KeyType, generate
from tests.fakes import engine
from tests.fakes.ca import FakeAuthorities, FakeCa
from tests.fakes.dns import FakeDnsView
from tests.fakes.solver import FakeSolver

T = TypeVar("T")

KEY = generate(KeyType.ECDSA_P256)


class ShiftedClock(SystemClock):
    """The machine's clock, whose wall clock an operator may set."""

    shift = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.shift


class WatchedStore:
    """A store that counts its looks, may refuse, and may do something when a look has ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0
        self.refuses_reads: list[Exception] = []
        self.refuses_writes: Exception | None = None
        self.after_reads: list[Callable[[], None]] = []

    @contextmanager
    def read(self) -> Iterator[Records]:
        self.reads += 1
        if self.refuses_reads:
            raise self.refuses_reads.pop()
        with self._store.read() as records:
            yield records
        if self.after_reads:
            self.after_reads.pop()()

    def write(self, work: Callable[[Records], T]) -> T:
        if self.refuses_writes is not None:
            raise self.refuses_writes
        return self._store.write(work)

    def close(self) -> None:
        self._store.close()


class CountingCa(FakeCa):
    """A CA that knows how many orders were open at once, and may keep who asks for its directory waiting."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.most_open = 0
        self.answers = threading.Event()
        self.answers.set()

    def directory(self) -> Directory:
        self.answers.wait(20)
        return super().directory()

    def open(self, *asked: Any) -> Any:
        order = super().open(*asked)
        self.most_open = max(self.most_open, sum(not one.chain for one in self.orders.values()))
        return order


@dataclass
class Running:
    """One master's runner, not started. Others may run on the same store and CA."""

    real_store: Store
    clock: ShiftedClock = field(default_factory=ShiftedClock)
    worker: str = "one"
    limits: Limits = field(default_factory=lambda: Limits(threads=8))

    def __post_init__(self) -> None:
        self.store, self.bell, self.solver = WatchedStore(self.real_store), LocalBell(), FakeSolver()
        self.ca = CountingCa(self.clock)
        self.runner = self.another()

    def another(self, **changes: Any) -> Runner:
        """A runner of the same world: what comes after this one, or works beside it."""
        limits = replace(self.limits, **changes.pop("limits", {}))
        solvers = {"rfc2136": self.solver}
        authorities, chance = FakeAuthorities(self.ca), SystemChance()
        worker = changes.pop("worker", self.worker)
        return Runner(
            Context(self.store, authorities, solvers, FakeDnsView(), self.bell, self.clock, chance, worker, limits)
        )

    def want(self, *lines: str, rings: bool = True) -> None:
        for line in lines:
            engine.want(self.real_store, line, (f"{line}.example.com",), KEY, self.clock.now())
        if rings:
            self.bell.ring("work")

    def live(self, lines: Sequence[str]) -> dict[str, Version]:
        with self.real_store.read() as records:
            return records.versions.live(SYSTEM, [f"line-{line}" for line in lines])

    def wait_until_live(self, *lines: str) -> None:
        self.wait_until(lambda: len(self.live(lines)) == len(lines))

    def wait_until_quiet(self, *lines: str) -> None:
        """Live, swept, and their renewal known."""

        def is_quiet() -> bool:
            versions = self.live(lines).values()
            known = [certificate.renewal is not None for version in versions for certificate in version.certificates]
            return len(known) == len(lines) and all(known) and not self.solver.standing

        self.wait_until(is_quiet)

    def wait_until(self, is_so: Callable[[], bool], seconds: float = 20) -> None:
        never = threading.Event()
        deadline = self.clock.monotonic() + seconds
        while not is_so():
            assert self.clock.monotonic() < deadline, "it did not come about"
            never.wait(0.02)

    def reads_within(self, seconds: float) -> int:
        """How often the store is looked at while nothing happens."""
        before = self.store.reads
        threading.Event().wait(seconds)
        return self.store.reads - before
