"""Commands of the master: what happens to orders and challenges is told to programs that its own settings name."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.commands import Command
from certline_master.domain.model import LineOptions
from tests.end_to_end.waiting import eventually
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store
from tests.integration.follower.host_bed import killed_at

NAMES = ("shop.example.com", "www.shop.example.com")
WRITER = """
import json, os, sys
with open(sys.argv[1], "a") as file:
    file.write(json.dumps(sys.argv[3:]) + "\\n")
sys.exit(9 if os.path.exists(sys.argv[2]) else 0)
"""
KEEPER = """
import os, sys, time
child = os.fork()
if child == 0:
    time.sleep(600)
with open(sys.argv[1], "a") as file:
    file.write(str(os.getpid()) + " " + str(child) + "\\n")
sys.stdin.read()
time.sleep(600)
"""
EVENTS = (
    "set_dns_challenge", "clear_dns_challenge", "dns_zone_update", "set_http_challenge", "clear_http_challenge",
    "order_issued", "order_failed",
)  # fmt: skip


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    clock, chance = FakeClock(), SeededChance()
    store = open_fresh_store(tmp_path, clock, chance)
    made = Engine(store, clock, chance, FakeCa(clock))
    made.configure()
    yield made
    made.driver.stop(0.1)
    store.close()


def writer(tmp_path: Path, *words: str) -> tuple[str, ...]:
    """A program that writes its arguments down; it fails while the file `broken` is there."""
    return (sys.executable, "-S", "-I", "-c", WRITER, str(tmp_path / "told"), str(tmp_path / "broken"), *words)


def told(tmp_path: Path) -> list[list[str]]:
    file = tmp_path / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def wants(engine: Engine, commands: dict[str, tuple[str, ...]], name: str = "shop") -> None:
    """A line with these commands at its events."""
    engine.want(name, NAMES)
    with engine.store.read() as records:
        line = records.lines.get(SYSTEM, name)
    options = replace(line.options, commands=commands)
    engine.store.write(lambda records: records.lines.save(SYSTEM, replace(line, options=options)))


def with_commands(engine: Engine, *commands: Command) -> None:
    engine.commands = {one.name: one for one in commands}
    engine.kill()  # as a master that starts with these settings


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_all_that_happens_to_an_order_is_told_in_its_order(engine: Engine, tmp_path: Path) -> None:
    argv = writer(tmp_path, "{event}", "{line}", "{domain}", "{zone}", "{record}", "{domains_cn}", "{domains_all}")
    with_commands(engine, Command("tell", argv))
    wants(engine, dict.fromkeys(EVENTS, ("tell",)))
    engine.run()
    first, second = (["shop", name, "example.com", f"_acme-challenge.{name}"] for name in NAMES)
    names = [NAMES[0], *NAMES]
    happened = [one for one in told(tmp_path) if one[0] != "order_issued"]
    assert happened == [
        ["set_dns_challenge", *first, *names],
        ["set_dns_challenge", *second, *names],
        ["dns_zone_update", "shop", "", "example.com", "", *names],
        ["clear_dns_challenge", *first, *names],
        ["clear_dns_challenge", *second, *names],
        ["dns_zone_update", "shop", "", "example.com", "", *names],
    ]
    assert ["order_issued", "shop", "", "", "", *names] in told(tmp_path)


def test_an_order_that_failed_is_told_with_its_reason(engine: Engine, tmp_path: Path) -> None:
    with_commands(engine, Command("tell", writer(tmp_path, "{event}", "{error}")))
    wants(engine, {"order_failed": ("tell",), "order_issued": ("tell",)})
    engine.ca.validate = lambda _: "no TXT record; $(reboot)"
    engine.run(timedelta(seconds=5))
    ((event, error),) = told(tmp_path)
    assert event == "order_failed"
    assert "no TXT record; $(reboot)" in error, "one argument, which no shell reads"


def test_a_command_that_fails_is_a_warning(engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broken").touch()
    with_commands(engine, Command("tell", writer(tmp_path)))
    wants(engine, {"set_dns_challenge": ("tell",)})
    engine.run()
    assert engine.live("shop") is not None
    assert "a command failed" in caplog.messages


def test_an_order_does_not_go_on_before_a_required_command_ended_well(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with_commands(engine, Command("open-port", writer(tmp_path), required=True))
    wants(engine, {"set_dns_challenge": ("open-port",)})
    engine.run(timedelta(seconds=20))
    assert (engine.live("shop"), engine.ca.count("challenge")) == (None, 0)
    (tmp_path / "broken").unlink()
    engine.run(timedelta(minutes=5))
    assert engine.live("shop") is not None


def test_a_line_that_names_no_command_starts_none(engine: Engine, tmp_path: Path) -> None:
    with_commands(engine, Command("tell", writer(tmp_path)))
    engine.want("shop", NAMES)
    engine.run()
    assert told(tmp_path) == []


@pytest.mark.parametrize("goes_well", [True, False])
def test_a_preparation_starts_before_the_order_and_ends_with_it(
    engine: Engine, tmp_path: Path, *, goes_well: bool
) -> None:
    """2.0 15"""
    pids = tmp_path / "pids"
    with_commands(engine, Command("tunnel", (sys.executable, "-S", "-I", "-c", KEEPER, str(pids))))
    wants(engine, {"prepare": ("tunnel",)})
    running: list[bool] = []

    def validate(_: object) -> str:
        eventually(lambda: pids.exists() and pids.read_text().endswith("\n"), 10, "the preparation runs")
        found = pids.read_text().split()
        running.append(len(found) == 2 and is_running(int(found[0])))
        return "" if goes_well else "no TXT record"

    engine.ca.validate = validate
    engine.run(timedelta(seconds=5))
    assert (engine.live("shop") is not None) is goes_well
    assert running
    assert all(running), "one process, which ran while the CA looked"
    for pid in map(int, pids.read_text().split()):
        eventually(lambda pid=pid: not is_running(pid), 5, "it ended, and what it had started")  # type: ignore[misc]


def test_a_required_preparation_that_cannot_start_keeps_the_order_from_being_opened(
    engine: Engine, tmp_path: Path
) -> None:
    with_commands(engine, Command("tunnel", (str(tmp_path / "missing"),), required=True))
    wants(engine, {"prepare": ("tunnel",)})
    engine.run(timedelta(seconds=20))
    assert engine.ca.count("newOrder") == 0


def test_a_line_keeps_its_commands_in_the_store(engine: Engine) -> None:
    wants(engine, {"prepare": ("tunnel",)})
    with engine.store.read() as records:
        assert records.lines.get(SYSTEM, "shop").options == LineOptions(commands={"prepare": ("tunnel",)})


@pytest.mark.parametrize("event", ["set_dns_challenge", "clear_dns_challenge"])
def test_a_command_for_an_answer_runs_again_where_a_kill_cut_it_off(engine: Engine, tmp_path: Path, event: str) -> None:
    with_commands(engine, Command("tell", writer(tmp_path, "{event}", "{domain}")))
    wants(engine, {event: ("tell",)})
    with killed_at("command.ran"):
        engine.run()
    engine.kill()
    engine.clock.advance(timedelta(minutes=2))
    engine.run()
    assert engine.live("shop") is not None
    assert {tuple(one) for one in told(tmp_path)} == {(event, name) for name in NAMES}
    assert len(told(tmp_path)) == 3, "the one that was cut off twice"
