"""The follower on the master's own machine, as a child process that `serve` keeps running."""

import logging
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from certline_master.cli.failures import WRONG, CommandFailed
from certline_shared import backoff
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock

FIRST_PAUSE = timedelta(seconds=1)
MOST_PAUSE = timedelta(minutes=5)
STEADY = timedelta(minutes=10)  # a run so long counts as no failure
STOP_SECONDS = 1.0

log = logging.getLogger("certline.local-follower")


def program(name: str) -> str:
    """One of our commands: from the folder of this Python, else by PATH. Raises CommandFailed."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        text = f"{name} is not installed on this machine: pip install 'certline[master,follower]'"
        raise CommandFailed(text, WRONG)
    return found


class LocalFollower:
    """Runs `certline-follower --config CONFIG run` from `start` to `stop`, again whenever it ends; None: nothing."""

    def __init__(self, config: Path | None) -> None:
        """Raises CommandFailed when there is a follower to run, but no program."""
        self._command = [program("certline-follower"), "--config", str(config), "run"] if config else []
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep_running, name="local-follower", daemon=True)

    def start(self) -> None:
        if self._command:
            self._thread.start()

    def stop(self) -> None:
        """End the child within about a second, by force if it must be; an installation it was in is finished later."""
        self._stopping.set()
        with self._lock:
            child = self._child
        if child is None:
            return
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _keep_running(self) -> None:
        clock, chance, failures = SystemClock(), SystemChance(), 0
        while not self._stopping.is_set():
            began = clock.monotonic()
            code = self._run_once()
            if self._stopping.is_set():
                return
            failures = 1 if clock.monotonic() - began > STEADY.total_seconds() else failures + 1
            pause = backoff.delay(failures, chance, first=FIRST_PAUSE, most=MOST_PAUSE).total_seconds()
            log.warning("the local follower ended; it is started again", extra={"status": code, "in_seconds": pause})
            clock.pause(pause, self._stopping)

    def _run_once(self) -> int | None:
        """The child's exit status; None when it could not be started, or must not be any more."""
        try:
            with self._lock:
                if self._stopping.is_set():
                    return None
                self._child = start(self._command)
        except OSError as fault:
            log.error("the local follower cannot be started", extra={"error": str(fault)})
            return None
        log.info("the local follower runs", extra={"pid": self._child.pid})
        return self._child.wait()


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """A child in a session of its own, so that Ctrl-C reaches only us, who stop it. Raises OSError."""
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, close_fds=True)
