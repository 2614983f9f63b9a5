"""An output that cannot be written is seen at the master with what to do, and the former version stays (B4)."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed
from tests.testbed.parts import program, require

NOBODY = 65_534


def read_only(target: Path) -> list[str]:
    """Run what follows where the target's file system is read-only, in a mount namespace of its own."""
    where = shlex.quote(str(target))
    script = f'mount --bind {where} {where} && mount -o remount,bind,ro {where} && exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def of_somebody_else(target: Path) -> list[str]:
    """The target is another user's, and root may not do what it likes: what SELinux and its like make of it."""
    os.chown(target, NOBODY, NOBODY)
    dropped = "-dac_override,-dac_read_search,-fowner"
    return ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]


def gone(target: Path) -> list[str]:
    for file in target.iterdir():
        file.unlink()
    target.rmdir()
    return []


def mend(target: Path) -> None:
    target.mkdir(exist_ok=True)
    os.chown(target, os.getuid(), os.getgid())


def sync(bed: Bed, prefix: list[str]) -> int:
    command = [*prefix, sys.executable, "-m", "certline_follower.entry", "--config", str(bed.file), "sync"]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


@pytest.mark.parametrize(
    ("spoil", "advice"),
    [
        (read_only, "the file system is read-only: mount it writable"),
        (of_somebody_else, "permission denied: let this user write there"),
        (gone, "is missing: create it"),
    ],
    ids=["read-only", "another owner", "missing"],
)
def test_a_target_that_cannot_be_written_is_told_to_the_master_and_taken_up_when_it_is_mended(
    bed: Bed, master: FakeMaster, spoil: Callable[[Path], list[str]], advice: str
) -> None:
    require("root")
    assert program("setpriv"), "util-linux has it"
    target = bed.folder / "tls"
    target.mkdir()
    line = bed.line("shop", "shop.example.org", output=str(target / "shop.pem"))
    bed.configure(line + 'as = "copy"\n')
    bed.settle()
    good, reloads = (target / "shop.pem").read_bytes(), bed.reloads()
    master.issue("shop")

    assert sync(bed, spoil(target)) == 4
    told = master.last_report("shop")
    assert told
    assert (told.version, told.state, told.goal) == (2, "pulled", "reloaded")
    assert advice in str(told.error)
    assert told.retry_at is not None
    assert bed.reloads() == reloads
    if target.exists():
        assert (target / "shop.pem").read_bytes() == good

    mend(target)
    assert sync(bed, []) == 10
    told = master.last_report("shop")
    assert told
    assert (told.version, told.state, told.error) == (2, "reloaded", None)
    assert (target / "shop.pem").read_bytes() != good
