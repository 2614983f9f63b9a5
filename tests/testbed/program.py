"""One program of the test bed: started with its output in a file, waited for, and stopped by its own process id."""

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypedDict

START_SECONDS = 20.0
STOP_SECONDS = 10.0


class _Identity(TypedDict):
    user: int | None
    group: int | None
    extra_groups: list[int] | None


class TestbedError(RuntimeError):
    """A part of the test bed did not do its work; the message holds the end of the part's output."""

    __test__ = False


class Program:
    """A child process with its output in `log`; `start` may be called again after it has ended."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.command = [str(word) for word in command]
        self.log = log
        self._env = {**os.environ, **(env or {})}
        self._cwd = cwd
        self._user = user
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running program; TestbedError when it was never started."""
        if self._process is None:
            raise TestbedError(f"{self.command[0]} was not started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the program in a session of its own, so that Ctrl-C reaches only the one who may stop it."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
                **_identity(self._user),
            )

    def wait_until(self, answers: Callable[[], bool], *, seconds: float = START_SECONDS) -> None:
        """Return as soon as `answers()` is true; TestbedError when the program ends first or time is up."""
        give_up_at = time.monotonic() + seconds
        while not answers():
            if not self.is_running:
                raise TestbedError(f"{self.command[0]} ended before it answered:\n{self.tail()}")
            if time.monotonic() > give_up_at:
                raise TestbedError(f"{self.command[0]} did not answer within {seconds:g} s:\n{self.tail()}")
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the program has ended."""
        if self.is_running:
            os.kill(self.pid, number)

    def kill9(self) -> None:
        """End the program as a crash would, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self._reap(STOP_SECONDS)

    def stop(self) -> None:
        """End the program politely, after `STOP_SECONDS` by force."""
        self.signal(self._stop_signal)
        try:
            self._reap(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill9()
        self._end_the_rest()

    def wait(self, seconds: float) -> int:
        """The exit code (minus the signal's number) once it has ended; subprocess.TimeoutExpired if it goes on."""
        self._reap(seconds)
        return 0 if self._process is None else int(self._process.returncode)

    def tail(self, lines: int = 30) -> str:
        """The last lines of the program's output."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _end_the_rest(self) -> None:
        """A wrapper (faketime) ends before the program that it started: wait for that one too, in the end by force."""
        if self._process is None:
            return
        give_up_at = time.monotonic() + STOP_SECONDS
        try:
            os.killpg(self.pid, self._stop_signal)
            while time.monotonic() < give_up_at:
                os.killpg(self.pid, 0)
                time.sleep(0.01)
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _reap(self, seconds: float) -> None:
        if self._process is not None:
            self._process.wait(seconds)


@contextmanager
def running(program: Program, answers: Callable[[], bool]) -> Iterator[Program]:
    """Start a program, wait until it answers, and stop it at the end, also when it never answered."""
    try:
        program.start()
        program.wait_until(answers)
        yield program
    finally:
        program.stop()


def run(command: Sequence[str | Path], *, seconds: float = 60, user: str | None = None) -> str:
    """Run a command to its end; its standard output. TestbedError with all its output when it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=seconds, check=False, cwd="/", **_identity(user)
    )
    if done.returncode != 0:
        raise TestbedError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def is_alive(pid: int) -> bool:
    """Whether there is such a process, one of ours or not."""
    return Path(f"/proc/{pid}").exists()


def ordinary_user(name: str) -> str | None:
    """`name` when we are root and such a user exists, for programs that refuse to run as root; else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(name).pw_name
    except KeyError:
        return "nobody"


def by_hand(part: Callable[[], AbstractContextManager[Iterable[str]]]) -> None:
    """Run a part for a person: print the lines that say how to use it, wait for Ctrl-C or SIGTERM, stop it."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with part() as lines:
            for line in (*lines, "Ctrl-C stops it."):
                print(line, flush=True)
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        print("stopped", flush=True)
    except TestbedError as fault:
        sys.exit(str(fault))


def _identity(user: str | None) -> _Identity:
    if user is None:
        return {"user": None, "group": None, "extra_groups": None}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": [entry.pw_gid]}
