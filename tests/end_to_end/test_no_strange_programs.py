"""No program is started but those that are configured, and no shell at all: watched by strace, while all is done."""

import json
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
NOTE = "import sys; open(sys.argv[1], 'a').write(' '.join(sys.argv[2:]) + chr(10))"


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


def test_the_master_starts_the_commands_that_a_line_names_and_no_other(here: Bed, tmp_path: Path) -> None:
    """Also where a host asks for lines of its own: it can name no command."""
    trace, told = tmp_path / "master.trace", tmp_path / "told"
    master = here.master()
    note = [sys.executable, "-I", "-S", "-c", NOTE, str(told), "{event}", "{line}", "no; such `file` $(reboot)"]
    keep = [str(program("sleep")), "600"]
    with master.config_file.open("a") as file:
        file.write(f"[commands.note]\nargv = {json.dumps(note)}\n[commands.keep]\nargv = {json.dumps(keep)}\n")
        file.write(f"[commands.never]\nargv = {json.dumps([str(program('false'))])}\n")
    master.start(prefix=watched(trace))
    events = ("set_dns_challenge", "clear_dns_challenge", "dns_zone_update", "order_issued")
    commands = {"prepare": ["keep"], **{event: ["note"] for event in events}}
    line = {"follower": "web", "names": ["shop.example.test"], "commands": commands}
    master.set_fleet(fleet(here.ca, {"web": [WWW]}, lines={"shop": line}))
    host = here.enrolled(master, "web")
    host.configure(HostLine("www", (WWW,)), HostLine("shop", outputs={"key": "shop.key"}))
    host.sync().well(CHANGED)
    master.issued("www@web")
    master.issued("shop")
    eventually(lambda: len(told.read_text().splitlines()) >= 5, 20, "all is told")
    master.stop()

    said = [line.split(" ", 2) for line in told.read_text().splitlines()]
    assert {event for event, *_ in said} == set(events)
    assert {(line, rest) for _, line, rest in said} == {("shop", "no; such `file` $(reboot)")}
    programs = started(trace)
    assert programs[0] == str(installed("certline"))
    assert set(programs[1:]) == {sys.executable, str(program("sleep"))}
    assert programs.count(str(program("sleep"))) == 1, "one process for an order"


def test_a_fleet_file_that_names_a_command_which_the_master_lacks_is_refused(here: Bed) -> None:
    master = here.master()
    master.start()
    line = {"follower": "web", "names": [WWW], "commands": {"prepare": ["/bin/sh"]}}
    refused = master.apply(fleet(here.ca, {"web": [WWW]}, lines={"shop": line}))
    assert refused.code == 2
    assert "there is no command '/bin/sh'" in refused.err


def test_the_follower_starts_the_hooks_of_its_own_file_and_nothing_else(here: Bed, tmp_path: Path) -> None:
    trace, told = tmp_path / "follower.trace", tmp_path / "told"
    master = here.serving({"web": [WWW]})
    host = here.enrolled(master, "web")
    note = [sys.executable, "-I", "-S", "-c", NOTE, str(told), "{certificate_file}", "$(reboot); `reboot`"]
    host.configure(HostLine("www", (WWW,)))
    with host.config_file.open("a") as file:
        file.write(f"[hooks.every]\ncertificate_installed = {json.dumps(note)}\n")
        file.write(f"chain_installed = {json.dumps([str(program('false'))])}\n")
    host.start(before=watched(trace))
    master.issued("www@web")
    eventually(told.exists, 20, "the hook ran")
    host.stop()
    assert told.read_text() == f"{host.tls}/fullchain.pem $(reboot); `reboot`\n"
    programs = started(trace)
    assert programs[0] == str(installed("certline-follower"))
    assert programs[1:] == [sys.executable]
