"""A real `certline serve` for the tests of the commands, and the commands run in this process."""

import atexit
import functools
import json
import os
import pty
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from certline_master.cli.client import AdminClient, load_profile
from certline_master.cli.local_follower import program
from certline_master.cli.main import run
from tests.testbed.ports import free_port
from tests.testbed.program import Program

CA_IS_HERE = '\n[outbound]\nprivate = ["localhost", "127.0.0.0/8"]\n'  # Pebble is
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("CERTLINE_")}


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def well(self) -> Self:
        assert (self.code, self.err) == (0, ""), f"{self.code}: {self.out}{self.err}"
        return self

    def refused(self, code: int) -> str:
        """Its reason, when it ended so."""
        assert self.code == code, f"{self.code}: {self.out}{self.err}"
        assert self.err.startswith("certline: ")
        assert "Traceback" not in self.err
        return self.err


@dataclass(frozen=True, slots=True)
class Commands:
    """`certline --config FILE ...`, in this process: the same entry as the command's, without its start-up time."""

    config: Path
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: str | Path) -> Said:
        self.capsys.readouterr()
        code = run(["--config", str(self.config), *map(str, words)])
        out, err = self.capsys.readouterr()
        return Said(code, out, err)

    def json(self, *words: str | Path) -> Any:
        return self(*words, "--output", "json").well().json


def installed(*words: str | Path, cwd: Path, command: str = "certline") -> Said:
    """The installed command, as a process of its own, run to its end."""
    done = subprocess.run(
        [program(command), *words], cwd=cwd, env=ENVIRONMENT,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return Said(done.returncode, done.stdout, done.stderr)


class Master:
    """A master in a folder, served by a process of its own between `start` and `stop`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.config = folder / "certline.toml"
        self.log = folder / "serve.log"
        self.process = Program(
            [program("certline"), "--config", self.config, "serve"], log=self.log, env=ENVIRONMENT, cwd=folder
        )

    def start(self) -> None:
        with self.client() as client:
            self.process.start()
            self.process.wait_until(client.answers)

    def stop(self) -> None:
        self.process.stop()

    def client(self) -> AdminClient:
        return AdminClient(load_profile(self.folder / "admin.toml"))

    def command(self, *words: str | Path) -> Said:
        """The installed command beside this master."""
        return installed("--config", self.config, *words, cwd=self.folder)

    def edit(self, old: str, new: str) -> None:
        """Change the settings at one place."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new, 1))

    def records(self) -> list[dict[str, Any]]:
        """The log of `serve`."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def initialised(folder: Path) -> Master:
    """A fresh master, not started: a copy of one that `certline init` made once for all tests of this process."""
    made = _made_once()
    shutil.copytree(made.folder, folder)
    master = Master(folder, free_port())
    for name in ("certline.toml", "admin.toml"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(f":{made.port}", f":{master.port}"))
    return master


@functools.cache
def _made_once() -> Master:
    made = Master(Path(tempfile.mkdtemp(prefix="certline-init-")), free_port())
    atexit.register(shutil.rmtree, made.folder)
    origin = f"https://localhost:{made.port}"
    assert run(["init", "--origin", origin, "--dir", str(made.folder), "--listen", f"127.0.0.1:{made.port}"]) == 0
    with made.config.open("a") as file:
        file.write(CA_IS_HERE)
    return made


@contextmanager
def serving(folder: Path, settings: Sequence[str] = ()) -> Iterator[Master]:
    """A fresh master that answers, until the block ends; `settings` are added to its file."""
    master = initialised(folder)
    with master.config.open("a") as file:
        file.write("".join(f"{line}\n" for line in settings))
    try:
        master.start()
        yield master
    finally:
        master.stop()


def on_terminal(master: Master, answers: str, *words: str | Path, draws: bool = False) -> Said:
    """The installed command on a pseudo-terminal, where a person types `answers`; with `draws` its output goes there
    too, and comes back as `err`.
    """
    ours, theirs = pty.openpty()
    os.write(ours, answers.encode())
    said: list[bytes] = []
    reader = threading.Thread(target=lambda: said.extend(iter(lambda: _read_on(ours), b"")))
    reader.start()  # a full terminal would hold the command up
    done = subprocess.run(
        [program("certline"), "--config", master.config, *words],
        stdin=theirs, stdout=theirs if draws else subprocess.PIPE, stderr=theirs,
        env=ENVIRONMENT | {"COLUMNS": "140", "TERM": "xterm"}, text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(theirs)
    reader.join()
    os.close(ours)
    return Said(done.returncode, done.stdout or "", b"".join(said).decode())


def _read_on(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other end is closed
        return b""
