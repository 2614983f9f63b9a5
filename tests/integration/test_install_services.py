"""A command may fail, hang, flood, hold its pipe or be missing: it is told, it ends, and nothing blocks (B7)."""

import os
import resource
import signal
import stat
import sys
from pathlib import Path

import pytest

from certline_follower import services
from certline_follower.services import ServiceResult
from certline_follower.settings import Service
from certline_shared import running
from certline_shared.clock import SystemClock

PYTHON = (sys.executable, "-S", "-I", "-c")

CHILDREN = """
import os, signal, sys, time
if os.fork() == 0:
    {child}
    with open({pids!r}, "a") as file:
        file.write(f"{{os.getpid()}}\\n")
    time.sleep(600)
{parent}
"""
WAIT_FOR_CHILD = "while not os.path.exists({pids!r}) or not os.path.getsize({pids!r}): time.sleep(0.01)\n"


def run(*command: str, timeout: float = 30) -> ServiceResult:
    service = Service("web", command, None, timeout, "rollback")
    result = services.run(service, "reload", env={})
    assert result is not None
    return result


def with_child(pids: Path, *, child: str = "pass", parent: str) -> str:
    """A program that starts a child, waits until it runs, and goes on as `parent`."""
    path = str(pids)
    return CHILDREN.format(child=child, pids=path, parent=WAIT_FOR_CHILD.format(pids=path) + parent)


def is_running(pids: Path) -> bool:
    try:
        status = Path(f"/proc/{int(pids.read_text())}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pids: Path) -> bool:
    """KILL is sent; the kernel needs a moment to carry it out."""
    clock = SystemClock()
    end = clock.monotonic() + 5
    while is_running(pids):
        if clock.monotonic() > end:
            return False
    return True


def test_a_command_that_ends_well_is_told_with_what_it_said() -> None:
    result = run(*PYTHON, "print('reloaded'); import sys; print('with a word', file=sys.stderr)")
    assert (result.service, result.step, result.ok) == ("web", "reload", True)
    assert result.detail.startswith("exit code 0\n")
    assert {"reloaded", "with a word"} <= set(result.detail.splitlines())


def test_a_service_without_a_command_for_the_step_has_nothing_to_tell() -> None:
    assert services.run(Service("web", ("true",), None, 1, "warn"), "check", env={}) is None


def test_a_command_that_fails_is_told_with_its_exit_code_and_output() -> None:
    result = run(*PYTHON, "print('bad configuration'); raise SystemExit(1)")
    assert result == ServiceResult("web", "reload", False, "exit code 1\nbad configuration")


def test_a_command_that_is_killed_is_told_with_the_signal() -> None:
    result = run(*PYTHON, "import os; os.kill(os.getpid(), 11)")
    assert (result.ok, result.detail) == (False, "killed by signal 11 (Segmentation fault)")


@pytest.mark.parametrize("name", ["certline-no-such-command", "/nowhere/reload"])
def test_a_missing_command_is_told(name: str) -> None:
    result = run(name)
    assert not result.ok
    assert result.detail.startswith(f"command not found: {name} (looked in ")


def test_a_command_that_may_not_be_run_is_told(tmp_path: Path) -> None:
    program = tmp_path / "reload"
    program.write_text("#!/bin/true\n")
    assert run(str(program)).detail == f"{program} may not be run: make it executable"
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert run(str(program)).ok
    program.write_text("#!/nowhere/interpreter\n")
    assert "the interpreter in its first line is missing" in run(str(program)).detail
    program.write_text("no first line\n")
    assert run(str(program)).detail.startswith(f"{program} could not be started: ")


def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    result = run(*PYTHON, with_child(pids, parent="print('hanging', flush=True); time.sleep(600)"), timeout=1)
    assert (result.ok, result.detail) == (False, "not done after 1 s: ended, with all it had started\nhanging")
    assert wait_until_gone(pids)


def test_a_command_that_ignores_the_polite_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "GRACE_SECONDS", 0.3)
    pids = tmp_path / "pids"
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    code = with_child(pids, child=ignore, parent=f"{ignore}; time.sleep(600)")
    assert not run(*PYTHON, code, timeout=1).ok
    assert wait_until_gone(pids)


def test_a_child_that_holds_the_pipe_is_not_waited_for(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    result = run(*PYTHON, with_child(pids, parent="print('done', flush=True)"), timeout=60)
    try:
        assert result == ServiceResult("web", "reload", True, "exit code 0\ndone")
        assert is_running(pids)  # a daemon that a reload starts stays
    finally:
        os.kill(int(pids.read_text()), signal.SIGKILL)


def test_a_child_that_goes_on_writing_is_not_listened_to(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    write = f"open({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\n    while True: os.write(1, b'x' * 65536)"
    result = run(*PYTHON, with_child(pids, child=write, parent=""), timeout=60)
    assert result.ok
    assert wait_until_gone(pids)  # of a broken pipe


def test_a_command_that_floods_costs_neither_memory_nor_a_long_report() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run("head", "--bytes=1G", "/dev/zero", timeout=60)
    assert result.ok
    assert len(result.detail) <= len("exit code 0\n") + services.MOST_DETAIL
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


def test_the_end_of_the_output_is_what_is_told() -> None:
    code = "for n in range(100_000): print(f'zeile {n} ä')\nprint('the reason')\nraise SystemExit(3)"
    detail = run(*PYTHON, code).detail
    assert detail.startswith("exit code 3\n")
    assert detail.endswith("the reason")
    assert len(detail) <= len("exit code 3\n") + services.MOST_DETAIL


def test_a_command_finds_only_what_it_needs_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    service = Service("web", None, ("env",), 10, "rollback")
    result = services.run(service, "check", env={"CERTLINE_LINES": "shop mail"})
    assert result is not None
    assert sorted(result.detail.splitlines()) == [
        "CERTLINE_LINES=shop mail",
        "LANG=C.UTF-8",
        f"PATH={services.PATH}",
        "exit code 0",
    ]


def test_a_command_has_no_input_no_terminal_and_no_file_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w"):
        facts = "repr(sys.stdin.read()), os.getcwd(), os.getsid(0) == os.getpid(), os.listdir('/proc/self/fd')"
        result = run(*PYTHON, f"import os, sys; print({facts})")
    assert result.detail == "exit code 0\n'' / True ['0', '1', '2', '3']"  # 3: the listing itself


def test_words_reach_the_program_as_they_are_for_there_is_no_shell() -> None:
    words = ["$HOME", "a b", "; true", "`id`", "*", ""]
    result = run(*PYTHON, "import sys; print(sys.argv[1:])", *words)
    assert result.detail == f"exit code 0\n{words}"
