"""A failpoint kills the process where a test armed it, and is nothing otherwise."""

import os
import signal
import subprocess
import sys

import pytest

from certline_shared.failpoints import failpoint, watched

PROGRAM = """
from certline_shared.failpoints import failpoint
for _ in range(3):
    failpoint("here")
    print("passed", flush=True)
"""


def run(**environment: str) -> "subprocess.CompletedProcess[str]":
    bare = {name: value for name, value in os.environ.items() if not name.startswith("CERTLINE_")}
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(command, env=bare | environment, capture_output=True, text=True, timeout=60, check=False)


def test_an_armed_failpoint_kills_at_its_nth_passing() -> None:
    first = run(CERTLINE_UNDER_TEST="1", CERTLINE_FAILPOINT="here")
    assert (first.returncode, first.stdout) == (-signal.SIGKILL, "")
    third = run(CERTLINE_UNDER_TEST="1", CERTLINE_FAILPOINT="here:3")
    assert (third.returncode, third.stdout) == (-signal.SIGKILL, "passed\npassed\n")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"CERTLINE_FAILPOINT": "here"},
        {"CERTLINE_FAILPOINT": "here", "CERTLINE_UNDER_TEST": "0"},
        {"CERTLINE_FAILPOINT": "elsewhere", "CERTLINE_UNDER_TEST": "1"},
        {"CERTLINE_UNDER_TEST": "1"},
    ],
    ids=str,
)
def test_outside_a_test_or_elsewhere_nothing_happens(environment: dict[str, str]) -> None:
    done = run(**environment)
    assert (done.returncode, done.stdout) == (0, "passed\n" * 3)


def test_a_test_in_the_same_process_hears_of_each_place_while_it_watches() -> None:
    heard: list[str] = []
    with watched(heard.append):
        failpoint("here")
    failpoint("there")
    assert heard == ["here"]
