"""Running a service's check and reload commands: argument vectors, no shell, a time limit, output capped.

A command runs in a process group of its own; at the time limit the whole group is ended. The command is over when its
process is: a child that keeps its output open is not waited for. Linux 5.3 or newer (pidfd).
"""

import os
import select
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from certline_follower.settings import Service
from certline_shared.clock import Clock, SystemClock

Step = Literal["check", "reload"]

MOST_DETAIL = 2000  # characters of output
GRACE_SECONDS = 5.0  # between TERM and KILL, and after KILL
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MOST_TAIL = 4 * MOST_DETAIL  # bytes: a character of UTF-8 has at most four
_CHUNK = 65_536
_MOST_AFTER_END = 1_048_576  # a pipe's content at most; a child that goes on writing is not listened to


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """How a command ended; `detail` is for the operator: what happened and the end of its output."""

    service: str
    step: Step
    ok: bool
    detail: str


def run(service: Service, step: Step, *, env: Mapping[str, str], clock: Clock | None = None) -> ServiceResult | None:
    """Run the service's command for this step; None when it has none. Never raises for what the command does.

    Its environment is PATH, LANG and `env`, nothing of ours.
    """
    words = service.reload if step == "reload" else service.check
    if words is None:
        return None
    environment = {"PATH": PATH, "LANG": "C.UTF-8", **env}
    try:
        running = _start(words, environment)
    except (OSError, ValueError) as error:
        return ServiceResult(service.name, step, False, _why_not_started(words[0], environment["PATH"], error))
    with running:
        ok, what = running.follow(service.timeout, clock or SystemClock())
    output = running.tail()
    return ServiceResult(service.name, step, ok, f"{what}\n{output}" if output else what)


def _start(words: tuple[str, ...], environment: Mapping[str, str]) -> "_Running":
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        cwd="/",
        start_new_session=True,  # a group of its own, and no terminal to ask on
    )
    return _Running(process)


def _why_not_started(program: str, path: str, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        if shutil.which(program, path=path) is not None:
            return f"{program}: the interpreter in its first line is missing: install it, or correct that line"
        return f"command not found: {program} (looked in {path}): install it, or write its whole path"
    if isinstance(error, PermissionError):
        return f"{program} may not be run: make it executable"
    why = error.strerror if isinstance(error, OSError) else str(error)
    return f"{program} could not be started: {why}"


class _Running:
    """A started command: its process, its output's last bytes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._tail = b""
        self._pidfd = os.pidfd_open(process.pid)
        self._output = process.stdout.fileno() if process.stdout else -1
        os.set_blocking(self._output, False)
        self._poll = select.poll()
        self._poll.register(self._pidfd, select.POLLIN)
        self._poll.register(self._output, select.POLLIN)

    def __enter__(self) -> "_Running":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._pidfd)
        if self._process.stdout:
            self._process.stdout.close()

    def follow(self, timeout: float, clock: Clock) -> tuple[bool, str]:
        """Whether it ended well, and in words how it ended."""
        in_time = self._wait(timeout, clock)
        if not in_time:
            ended = "ended, with all it had started" if self._end_group(clock) else "it cannot be ended by this user"
            return False, f"not done after {timeout:g} s: {ended}"
        code = self._process.wait()
        self._drain()
        if code < 0:
            return False, f"killed by signal {-code} ({signal.strsignal(-code)})"
        return code == 0, f"exit code {code}"

    def tail(self) -> str:
        return self._tail.decode(errors="replace")[-MOST_DETAIL:].strip()

    def _wait(self, seconds: float, clock: Clock) -> bool:
        """Read until the process ends (True) or time is up (False). It is not reaped: its group's id stays its own."""
        end = clock.monotonic() + seconds
        while (left := end - clock.monotonic()) > 0:
            ready = {fd for fd, _ in self._poll.poll(left * 1000)}
            if self._pidfd in ready:
                return True
            if self._output in ready and self._read() == b"":
                self._poll.unregister(self._output)
        return False

    def _end_group(self, clock: Clock) -> bool:
        """False when it goes on: a command that became another user may not be ours to end."""
        with suppress(PermissionError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._wait(GRACE_SECONDS, clock)
        with suppress(PermissionError):  # also when the process has ended: its children may not have
            os.killpg(self._process.pid, signal.SIGKILL)
        ended = self._wait(GRACE_SECONDS, clock)
        if ended:
            self._process.wait()
        return ended

    def _drain(self) -> None:
        """What was written before the end."""
        left = _MOST_AFTER_END
        while left > 0 and (chunk := self._read()):
            left -= len(chunk)

    def _read(self) -> bytes | None:
        """The next output; empty at its end, None when there is nothing now."""
        try:
            chunk = os.read(self._output, _CHUNK)
        except BlockingIOError:
            return None
        self._tail = (self._tail + chunk)[-_MOST_TAIL:]
        return chunk
