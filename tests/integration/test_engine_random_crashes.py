"""Whatever is wished, fails and crashes in whatever order: the engine ends where it should, and does nothing twice.

CERTLINE_CRASH_EXAMPLES=2000 looks longer and for other examples at each run.
"""

import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from certline_master.domain.errors import CaRefused, CaUnreachable, SolverError
from certline_master.domain.model import FailureClass
from certline_master.store.kek import Kek
from certline_master.store.opening import SqlStore, open_store
from certline_master.store.schema import migrate
from tests.fakes.ca import Proof
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.integration.engine_model import Model

LOOKS_LONGER = os.environ.get("CERTLINE_CRASH_EXAMPLES")
SETTINGS = settings(
    max_examples=int(LOOKS_LONGER or 40),
    stateful_step_count=30,
    deadline=None,
    derandomize=LOOKS_LONGER is None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

LINES = st.sampled_from(["shop", "twin", "blog", "mail"])
NAMES = st.sampled_from(
    [
        ("shop.example.com",),
        ("example.com", "*.example.com"),
        ("a.example.com", "b.example.com"),
        ("b.example.com",),
    ]
)
REQUESTS = st.sampled_from(["newAccount", "newOrder", "authorization", "challenge", "order", "finalize", "certificate"])
SPANS = st.sampled_from([timedelta(seconds=1), timedelta(seconds=30), timedelta(minutes=15), timedelta(hours=7)])
PLACES = st.integers(1, 60)


class Engines(RuleBasedStateMachine):
    """What may happen to one engine on SQLite."""

    model: Model
    masters = 1

    @initialize(line=LINES, names=NAMES, reuses=st.booleans(), hands_out_again=st.booleans())
    def begin(self, line: str, names: tuple[str, ...], reuses: bool, hands_out_again: bool) -> None:
        self.model = self.make()
        self.model.ca.reuse_authorizations, self.model.ca.reuse_orders = reuses, hands_out_again
        self.model.want(line, names)

    def make(self) -> Model:
        clock, self.folder = FakeClock(), Path(tempfile.mkdtemp())
        url = f"sqlite:///{shutil.copyfile(template(), self.folder / 'certline.sqlite')}"
        self.stores = [opened(url, clock)]
        return Model(self.stores * self.masters, url, clock)

    def teardown(self) -> None:
        if not hasattr(self, "model"):
            return
        try:
            self.model.settle()
        finally:
            self.model.close()
            for store in self.stores:
                store.close()
            if hasattr(self, "folder"):
                shutil.rmtree(self.folder)

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "model"):
            self.model.check()

    # --- wishes ---

    @rule(line=LINES, names=NAMES)
    def want(self, line: str, names: tuple[str, ...]) -> None:
        self.model.want(line, names)

    @precondition(lambda self: bool(self.model.wishes))
    @rule(data=st.data(), what=st.sampled_from(["new_key", "force", "ask_for_renewal", "delete"]))
    def change(self, data: st.DataObject, what: str) -> None:
        getattr(self.model, what)(data.draw(st.sampled_from(sorted(self.model.wishes))))

    # --- faults ---

    @rule(kind=REQUESTS, times=st.integers(1, 4))
    def the_ca_is_away(self, kind: str, times: int) -> None:
        self.model.ca.fail(kind, CaUnreachable("503 Service Unavailable"), times=times)

    @rule(kind=REQUESTS)
    def an_answer_is_lost(self, kind: str) -> None:
        self.model.ca.fail(kind, CaUnreachable("connection reset"), is_answer_lost=True)
        self.model.lost_answers += 1

    @rule(kind=REQUESTS, hours=st.integers(1, 20))
    def the_ca_limits_us(self, kind: str, hours: int) -> None:
        later = self.model.clock.now() + timedelta(hours=hours)
        self.model.ca.fail(
            kind, CaRefused("rateLimited", "too many", FailureClass.RETRY_AT, status=429, retry_at=later)
        )

    @rule()
    def the_ca_forgets_the_account(self) -> None:
        self.model.ca.forget_accounts()
        self.model.forgotten += 1

    @rule(name=st.sampled_from(["shop.example.com", "b.example.com", ""]))
    def a_name_cannot_be_validated(self, name: str) -> None:
        self.model.ca.validate = lambda proof: _verdict(proof, name)

    @rule(looks=st.integers(0, 3), wait=st.sampled_from([None, timedelta(seconds=5)]))
    def the_ca_is_slow(self, looks: int, wait: timedelta | None) -> None:
        ca = self.model.ca
        ca.validation_looks = ca.issuing_looks = looks
        ca.retry_after = wait

    @rule(method=st.sampled_from(["present", "is_visible", "clean_up"]), times=st.integers(1, 3))
    def a_solver_fails(self, method: str, times: int) -> None:
        self.model.solver.fail_next.setdefault(method, []).extend([SolverError("the server is away")] * times)

    @rule(looks=st.integers(1, 6))
    def dns_is_slow(self, looks: int) -> None:
        self.model.solver.invisible_looks = looks

    # --- time ---

    @rule(span=SPANS)
    def time_passes(self, span: timedelta) -> None:
        self.model.run(span)

    @rule(days=st.sampled_from([1, 20, 70]))
    def the_master_is_off(self, days: int) -> None:
        self.model.clock.advance(timedelta(days=days))

    @rule(at=PLACES, span=SPANS, line=LINES)
    def crash(self, at: int, span: timedelta, line: str) -> None:
        self.model.force(line)
        self.model.crash(at, span)


class TwoEngines(Engines):
    """Two masters' engines on one store: one of them may also stand still beyond its lease."""

    masters = 2

    @rule(at=PLACES, span=SPANS, line=LINES)
    def pause(self, at: int, span: timedelta, line: str) -> None:
        self.model.force(line)
        self.model.pause(at, span)


def _verdict(proof: Proof, name: str) -> str:
    return "no TXT record" if proof.name == name else ""


def opened(url: str, clock: FakeClock, seed: str = "certline") -> SqlStore:
    store = open_store(url, kek=Kek(b"k" * 32), clock=clock, chance=SeededChance(seed))
    store.initialise()
    return store


_TEMPLATE: list[Path] = []


def template() -> Path:
    """A database at head, to be copied."""
    if not _TEMPLATE:
        _TEMPLATE.append(Path(tempfile.mkdtemp()) / "template.sqlite")
        migrate(f"sqlite:///{_TEMPLATE[0]}")
    return _TEMPLATE[0]


@pytest.mark.parametrize("machine", [Engines, TwoEngines])
def test_all_wishes_come_true_and_nothing_is_done_twice(machine: type[Engines]) -> None:
    """security.md A7"""
    run_state_machine_as_test(machine, settings=SETTINGS)
