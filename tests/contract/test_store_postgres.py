"""What a store on Postgres does when the server dies, its connections are cut, or two masters meet (C2)."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from sqlalchemy import create_engine

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Unavailable
from certline_master.domain.ports import Records
from certline_master.store.opening import SqlStore
from certline_master.store.schema import migrate
from tests.contract.store_bed import StoreBed
from tests.testbed.parts import require
from tests.testbed.postgres import postgres_server


@pytest.fixture
def postgres_bed(new_postgres_database: Callable[[], str]) -> Iterator[StoreBed]:
    with StoreBed(new_postgres_database()) as made:
        yield made


def _both(number: int, who: str) -> Callable[[Records], None]:
    def write(records: Records) -> None:
        records.instance.set(SYSTEM, f"one-{who}", str(number))
        records.instance.set(SYSTEM, f"other-{who}", str(number))

    return write


class _Writer(threading.Thread):
    """Writes ever higher numbers and notes the last that was said to be kept, and the refusals."""

    def __init__(self, store: SqlStore, who: str, stop: threading.Event) -> None:
        super().__init__()
        self.who, self.kept, self.tried, self.refusals = who, 0, 0, 0
        self._store, self._stop_asked = store, stop

    def run(self) -> None:
        for number in count(1):
            if self._stop_asked.is_set():
                return
            self.tried = number
            try:
                self._store.write(_both(number, self.who))
                self.kept = number
            except Unavailable:
                self.refusals += 1


def test_a_killed_server_loses_nothing_that_was_said_to_be_kept_and_writing_goes_on_by_itself() -> None:
    require("postgres")
    with postgres_server() as server:
        url = server.new_database()
        migrate(url)
        with StoreBed(url) as bed:
            stop = threading.Event()
            writers = [_Writer(bed.store, str(number), stop) for number in range(8)]
            for writer in writers:
                writer.start()
            _wait(lambda: all(writer.kept >= 20 for writer in writers))
            server.kill9()
            _wait(lambda: all(writer.refusals for writer in writers))
            with pytest.raises(Unavailable), bed.store.read() as records:
                records.instance.get(SYSTEM, "one-0")
            server.restart()
            before = [writer.kept for writer in writers]
            _wait(lambda: all(writer.kept > past for writer, past in zip(writers, before, strict=True)))
            stop.set()
            for writer in writers:
                writer.join()
            _check(bed, writers)


def _wait(until: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(3_000):
        if until():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come to that within 30 s")


def _check(bed: StoreBed, writers: list[_Writer]) -> None:
    with bed.store.read() as records:
        for writer in writers:
            one, other = (records.instance.get(SYSTEM, f"{key}-{writer.who}") for key in ("one", "other"))
            assert one == other
            assert writer.kept <= int(one or 0) <= writer.tried


def _cut_connections(bed: StoreBed) -> None:
    engine = create_engine(bed.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    engine.dispose()


def test_idle_connections_that_were_cut_are_made_again_unnoticed(postgres_bed: StoreBed) -> None:
    postgres_bed.read(lambda records: records.instance.get(SYSTEM, "x"))
    _cut_connections(postgres_bed)
    assert postgres_bed.read(lambda records: records.instance.get(SYSTEM, "x")) is None
    postgres_bed.write(_both(1, "me"))
    assert postgres_bed.read(lambda records: records.instance.get(SYSTEM, "one-me")) == "1"


def test_a_connection_lost_before_the_commit_runs_the_work_again(postgres_bed: StoreBed) -> None:
    runs: list[int] = []

    def work(records: Records) -> int:
        runs.append(1)
        records.instance.set(SYSTEM, "runs", str(len(runs)))
        if len(runs) == 1:
            _cut_connections(postgres_bed)
        records.instance.set(SYSTEM, "done", "yes")
        return len(runs)

    assert postgres_bed.write(work) == 2
    assert postgres_bed.read(lambda records: records.instance.get(SYSTEM, "runs")) == "2"


def test_a_commit_whose_outcome_is_unknown_is_said_to_be_so_and_not_repeated(postgres_bed: StoreBed) -> None:
    runs: list[int] = []

    def work(records: Records) -> None:
        runs.append(1)
        records.instance.set(SYSTEM, "runs", str(len(runs)))

    store = postgres_bed.store
    said = store._transactions.say

    def say(statement: str) -> None:
        if statement == "COMMIT":
            _cut_connections(postgres_bed)
        said(statement)

    store._transactions.say = say  # type: ignore[method-assign]  # the wire is cut just as COMMIT goes out
    with pytest.raises(Unavailable, match="whether it was kept is not known, look again"):
        store.write(work)
    assert len(runs) == 1
    store._transactions.say = said  # type: ignore[method-assign]
    store.write(work)
    assert postgres_bed.read(lambda records: records.instance.get(SYSTEM, "runs")) == "2"


def test_a_deadlock_between_two_masters_is_run_again(postgres_bed: StoreBed) -> None:
    second = postgres_bed.second_master()
    for key in ("a", "b"):
        postgres_bed.write(lambda records, key=key: records.instance.set(SYSTEM, key, "0"))  # type: ignore[misc]
    met = threading.Barrier(2, timeout=20)

    def crossing(first: str, then: str) -> Callable[[Records], int]:
        runs: list[int] = []

        def work(records: Records) -> int:
            runs.append(1)
            records.instance.set(SYSTEM, first, "1")
            if len(runs) == 1:
                met.wait()
            records.instance.set(SYSTEM, then, "1")
            return len(runs)

        return work

    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(postgres_bed.write, crossing("a", "b"))
        other = threads.submit(second.write, crossing("b", "a"))
        assert sorted([one.result(), other.result()]) == [1, 2]


def test_a_lock_that_is_held_too_long_is_told_and_stops_no_other(
    new_postgres_database: Callable[[], str],
) -> None:
    with StoreBed(f"{new_postgres_database()}&options=-c%20lock_timeout%3D200ms") as bed:
        bed.write(_both(1, "me"))
        engine = create_engine(bed.url.partition("&options")[0])
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE instance SET value = 'held' WHERE key = 'one-me'")
            with pytest.raises(Unavailable, match="lock timeout"):
                bed.write(_both(2, "me"))
            bed.write(_both(1, "you"))
        engine.dispose()
        bed.write(_both(3, "me"))


def test_a_server_that_is_away_is_told_at_the_start(new_postgres_database: Callable[[], str]) -> None:
    elsewhere = new_postgres_database().partition("?")[0] + "?host=%2Fnowhere"
    with pytest.raises(Unavailable, match="cannot do this now: connection"):
        migrate(elsewhere)
