"""Works are durable, apart from each other, and share commits."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, NotFound, Unavailable
from certline_master.domain.ports import Records
from certline_master.store.opening import SqlStore
from tests.contract.store_bed import StoreBed


def _set(key: str, value: str = "yes") -> Callable[[Records], None]:
    return lambda records: records.instance.set(SYSTEM, key, value)


def _get(store: SqlStore, key: str) -> str | None:
    with store.read() as records:
        return records.instance.get(SYSTEM, key)


def test_what_was_written_is_there_after_the_store_is_opened_anew(bed: StoreBed) -> None:
    bed.write(_set("colour", "blue"))
    bed.store.close()
    bed.store = bed.open()
    assert _get(bed.store, "colour") == "blue"


def test_the_result_of_a_work_is_handed_back(bed: StoreBed) -> None:
    assert bed.write(lambda records: records.secrets.add(SYSTEM, "tsig", b"k")) != ""


def test_a_work_that_raises_is_undone_and_raises_in_its_caller(bed: StoreBed) -> None:
    def fails(records: Records) -> None:
        _set("half")(records)
        raise ValueError("the work's own trouble")

    with pytest.raises(ValueError, match="own trouble"):
        bed.write(fails)
    assert _get(bed.store, "half") is None


def test_a_work_that_raises_does_not_undo_the_works_committed_with_it(bed: StoreBed) -> None:
    with ThreadPoolExecutor(9) as threads:
        with writer_held(bed.store) as queued:
            works = [threads.submit(bed.write, _set(f"good-{number}")) for number in range(4)]
            bad = threads.submit(bed.write, _failing)
            works += [threads.submit(bed.write, _set(f"good-{number}")) for number in range(4, 8)]
            queued(9)
        for work in works:
            work.result()
        with pytest.raises(NotFound):
            bad.result()
    assert [_get(bed.store, f"good-{number}") for number in range(8)] == ["yes"] * 8
    assert _get(bed.store, "bad") is None


def _failing(records: Records) -> None:
    _set("bad")(records)
    records.lines.get(SYSTEM, "no-such-line")


@contextmanager
def writer_held(store: SqlStore) -> Iterator[Callable[[int], None]]:
    """The writer thread is busy with a work until the block ends; what is given waits until so many more are queued."""
    go, busy = threading.Event(), threading.Event()

    def wait(_records: Records) -> None:
        busy.set()
        assert go.wait(30)

    def queued(wanted: int) -> None:
        while store._writer._queue.qsize() < wanted:
            assert not go.wait(0.001)

    thread = threading.Thread(target=lambda: store.write(wait))
    thread.start()
    assert busy.wait(30)
    try:
        yield queued
    finally:
        go.set()
        thread.join(30)


def test_works_that_wait_together_share_a_transaction(bed: StoreBed) -> None:
    bound: list[Records] = []  # the records of each work: made afresh for each transaction
    with ThreadPoolExecutor(50) as threads:
        with writer_held(bed.store) as queued:
            works = [threads.submit(bed.write, bound.append) for _ in range(50)]
            queued(50)
        for work in works:
            work.result()
    assert len(bound) == 50
    assert len({id(records) for records in bound}) == 1


def test_fifty_writes_at_once_are_all_kept(bed: StoreBed) -> None:
    with ThreadPoolExecutor(50) as threads:
        list(threads.map(lambda number: bed.write(_set(f"k{number}", str(number))), range(50)))
    assert [_get(bed.store, f"k{number}") for number in range(50)] == [str(number) for number in range(50)]


def test_a_conflict_inside_a_work_leaves_it_able_to_go_on(bed: StoreBed) -> None:
    bed.follower("web-1")
    other = bed.follower("web-2")

    def carries_on(records: Records) -> str:
        with pytest.raises(Conflict):
            records.followers.save(SYSTEM, replace(other, name="web-1"))
        _set("went-on")(records)
        return "done"

    assert bed.write(carries_on) == "done"
    assert _get(bed.store, "went-on") == "yes"
    assert bed.read(lambda records: records.followers.by_id(SYSTEM, other.id)).name == "web-2"


def test_writing_through_a_look_is_refused(bed: StoreBed) -> None:
    with pytest.raises(Exception, match=r"read.?only"), bed.store.read() as records:
        records.instance.set(SYSTEM, "sneaky", "yes")
    assert _get(bed.store, "sneaky") is None


def test_a_look_is_of_one_moment(bed: StoreBed) -> None:
    bed.write(_set("colour", "blue"))
    with bed.store.read() as records:
        assert records.instance.get(SYSTEM, "colour") == "blue"
        bed.write(_set("colour", "red"))
        assert records.instance.get(SYSTEM, "colour") == "blue"
    assert _get(bed.store, "colour") == "red"


def test_a_write_inside_a_write_is_told_apart_from_a_hang(bed: StoreBed) -> None:
    with pytest.raises(RuntimeError, match="transaction already"):
        bed.write(lambda _records: bed.write(_set("never")))


def test_a_closed_store_refuses_writes_and_may_be_closed_again(bed: StoreBed) -> None:
    bed.store.close()
    with pytest.raises(Unavailable, match="closed"):
        bed.write(_set("late"))
    bed.store.close()


def test_works_queued_before_the_end_are_done(bed: StoreBed) -> None:
    with ThreadPoolExecutor(2) as threads:
        with writer_held(bed.store) as queued:
            last = threads.submit(bed.write, _set("in-time"))
            queued(1)
            closing = threads.submit(bed.store.close)
            queued(2)
        last.result()
        closing.result()
    bed.store = bed.open()
    assert _get(bed.store, "in-time") == "yes"
