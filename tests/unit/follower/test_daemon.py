"""How long the daemon waits, at the master and here."""

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_follower.daemon import Pace, Signals, Woken, notify
from certline_follower.master_faults import MasterFault, Refused, Unreachable
from certline_follower.turn import Outcome
from certline_shared.messages import Problem
from tests.fakes.chance import SeededChance


def pace() -> Pace:
    return Pace(SeededChance(), 300.0)


def away(fault: MasterFault | None = None) -> Outcome:
    return Outcome(away=fault or Unreachable("away"))


def heard(*, news: bool = False, polled: float = 55.0, retry_after: int | None = None) -> Outcome:
    return Outcome(news=news, polled=polled, retry_after=retry_after)


def test_after_an_answer_the_next_request_is_held_open_at_once() -> None:
    paced = pace()
    assert paced.after(heard(), None) == 0
    assert paced.wait == 55


def test_something_due_here_shortens_the_wait_at_the_master() -> None:
    paced = pace()
    paced.after(heard(), 12.4)
    assert paced.wait == 12


def test_the_first_failure_is_followed_by_a_quick_try_and_then_longer_and_longer_pauses() -> None:
    paced = pace()
    assert paced.after(away(), None) <= 1
    for most in (10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800):
        assert paced.after(away(), None) <= most
    assert paced.wait == 0


@given(st.integers(1, 200))
def test_no_pause_is_longer_than_half_an_hour(failures: int) -> None:
    paced = pace()
    assert all(0 < paced.after(away(), None) <= 1800 for _ in range(failures))


def test_retry_after_is_obeyed() -> None:
    assert 60 <= pace().after(away(Unreachable("busy", 60)), None) <= 66


def test_a_success_ends_the_longer_pauses() -> None:
    paced = pace()
    for _ in range(9):
        paced.after(away(), None)
    paced.after(heard(), None)
    assert paced.after(away(), None) <= 1


def test_what_is_due_here_is_done_although_the_master_is_away() -> None:
    paced = pace()
    for _ in range(12):
        paced.after(away(), None)
    assert paced.after(away(), 5.0) <= 5


def test_a_revoked_follower_asks_no_more_for_a_day() -> None:
    revoked = Refused(Problem("urn:certline:problem:revoked", "revoked", 401, "revoked"))
    assert pace().after(away(revoked), None) == 86_400


def test_a_master_that_cannot_hold_requests_is_asked_at_the_interval() -> None:
    paced = pace()
    paced.after(heard(), None)
    assert 240 <= paced.after(heard(polled=0.01), None) <= 360
    assert paced.after(heard(polled=0.01, retry_after=30), None) == 30


def test_a_master_with_endless_news_of_no_use_is_not_asked_in_a_tight_loop() -> None:
    paced = pace()
    paced.after(heard(), None)
    pauses = [paced.after(heard(news=True, polled=0.01), None) for _ in range(8)]
    assert pauses[:3] == [0, 0, 0]
    assert pauses[3:] == [2, 4, 8, 16, 32]


def test_turns_that_fail_hold_the_master_for_a_short_time_only_at_first() -> None:
    paced = pace()
    paced.after(Outcome(failures=["x"], polled=1.0), None)
    assert 1 <= paced.wait <= 2


def test_a_signal_before_or_while_waiting_ends_the_wait_and_none_ends_a_step() -> None:
    signals = Signals()
    signals._stop(15, None)
    assert signals.stop
    with pytest.raises(Woken), signals.interruptible():
        raise AssertionError("the wait was begun")
    other = Signals()
    with pytest.raises(Woken), other.interruptible():
        other._reread(1, None)


def test_systemd_is_told_where_it_asked_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1")
        assert listener.recv(100) == b"READY=1"
    notify("STOPPING=1")  # nobody listens: no error
