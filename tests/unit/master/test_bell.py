"""The bell tells those who listen to a topic, and nobody else."""

import logging

import pytest

from certline_master.store.bell import LocalBell


def test_a_ring_is_heard_by_all_who_listen_to_that_topic() -> None:
    bell, heard = LocalBell(), list[str]()
    bell.listen("work", lambda: heard.append("one"))
    bell.listen("work", lambda: heard.append("two"))
    bell.listen("follower:1", lambda: heard.append("other"))
    bell.ring("work")
    bell.ring("nobody listens")
    assert heard == ["one", "two"]


def test_who_stopped_listening_hears_no_more() -> None:
    bell, heard = LocalBell(), list[str]()
    stop = bell.listen("work", lambda: heard.append("gone"))
    bell.listen("work", lambda: heard.append("stays"))
    stop()
    stop()
    bell.ring("work")
    assert heard == ["stays"]


def test_a_listener_may_stop_while_it_hears() -> None:
    bell, heard = LocalBell(), list[str]()

    def once() -> None:
        heard.append("once")
        stop()

    stop = bell.listen("work", once)
    bell.ring("work")
    bell.ring("work")
    assert heard == ["once"]


def test_a_listener_that_fails_is_logged_and_the_others_hear(caplog: pytest.LogCaptureFixture) -> None:
    bell, heard = LocalBell(), list[str]()

    def fails() -> None:
        raise RuntimeError("its own trouble")

    bell.listen("work", fails)
    bell.listen("work", lambda: heard.append("told"))
    with caplog.at_level(logging.ERROR):
        bell.ring("work")
    assert heard == ["told"]
    assert "a listener of the bell work failed" in caplog.text
