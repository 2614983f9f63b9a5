"""What an SQLite store does when its process, its disk or its neighbour fails (security tests C1, C3, C4, C6)."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import make_url

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Unavailable
from certline_master.domain.ports import Records
from certline_master.store.opening import open_store
from certline_master.store.records import SqlRecords
from certline_master.store.schema import migrate
from tests.contract.store_bed import StoreBed
from tests.contract.test_store_writing import writer_held

ROOT = Path(__file__).parents[2]


def _path(bed: StoreBed) -> Path:
    return Path(str(make_url(bed.url).database))


def _victim(bed: StoreBed, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.contract.store_victim", bed.url, bed.kek.text, *more]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def _fact(bed: StoreBed, key: str) -> str | None:
    return bed.read(lambda records: records.instance.get(SYSTEM, key))


def test_what_was_said_to_be_kept_is_there_after_the_writer_was_killed(sqlite_bed: StoreBed) -> None:
    for said in (1, 20, 100):
        sqlite_bed.store.close()
        with _victim(sqlite_bed) as victim:
            assert victim.stdout is not None
            for number in range(1, said + 1):
                assert victim.stdout.readline() == f"{number}\n"
            victim.kill()
            last = int([str(said), *victim.stdout.read().split()][-1])
        sqlite_bed.store = sqlite_bed.open()  # its lock went with it
        one, other = _fact(sqlite_bed, "one"), _fact(sqlite_bed, "other")
        assert one == other
        assert int(one or 0) in (last, last + 1)  # the last may have been kept and not yet said
        with sqlite3.connect(_path(sqlite_bed)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


def test_a_second_master_on_the_same_file_is_refused(sqlite_bed: StoreBed) -> None:
    with pytest.raises(Unavailable, match=r"another certline process \(pid \d+\) is writing"):
        sqlite_bed.open()
    with pytest.raises(Unavailable, match="stop that process first, or use Postgres"):
        migrate(sqlite_bed.url)
    sqlite_bed.store.close()
    with _victim(sqlite_bed) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "1\n"
        with pytest.raises(Unavailable, match=f"pid {victim.pid}"):
            sqlite_bed.open()
        victim.kill()
    sqlite_bed.store = sqlite_bed.open()


def test_beside_a_running_master_one_may_look_and_make_a_single_change(sqlite_bed: StoreBed) -> None:
    beside = open_store(sqlite_bed.url, kek=None, clock=sqlite_bed.clock, chance=sqlite_bed.chance, exclusive=False)
    beside.write(lambda records: records.instance.set(SYSTEM, "from", "beside"))
    beside.close()
    assert _fact(sqlite_bed, "from") == "beside"


def test_a_disk_that_fails_ends_writing_for_good_but_not_reading(sqlite_bed: StoreBed) -> None:
    """What is in memory may not be what is on disk; only a new start can tell."""
    sqlite_bed.store.close()
    with _victim(sqlite_bed, "100000") as victim:
        assert victim.stdout is not None
        *numbers, first, second, read, broken = victim.stdout.read().splitlines()
    kept = numbers[-1]
    assert first.startswith("refused: the database cannot do this now: disk I/O error")
    assert second == first  # the disk was well again by then
    assert read == f"read: {kept}"
    assert "start certline anew" in broken
    sqlite_bed.store = sqlite_bed.open()
    assert _fact(sqlite_bed, "one") == _fact(sqlite_bed, "other") == kept


BIG = "x" * 1_000_000


def _needs_room(records: Records) -> None:
    """SQLite gives the database no more pages than it has, as on a full disk."""
    assert isinstance(records, SqlRecords)
    records.session.connection.exec_driver_sql("PRAGMA max_page_count = 1")
    records.instance.set(SYSTEM, "big", BIG)


def test_a_full_disk_refuses_writes_until_there_is_room_again(sqlite_bed: StoreBed) -> None:
    sqlite_bed.write(lambda records: records.instance.set(SYSTEM, "before", "kept"))
    with pytest.raises(Unavailable, match="full"):
        sqlite_bed.write(_needs_room)
    assert _fact(sqlite_bed, "before") == "kept"
    assert _fact(sqlite_bed, "big") is None
    assert sqlite_bed.store.broken is None
    sqlite_bed.write(lambda records: records.instance.set(SYSTEM, "big", BIG))
    assert _fact(sqlite_bed, "big") == BIG


def test_a_full_disk_refuses_only_the_work_that_needs_the_room(sqlite_bed: StoreBed) -> None:
    with ThreadPoolExecutor(2) as threads:
        with writer_held(sqlite_bed.store) as queued:
            big = threads.submit(sqlite_bed.write, _needs_room)
            small = threads.submit(sqlite_bed.write, lambda records: records.instance.set(SYSTEM, "small", "yes"))
            queued(2)
        small.result()
        with pytest.raises(Unavailable, match="full"):
            big.result()
    assert _fact(sqlite_bed, "small") == "yes"


def test_a_write_waits_for_another_process_and_gives_up_at_the_busy_limit(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certline_master.store.engine.BUSY_SECONDS", 0.3)
    with StoreBed(sqlite_url) as bed, ThreadPoolExecutor(1) as threads:
        neighbour = sqlite3.connect(_path(bed), isolation_level=None, check_same_thread=False)
        neighbour.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"):
            bed.write(lambda records: records.instance.set(SYSTEM, "late", "yes"))
        assert _fact(bed, "late") is None
        waiting = threads.submit(bed.write, lambda records: records.instance.set(SYSTEM, "in time", "yes"))
        neighbour.execute("COMMIT")
        waiting.result()
        neighbour.close()
        assert _fact(bed, "in time") == "yes"
