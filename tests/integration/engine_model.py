"""One or two engines on one store that crash and stand still anywhere, beside a model of what was asked of them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Row, create_engine, text

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Line, Version, VersionState
from certline_master.domain.ports import Records, RenewalWindow, Store
from certline_shared.certificates import ari_certificate_id, read_chain
from certline_shared.failpoints import watched
from certline_shared.keys import KeyType, PrivateKey, generate, spki_sha256
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine
from tests.fakes.killing import Killed, Switch, WatchedCa, WatchedSolver, WatchedStore, kill

MOST_TURNS = 30_000
BEYOND_A_LEASE = timedelta(hours=2)  # the fake engine's leases are an hour long
LIFETIME = timedelta(days=90)
SOONEST_RENEWAL = timedelta(days=58)  # by the CA's own rule, a third before the end

KEYS = [generate(KeyType.ECDSA_P256) for _ in range(4)]


@dataclass
class Wish:
    """What a line should be, and how many certificates it may have cost so far (renewals apart)."""

    names: tuple[str, ...]
    key: PrivateKey
    asked: int = 1
    windows: int = 0  # how often the CA was made to ask for a renewal
    had_live: bool = False
    numbers: dict[int, datetime] = field(default_factory=dict)


class Model:
    """Rules of a state machine call its methods; `check` holds at every moment, `settle` once all faults are healed."""

    def __init__(self, stores: Sequence[Store], url: str, clock: FakeClock) -> None:
        self.clock, self.database = clock, create_engine(url)
        self.switch = Switch()
        self.ca, self.solver = WatchedCa(clock, self.switch), WatchedSolver(self.switch)
        chance = SeededChance()
        self.engines = [
            Engine(WatchedStore(store, self.switch), clock, chance, self.ca, self.solver, worker=f"engine-{number}")
            for number, store in enumerate(stores)
        ]
        self._turning = self.engines[0]
        self._turning.configure()
        self.wishes: dict[str, Wish] = {}
        self.crashes = self.taken_over = self.lost_answers = self.forgotten = self.deleted = 0

    # --- what people and followers do ---

    def want(self, line: str, names: tuple[str, ...]) -> None:
        if line not in self.wishes:
            self.wishes[line] = Wish(names, KEYS[0])
            self.engines[0].want(line, names, KEYS[0])
        elif self.wishes[line].names != names:
            wish = self.wishes[line]
            self._change(line, names=names)
            wish.names, wish.asked = names, wish.asked + 1
            self.engines[0].request(line, names, wish.key)

    def new_key(self, line: str) -> None:
        wish = self.wishes[line]
        wish.key, wish.asked = KEYS[(KEYS.index(wish.key) + 1) % len(KEYS)], wish.asked + 1
        self.engines[0].request(line, wish.names, wish.key)

    def force(self, line: str) -> None:
        if line not in self.wishes:
            return
        self._change(line, forced=True)
        self.wishes[line].asked += 1

    def delete(self, line: str) -> None:
        self.engines[0].store.write(lambda records: records.lines.delete(SYSTEM, line))
        del self.wishes[line]
        self.deleted += 1

    def ask_for_renewal(self, line: str) -> None:
        """The CA wants it renewed at once, from the next time it is asked."""
        version = self.engines[0].live(line)
        if version is not None:
            now = self.clock.now()
            window = RenewalWindow(now - timedelta(days=2), now - timedelta(days=1), None, now + timedelta(hours=6))
            self.ca.windows[ari_certificate_id(version.certificates[0].chain or "")] = window
            self.wishes[line].windows += 1

    def _change(self, line: str, **change: object) -> None:
        def write(records: Records) -> None:
            former = records.lines.get(SYSTEM, line)
            changed: Line = replace(former, next_look=self.clock.now(), **change)  # type: ignore[arg-type]
            records.lines.save(SYSTEM, changed)

        self.engines[0].store.write(write)

    # --- what happens to the engines ---

    def run(self, span: timedelta) -> None:
        """All engines turn and time passes, for this span at least."""
        horizon = self.clock.now() + span
        for _ in range(MOST_TURNS):
            for engine in self.engines:
                self._survive(engine, engine.turn)
            if self.clock.now() >= horizon:
                return
            dues = [due for engine in self.engines if (due := engine._next_due())]
            due = min(dues, default=horizon)
            self.clock.advance(max(min(due, horizon) - self.clock.now(), timedelta(0)))
        raise AssertionError("the engines do not come to rest")

    def crash(self, at: int, span: timedelta) -> None:
        """One engine dies at the n-th place that it passes, and starts anew; at the end of the span if not before."""
        self.switch.arm(at, kill)
        self.run(span)
        self.switch.disarm()

    def pause(self, at: int, span: timedelta) -> None:
        """An engine stands still at the n-th place, beyond its lease, while the others go on."""
        self.switch.arm(at, self._stand_still)
        self.run(span)
        self.switch.disarm()

    def _stand_still(self, place: str) -> None:  # noqa: ARG002 a Switch tells it
        self.taken_over += sum(row.worker == self._turning.worker for row in self._rows("SELECT worker FROM orders"))
        standing, self.engines = self._turning, [one for one in self.engines if one is not self._turning]
        self.clock.advance(BEYOND_A_LEASE)
        if self.engines:
            self.run(timedelta(minutes=5))
        self.engines = [standing, *self.engines]
        self._turning = standing

    def _survive(self, engine: Engine, turn: Callable[[], None]) -> None:
        self._turning = engine
        try:
            with watched(self.switch.passed):
                turn()
        except Killed:
            self.crashes += 1
            engine.kill()
            if self.crashes % 2:  # as `serve` does on SQLite; without it the lease runs out first
                engine.store.write(lambda records: records.orders.release_all(SYSTEM, engine.worker))

    # --- what holds at every moment ---

    def check(self) -> None:
        self._check_orders()
        self._check_solver()
        for line, wish in self.wishes.items():
            self._check_line(wish, self.engines[0].versions(line))

    def _check_orders(self) -> None:
        live = self._rows("SELECT issuer_id, names, profile FROM orders WHERE state NOT IN ('issued', 'failed')")
        assert len(set(live)) == len(live), "two live orders for the same names"

    def _check_solver(self) -> None:
        known = {(row.record, row.value) for row in self._rows("SELECT record, value FROM challenges")}
        assert self.solver.standing <= known, "an answer stands that no ledger row knows"

    def _check_line(self, wish: Wish, versions: Sequence[Version]) -> None:
        live = [version for version in versions if version.state is VersionState.LIVE]
        assert len(live) <= 1, "two versions are live"
        assert live or not wish.had_live, "the live version is gone without another"
        wish.had_live = bool(live)
        numbers = {version.number: version.created for version in versions}
        fresh = sorted(set(numbers) - set(wish.numbers))
        assert wish.numbers.items() <= numbers.items(), "a version has changed or is gone"
        assert not fresh or not wish.numbers or min(fresh) > max(wish.numbers), "a version's number does not rise"
        wish.numbers = numbers
        for version in live:
            for certificate in version.certificates:
                facts = read_chain(certificate.chain or "")
                assert facts.spki_sha256 == certificate.spki_sha256
                assert facts.names == tuple(sorted(certificate.names))

    # --- what holds when all is quiet ---

    def settle(self) -> None:
        """Every fault is healed and time passes: all wishes come true, nothing is left over, nothing was done twice."""
        self.ca.heal()
        self.ca.validate, self.ca.retry_after = (lambda _: ""), None
        self.ca.validation_looks = self.ca.issuing_looks = self.solver.invisible_looks = 0
        self.solver.fail_next.clear()
        self.run(timedelta(days=2, hours=12))
        self.check()
        assert self.solver.standing == set(), "answers are left standing"
        for line, wish in self.wishes.items():
            self._check_wish(line, wish)
        self._check_nothing_twice()
        self._check_database()

    def _check_wish(self, line: str, wish: Wish) -> None:
        versions = self.engines[0].versions(line)
        live = self.engines[0].live(line)
        assert live is not None, f"{line} has no certificate: {self.engines[0].standing(line)}"
        assert set(live.certificates[0].names) == set(wish.names)
        assert live.certificates[0].spki_sha256 == spki_sha256(wish.key.public_key())
        assert not any(version.state is VersionState.ORDERED for version in versions), "an order is stuck"
        good = sorted((v for v in versions if v.certificates[0].chain), key=lambda version: version.number)
        asked = [version for version in good if not version.reason.startswith("renewal:")]
        assert len(asked) <= wish.asked, [version.reason for version in good]
        renewals = [pair for pair in pairwise(good) if pair[1].reason.startswith("renewal:")]
        early = sum(after.created - before.created < SOONEST_RENEWAL for before, after in renewals)
        assert early <= wish.windows, "renewed too soon"

    def _check_nothing_twice(self) -> None:
        ours: Counter[str] = Counter()
        for row in self._rows("SELECT url, state FROM orders WHERE url IS NOT NULL"):
            ours[row.url] += row.state == "issued"
        orphans = [order for order in self.ca.orders.values() if order.url not in ours]
        assert len(orphans) <= self.crashes + self.taken_over + self.lost_answers
        assert not any(order.chain for order in orphans), "a certificate was issued for an order that nobody knows"
        assert max(ours.values(), default=0) <= 1, "one order gave two versions"
        unused = [order for order in self.ca.orders.values() if order.chain and not ours[order.url]]
        assert not unused or self.forgotten or self.deleted, "a certificate was issued and not used"

    def _check_database(self) -> None:
        if self.database.dialect.name == "sqlite":
            assert [str(row[0]) for row in self._rows("PRAGMA integrity_check")] == ["ok"]
            assert self._rows("PRAGMA foreign_key_check") == []
        with self.engines[0].store.read() as records:
            for row in self._rows("SELECT id, kind FROM secrets"):
                assert records.secrets.read(SYSTEM, row.kind, row.id)

    def _rows(self, statement: str) -> "list[Row[Any]]":
        with self.database.connect() as connection:
            return list(connection.execute(text(statement)))

    def close(self) -> None:
        self.database.dispose()
