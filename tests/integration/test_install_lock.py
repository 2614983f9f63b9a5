"""One run of the follower at a time; whoever dies gives the lock back (B6)."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from certline_follower import services
from certline_follower.lock import RunLock
from certline_follower.settings import Service

HOLDER = """
import sys
from pathlib import Path
from certline_follower.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
print(lock.acquire(wait=sys.argv[2] == "wait"), flush=True)
sys.stdin.read()
"""


@contextmanager
def other_run(folder: Path, how: str = "at once") -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", HOLDER, str(folder), how]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def answer(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until_it_waits(process: "subprocess.Popen[str]") -> None:
    """Until the kernel lists it as waiting for a lock."""
    while not re.search(rf"-> FLOCK .* {process.pid} ", Path("/proc/locks").read_text()):
        assert process.poll() is None


def test_a_second_run_is_told_that_it_is_not_alone(tmp_path: Path) -> None:
    with other_run(tmp_path) as first:
        assert answer(first) == "True"
        assert not RunLock(tmp_path).acquire(wait=False)
        with other_run(tmp_path) as second:
            assert answer(second) == "False"


def test_the_lock_of_a_killed_run_is_free(tmp_path: Path) -> None:
    with other_run(tmp_path) as first:
        assert answer(first) == "True"
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        with RunLock(tmp_path) as lock:
            assert lock.acquire(wait=False)


def test_a_run_that_waits_goes_on_when_the_other_is_done(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    assert lock.acquire(wait=False)
    with other_run(tmp_path, "wait") as second:
        wait_until_it_waits(second)
        lock.release()
        assert answer(second) == "True"


def test_a_lock_may_be_taken_again_after_its_release(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    for _ in range(2):
        assert lock.acquire(wait=False)
        assert not RunLock(tmp_path).acquire(wait=False)
        lock.release()
    lock.release()


def test_a_daemon_that_a_reload_leaves_behind_does_not_hold_the_lock(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    code = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        f"    with open({str(pid)!r}, 'w') as file: file.write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    wait = f"while not os.path.exists({str(pid)!r}) or not os.path.getsize({str(pid)!r}): time.sleep(0.01)\n"
    service = Service("web", (sys.executable, "-S", "-c", code + wait), None, 30, "warn")
    with RunLock(tmp_path) as lock:
        assert lock.acquire(wait=False)
        result = services.run(service, "reload", env={})
        assert result is not None
        assert result.ok
    try:
        assert RunLock(tmp_path).acquire(wait=False)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        RunLock(tmp_path).acquire(wait=False)
    assert not (tmp_path / "elsewhere").exists()
