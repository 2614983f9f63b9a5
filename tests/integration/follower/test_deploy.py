"""`deploy` by hand, with and without a daemon; and what `status` says of each line meanwhile."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

import pytest

from certline_follower import control
from certline_follower.daemon import Signals, Woken, answer
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed


def follower(bed: Bed, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "certline_follower.entry", "--config", str(bed.file), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def daemon(bed: Bed) -> Iterator["subprocess.Popen[str]"]:
    """The follower's daemon, up to its socket."""
    command = [sys.executable, "-m", "certline_follower.entry", "--config", str(bed.file), "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_for((bed.state_dir / control.SOCKET).exists)
            yield running
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=20)


def wait_for(come: Callable[[], bool]) -> None:
    until = time.monotonic() + 20  # noqa: TID251 a real program is waited for
    while not come():
        assert time.monotonic() < until, "it never came"  # noqa: TID251 the same
        os.sched_yield()


def reported(master: FakeMaster) -> int:
    told = master.last_report("shop")
    return told.version if told else 0


@pytest.fixture
def held(bed: Bed, master: FakeMaster) -> Bed:
    """A host on which version 2 of shop is held back, although nothing is wrong with the service any more."""
    bed.settle()
    master.issue("shop")
    failure = bed.fail("web", "reload")
    bed.turn()
    failure.unlink()
    bed.settle()
    return bed


def test_status_says_what_is_held_back_why_and_until_when(held: Bed) -> None:
    (line,) = json.loads(follower(held, "status", "--output", "json").stdout)["lines"]
    assert (line["version"], line["state"], line["goal"], line["installed"]) == (2, "pulled", "reloaded", 1)
    assert "its reload failed" in line["held_back"]
    assert line["retry_at"]
    assert "version 2 is pulled, to be reloaded: service web: its reload failed" in follower(held, "status").stdout


def test_deploy_tries_it_now_and_tells_how_far_it_came(held: Bed) -> None:
    done = follower(held, "deploy", "shop")
    assert (done.returncode, done.stdout, done.stderr) == (0, "shop: version 2 is reloaded\n", "")
    assert held.content() == held.calls[-1].split()[2]


def test_deploy_of_what_fails_again_ends_with_4_and_the_reason(held: Bed) -> None:
    held.fail("web", "reload")
    done = follower(held, "deploy", "--output", "json")
    assert done.returncode == 4
    told = json.loads(done.stdout)
    assert told["lines"]["shop"]["state"] == "pulled"
    assert "its reload failed" in told["failures"][0]
    assert "its reload failed" in done.stderr


def test_deploy_of_a_line_that_is_not_in_the_file_is_refused(held: Bed) -> None:
    done = follower(held, "deploy", "blog")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no line 'blog' in" in done.stderr
    assert "lines there: shop" in done.stderr


def test_deploy_without_the_master_does_its_part_and_ends_with_5(held: Bed) -> None:
    held.master_goes_away()
    done = follower(held, "deploy")
    assert (done.returncode, done.stdout) == (5, "shop: version 2 is reloaded\n")


def test_a_daemon_that_runs_does_it_at_once_and_goes_on(held: Bed, master: FakeMaster) -> None:
    with daemon(held) as running:
        done = follower(held, "deploy")
        assert (done.returncode, done.stdout, done.stderr) == (0, "shop: version 2 is reloaded\n", "")
        again = follower(held, "deploy", "shop")
        assert again.returncode == 0
        master.issue("shop")
        wait_for(lambda: reported(master) == 3)
        assert running.poll() is None
    assert not (held.state_dir / control.SOCKET).exists()


def test_what_comes_while_the_daemon_deploys_waits_for_its_end(held: Bed) -> None:
    signals, requests, answers = Signals(), Queue[control.Request](), list[dict[str, Any]]()
    for _ in range(2):
        requests.put(control.Request(("shop",), answers.append))
    signals.asked = signals.reread = True  # the second one's signal, and SIGHUP
    host = held.host()
    host.interruptible = signals.interruptible
    answer(host, requests)
    assert [told["exit_code"] for told in answers] == [0, 0]
    with pytest.raises(Woken), host.interruptible():
        pass


def test_a_daemon_whose_settings_are_older_than_the_file_says_so(held: Bed) -> None:
    with daemon(held):
        held.configure(held.line("shop", "shop.example.org"), held.line("mail", "mail.example.org"))
        done = follower(held, "deploy", "mail")
    assert (done.returncode, done.stdout) == (2, "")
    assert "does not know mail yet" in done.stderr


def test_the_daemons_socket_is_for_its_user_only_and_survives_nonsense(held: Bed) -> None:
    with daemon(held):
        path = held.state_dir / control.SOCKET
        assert path.stat().st_mode & 0o777 == 0o600

        for words in (b"", b"{}\n", b'{"lines": 1}\n', b"\xff\n", b'{"lines": [{}]}\n'):
            with socket.socket(socket.AF_UNIX) as rude:
                rude.connect(str(path))
                rude.sendall(words)
                rude.shutdown(socket.SHUT_WR)
                assert rude.recv(100) == b""
        assert follower(held, "deploy").returncode == 0


def test_a_daemon_that_was_killed_leaves_a_socket_that_is_in_nobodys_way(held: Bed) -> None:
    with daemon(held) as running:
        running.kill()
        running.wait(20)
    assert follower(held, "deploy").returncode == 0
    with daemon(held):
        assert follower(held, "deploy").returncode == 0
