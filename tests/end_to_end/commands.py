"""The installed commands, run to their end."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Self

from tests.testbed.program import TestbedError

UNDER_TEST = {"CERTLINE_UNDER_TEST": "1"}


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str

    def well(self, *codes: int) -> Self:
        """Itself; AssertionError with all it said when its code is none of `codes` (default: 0)."""
        if self.code not in (codes or (0,)):
            raise AssertionError(f"{' '.join(self.words)} ended with {self.code}:\n{self.out}{self.err}")
        return self

    def refused(self, code: int) -> str:
        """What it said on standard error; AssertionError unless it ended with `code`, in clear lines."""
        self.well(code)
        assert self.err.strip(), f"{' '.join(self.words)} ended with {code} and gave no reason"
        assert "Traceback" not in self.err, self.err
        return self.err


def installed(name: str) -> Path:
    """The command of this name beside the Python that runs the tests. TestbedError when it is not there."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise TestbedError(f"{path} is missing: install the project (make sets itself up)")
    return path


def finish(
    words: Sequence[str | Path],
    *,
    given: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    within: float = 60,
) -> Finished:
    """Run a command to its end, `given` on its standard input."""
    command = [str(word) for word in words]
    try:
        done = subprocess.run(
            command,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            env={**environ, **(env or {})},
            cwd=cwd,
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = b"".join(part for part in (late.stdout, late.stderr) if part).decode(errors="replace")
        raise AssertionError(f"{' '.join(command)} did not end within {within:g} s:\n{said}") from None
    return Finished(tuple(command), done.returncode, done.stdout, done.stderr)


def under_test(failpoint: str | None) -> dict[str, str]:
    """The environment that arms a failpoint, or none."""
    return {**UNDER_TEST, "CERTLINE_FAILPOINT": failpoint or ""}
