"""Work that nothing waits for: what is urgent first, the rest only while no worker has anything to do."""

import threading

from certline_master.work.aside import AsideThread
from tests.fakes.clock import FakeClock


def made(*, is_idle: bool = True) -> tuple[AsideThread, list[str], threading.Event]:
    stopping, done = threading.Event(), list[str]()
    return AsideThread(FakeClock(), stopping, lambda: is_idle), done, stopping


def test_what_is_urgent_comes_first() -> None:
    aside, done, stopping = made()
    aside("ahead", lambda: done.append("ahead"), False)
    aside("urgent", lambda: done.append("urgent"), True)
    aside("last", stopping.set, False)
    aside.run()
    assert done == ["urgent", "ahead"]


def test_while_workers_are_busy_only_what_is_urgent_is_done() -> None:
    stopping, done, busy = threading.Event(), list[str](), [True, True, True]
    aside = AsideThread(FakeClock(), stopping, lambda: not (busy and busy.pop()))
    aside("ahead", lambda: done.append("ahead"), False)
    aside("urgent", lambda: done.append(f"urgent, {len(busy)} looks left"), True)
    aside("last", stopping.set, False)
    aside.run()
    assert done == ["urgent, 3 looks left", "ahead"]


def test_a_task_that_is_in_hand_is_not_put_again_and_may_be_once_it_is_done() -> None:
    aside, done, stopping = made()

    def again() -> None:
        done.append("first")
        aside("key", lambda: done.append("dropped"), False)

    def second() -> None:
        done.append("second")
        stopping.set()

    aside("key", again, False)
    aside("key", lambda: done.append("dropped"), False)
    aside("then", lambda: aside("key", second, False), False)
    aside.run()
    assert done == ["first", "second"]


def test_a_task_that_breaks_ends_nothing() -> None:
    aside, done, stopping = made()

    def broken() -> None:
        raise ZeroDivisionError

    aside("broken", broken, False)
    aside("next", lambda: done.append("next"), False)
    aside("last", stopping.set, False)
    aside.run()
    assert done == ["next"]


def test_it_stops_without_doing_what_is_left() -> None:
    aside, done, _ = made(is_idle=False)
    aside("ahead", lambda: done.append("ahead"), False)
    aside.stop()
    aside.run()
    assert done == []
