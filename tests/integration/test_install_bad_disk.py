"""On a full or read-only disk the former version stays, nothing half is left, and the fault is told (B3, B4)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.parts import require

ROOT = Path(__file__).parents[2]
OLD: list[object] = [1, 1, 1, [1], []]
NEW: list[object] = [2, 2, 2, [1, 2], []]


def run(case: str, folder: Path) -> Any:
    """What `install_on_bad_disk` found, in a mount namespace of its own."""
    require("root")
    inside = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m"]
    command = [*inside, "tests.integration.install_on_bad_disk", case, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", ["full", "inodes"])
def test_a_disk_that_fills_up_at_any_write_keeps_the_former_version(case: str, tmp_path: Path) -> None:
    faults, end = run(case, tmp_path)
    assert end == NEW
    assert len(faults) > 10
    for fault, state in faults:
        assert "the disk is full (or out of inodes): free some space" in fault
        assert state == OLD


def test_a_full_disk_of_the_copies_keeps_the_former_version_everywhere(tmp_path: Path) -> None:
    fault, then, second, end = run("full destination", tmp_path)
    assert fault.startswith(f"output {tmp_path}/copies/shop.")
    assert fault.endswith("the disk is full (or out of inodes): free some space")
    assert (then, second, end) == (OLD, "", NEW)


@pytest.mark.parametrize(
    ("part", "named"), [("state", "state/generations"), ("copies", "copies/shop.key"), ("links", "links/new.pem")]
)
def test_a_read_only_target_is_told_and_keeps_the_former_version_everywhere(
    part: str, named: str, tmp_path: Path
) -> None:
    fault, then, second, end = run(f"read-only {part}", tmp_path)
    assert f"{tmp_path}/{named}" in fault
    assert fault.endswith("the file system is read-only: mount it writable, or put the file elsewhere")
    assert (then, second, end) == (OLD, "", NEW)
