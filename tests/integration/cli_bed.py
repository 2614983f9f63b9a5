"""A real `certline serve` for the tests of the commands, and the commands run in this process."""

import atexit
import functools
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from certline_master.cli.main import run
from tests.end_to_end.master import Listening, MasterProcess, listening

PROFILE = "admin.toml"


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


def initialised(folder: Path, here: Listening | None = None) -> MasterProcess:
    """A fresh master, not started: a copy of one that `certline init` made once for all tests of this process."""
    made, here = _made_once(), here or listening()
    shutil.copytree(made.folder, folder)
    for name in ("certline.toml", "admin.toml"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace(f":{made.listening.port}", f":{here.port}"))
    master = MasterProcess(folder, here)
    with master.config_file.open("a") as settings:
        settings.write(master._more_settings())
    return master


@functools.cache
def _made_once() -> MasterProcess:
    here = listening()
    folder = Path(tempfile.mkdtemp(prefix="certline-init-"))
    atexit.register(shutil.rmtree, folder)
    words = ["init", "--origin", here.origin, "--dir", str(folder), "--listen", f"{here.address}:{here.port}"]
    assert run(words) == 0
    return MasterProcess(folder, here)


@contextmanager
def serving(folder: Path, here: Listening | None = None) -> Iterator[MasterProcess]:
    """A fresh master that answers, until the block ends."""
    master = initialised(folder, here)
    try:
        master.start()
        yield master
    finally:
        master.stop()
