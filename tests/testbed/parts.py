"""What a test needs beside Python: missing on a laptop it skips the test, in CI it fails it."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from tests.testbed.pebble_binary import find_pebble
from tests.testbed.program import TestbedError

Part = Literal[
    "pebble", "named", "postgres", "nginx", "openssl", "strace", "faketime", "isolation", "root",
    "rsync", "apache2",
]  # fmt: skip

_SBIN = ("/usr/sbin", "/sbin", "/usr/local/sbin")


def require(part: Part) -> None:
    """Skip the calling test when `part` is missing, or fail it when CI is set in the environment."""
    reason = _missing(part)
    if reason is None:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI must have every part: {reason}")
    pytest.skip(reason)


def program(name: str) -> Path | None:
    """Where a program is, the system's folders included, which are not on every user's PATH."""
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_SBIN]))
    return Path(found) if found else None


def postgres_folder() -> Path | None:
    """The folder of the newest PostgreSQL's programs."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = packaged[-1] if packaged else program("initdb")
    return found.resolve().parent if found else None


def _missing(part: Part) -> str | None:
    if part in _CHECKS:
        return _CHECKS[part]()
    return None if program(part) else f"{part} is not installed"


def _missing_pebble() -> str | None:
    try:
        find_pebble()
    except TestbedError as fault:
        return str(fault)
    return None


def _missing_postgres() -> str | None:
    return None if postgres_folder() else "PostgreSQL's server programs are not installed"


def _missing_root() -> str | None:
    return None if os.geteuid() == 0 else "this needs root"


def _missing_isolation() -> str | None:
    return _missing_root() or (None if program("ip") else "ip (iproute2) is not installed")


_CHECKS: dict[Part, Callable[[], str | None]] = {
    "pebble": _missing_pebble,
    "postgres": _missing_postgres,
    "root": _missing_root,
    "isolation": _missing_isolation,
}
