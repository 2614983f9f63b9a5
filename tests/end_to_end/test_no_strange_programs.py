"""No program is started but those that are configured, and no shell at all: watched by strace, while all is done."""

import re
import sys
from pathlib import Path

import pytest

from tests.end_to_end import loading
from tests.end_to_end.commands import installed
from tests.end_to_end.harness import Bed, fleet
from tests.end_to_end.host import CHANGED, HostLine, HostService
from tests.end_to_end.waiting import eventually
from tests.testbed.parts import program, require

WWW = "www.example.test"


@pytest.fixture(autouse=True)
def strace() -> None:
    require("strace")


def watched(trace: Path) -> list[str]:
    """What is put before a command so that every attempt to start a program is written to `trace`.

    With -D the tracer stands aside: the process is the command itself, and takes its signals.
    """
    return [str(program("strace")), "-D", "-f", "-qq", "-s", "4096", "-e", "trace=execve,execveat", "-o", str(trace)]


def started(trace: Path) -> list[str]:
    """The programs that were started, or that somebody tried to start."""
    return re.findall(r'execve(?:at)?\((?:[^"]*, )?"([^"]*)"', trace.read_text())


def test_the_master_starts_no_program_at_all(here: Bed, tmp_path: Path) -> None:
    trace = tmp_path / "master.trace"
    master = here.master()
    master.start(prefix=watched(trace))
    master.set_fleet(fleet(here.ca, {"web": [WWW]}))
    host = here.enrolled(master, "web")
    host.configure(HostLine("www", (WWW,)))
    host.sync().well(CHANGED)
    first = master.issued("www@web")
    master.renew("www@web")
    master.issued("www@web", after=first)
    master.stop()

    assert started(trace) == [str(installed("certline"))]


def test_the_follower_starts_the_services_own_commands_and_nothing_else(here: Bed, tmp_path: Path) -> None:
    trace = tmp_path / "follower.trace"
    master = here.serving({"web": [WWW]})
    host = here.enrolled(master, "web")
    loaded = host.folder / "loaded.pem"
    reload = [sys.executable, "-I", loading.__file__, str(host.tls / "fullchain.pem"), str(loaded), "no; such `file`"]
    check = [str(program("true")), "$(reboot)"]
    host.configure(HostLine("www", (WWW,), services=("small",)), services=[HostService("small", reload, check)])

    host.start(before=watched(trace))
    first = master.issued("www@web")
    eventually(loaded.exists, 10, "the first reload")
    before = loaded.read_bytes()
    master.renew("www@web")
    master.issued("www@web", after=first)
    eventually(lambda: loaded.read_bytes() != before, 10, "the second reload")
    host.stop()

    programs = started(trace)
    assert programs[0] == str(installed("certline-follower"))
    assert set(programs[1:]) == {sys.executable, str(program("true"))}
    assert programs[1:].count(sys.executable) == 2, "one reload for each version"
