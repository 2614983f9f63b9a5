"""Running a configured command: an argument vector, no shell, a time limit, its output capped.

A command runs in a process group of its own; at the time limit the whole group is ended. The command is over when its
process is: a child that keeps its output open is not waited for. Linux 5.3 or newer (pidfd).
"""

import grp
import os
import pwd
import select
import shutil
import signal
import subprocess
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from certline_shared.clock import Clock, SystemClock

MOST_DETAIL = 2000  # characters of output
GRACE_SECONDS = 5.0  # between TERM and KILL, and after KILL
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_MOST_TAIL = 4 * MOST_DETAIL  # bytes: a character of UTF-8 has at most four
_CHUNK = 65_536
_MOST_AFTER_END = 1_048_576  # a pipe's content at most; a child that goes on writing is not listened to


class NotStarted(Exception):
    """A command that could not be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """As whom, where and with which variables a command runs; None: as the program that starts it does."""

    user: str | None = None
    group: str | None = None
    cwd: str = "/"
    env: tuple[tuple[str, str], ...] = ()


AS_WE_ARE = Surroundings()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `detail` is for the operator: what happened and the end of its output."""

    ok: bool
    detail: str


def run(
    words: Sequence[str], *, timeout: float, env: Mapping[str, str], around: Surroundings = AS_WE_ARE,
    clock: Clock | None = None, pass_fds: Collection[int] = (),
) -> Ended:  # fmt: skip
    """Run a command to its end. Never raises for what it does.

    Its environment is PATH, LANG, what `around` sets and `env`, nothing of ours.
    """
    try:
        running = start(words, env=env, around=around, pass_fds=pass_fds)
    except NotStarted as why:
        return Ended(False, str(why))
    with running:
        ok, what = running.follow(timeout, clock or SystemClock())
        output = running.tail()
    return Ended(ok, f"{what}\n{output}" if output else what)


def start(
    words: Sequence[str], *, env: Mapping[str, str], around: Surroundings = AS_WE_ARE, pass_fds: Collection[int] = (),
    hold_input: bool = False,
) -> "Running":  # fmt: skip
    """Start a command. `hold_input`: its standard input ends when we do, however that happens. Raises NotStarted."""
    environment = {"PATH": PATH, "LANG": "C.UTF-8", **_home(around.user), **dict(around.env), **env}
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE if hold_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=around.cwd,
            start_new_session=True,  # a group of its own, and no terminal to ask on
            pass_fds=pass_fds,
            **_identity(around),
        )
    except (OSError, ValueError) as error:
        raise NotStarted(_why_not_started(words[0], environment["PATH"], around, error)) from None
    return Running(process)


def _home(user: str | None) -> dict[str, str]:
    if user is None:
        return {}
    try:
        return {"HOME": pwd.getpwnam(user).pw_dir, "USER": user, "LOGNAME": user}
    except KeyError:
        return {}  # `_identity` says so


def _identity(around: Surroundings) -> dict[str, Any]:
    """What becomes another user or group; nothing where that is who we are. Raises NotStarted."""
    try:
        entry = pwd.getpwnam(around.user) if around.user else None
    except KeyError:
        raise NotStarted(f"there is no user {around.user!r} on this host: create it, or correct user") from None
    try:
        group = grp.getgrnam(around.group).gr_gid if around.group else None
    except KeyError:
        raise NotStarted(f"there is no group {around.group!r} on this host: create it, or correct group") from None
    if entry is None:
        return {} if group in (None, os.getegid()) else {"group": group}
    gid = entry.pw_gid if group is None else group
    if entry.pw_uid == os.geteuid() and gid == os.getegid():
        return {}
    return {"user": entry.pw_uid, "group": gid, "extra_groups": os.getgrouplist(entry.pw_name, gid)}


def _why_not_started(program: str, path: str, around: Surroundings, error: Exception) -> str:
    if isinstance(error, OSError) and error.filename == around.cwd:
        return f"its folder {around.cwd} cannot be entered: {error.strerror}"
    if isinstance(error, FileNotFoundError):
        if shutil.which(program, path=path) is not None:
            return f"{program}: the interpreter in its first line is missing: install it, or correct that line"
        return f"command not found: {program} (looked in {path}): install it, or write its whole path"
    if isinstance(error, PermissionError):
        if around.user is not None and os.geteuid() != 0:
            return f"only root can start {program} as {around.user!r}: run as root, or leave user out"
        if around.user is not None:
            return f"{program} may not be run as {around.user!r}: it, or our right to become another user, is missing"
        return f"{program} may not be run: make it executable"
    why = error.strerror if isinstance(error, OSError) else str(error)
    return f"{program} could not be started: {why}"


class Running:
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

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._pidfd)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    @property
    def pid(self) -> int:
        return self._process.pid

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

    def listen(self) -> None:
        """Take what it wrote, so that it never waits for us to read."""
        self._drain()

    def end(self, grace: float = GRACE_SECONDS) -> str:
        """End it now, with all it had started; in words how it ended."""
        clock = SystemClock()
        over = self._wait(0.001, clock)
        ended = self._end_group(clock, grace)
        self._drain()
        if over:
            return f"it had ended before, with exit code {self._process.returncode}"
        return "ended, with all it had started" if ended else "it cannot be ended by this user"

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

    def _end_group(self, clock: Clock, grace: float | None = None) -> bool:
        """False when it goes on: a command that became another user may not be ours to end."""
        with suppress(PermissionError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._wait(GRACE_SECONDS if grace is None else grace, clock)
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
