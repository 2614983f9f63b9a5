"""One host alone: `init --with-follower` and `serve` are all that it needs."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certline_master import settings
from certline_master.cli.main import run
from certline_shared.clock import SystemClock
from tests.integration.cli_bed import CA_IS_HERE, Commands, Master, Said
from tests.testbed.parts import require
from tests.testbed.pebble import pebble
from tests.testbed.ports import free_port
from tests.testbed.program import is_alive

ORIGIN = "https://master.example:8443"


class Host:
    """A machine on which certline is installed, and nothing else."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.master = Master(folder, free_port())
        self.certline = Commands(self.master.config, capsys)
        self._capsys = capsys

    def init(self, *words: str) -> Said:
        place = ("--dir", str(self.master.folder), "--listen", f"127.0.0.1:{self.master.port}")
        code = run(["init", "--origin", ORIGIN, *place, *words])
        out, err = self._capsys.readouterr()
        return Said(code, out, err)

    @property
    def settings(self) -> settings.Settings:
        return settings.load(self.master.config)

    @property
    def follower_file(self) -> Path:
        return self.master.folder / "follower" / "certline-follower.toml"

    def follower_pids(self) -> list[int]:
        return [one["pid"] for one in self.master.records() if one["event"] == "the local follower runs"]

    def seen(self) -> Any:
        return self.certline.json("follower", "show", "local")


@pytest.fixture
def host(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Host]:
    made = Host(tmp_path / "etc", capsys)
    yield made
    made.master.stop()


def test_init_enrols_a_follower_over_loopback_and_serve_runs_it(host: Host) -> None:
    said = host.init("--with-follower").well()

    assert said.out.splitlines()[-2:] == [
        f"follower     {host.follower_file}, enrolled as local; `certline serve` runs it",
        f"Next: certline --config {host.master.config} serve",
    ]
    assert host.settings.api.origins == (ORIGIN, f"https://localhost:{host.master.port}")
    assert host.settings.local_follower.config == host.follower_file
    host.master.start()
    host.master.process.wait_until(lambda: host.seen()["last_seen"] is not None)
    [pid] = host.follower_pids()
    assert is_alive(pid)
    assert host.seen()["state"] == "active"


def test_stopping_ends_the_follower_too_within_5_seconds_while_it_waits_for_news(host: Host) -> None:
    host.init("--with-follower").well()
    host.master.start()
    host.master.process.wait_until(lambda: host.seen()["last_seen"] is not None)
    [pid] = host.follower_pids()

    clock = SystemClock()
    told = clock.monotonic()
    host.master.process.signal(signal.SIGTERM)

    assert host.master.process.wait(10) == 0
    assert clock.monotonic() - told < 5
    assert not is_alive(pid)


def test_a_follower_that_dies_is_started_again(host: Host) -> None:
    host.init("--with-follower").well()
    host.master.start()
    host.master.process.wait_until(lambda: len(host.follower_pids()) == 1)

    os.kill(host.follower_pids()[0], signal.SIGKILL)
    host.master.process.wait_until(lambda: len(host.follower_pids()) == 2)

    assert any(one["event"].startswith("the local follower ended") for one in host.master.records())


def test_run_twice_it_changes_nothing(host: Host) -> None:
    host.init("--with-follower").well()
    before = {path: path.read_bytes() for path in host.master.folder.rglob("*") if path.is_file()}

    assert "nothing was changed" in host.init("--with-follower").well().out
    assert "nothing was changed" in host.init().well().out

    assert {path: path.read_bytes() for path in host.master.folder.rglob("*") if path.is_file()} == before


def test_a_follower_may_be_added_to_a_master_that_is_there(host: Host) -> None:
    host.init().well()
    assert f"localhost:{host.master.port}" not in host.master.config.read_text()

    host.init("--with-follower").well()

    assert host.settings.api.origins == (ORIGIN, f"https://localhost:{host.master.port}")
    assert host.settings.local_follower.config == host.follower_file
    assert (host.follower_file.parent / "state" / "identity.json").exists()


def test_what_was_cut_off_before_its_last_step_is_finished_by_running_it_again(host: Host) -> None:
    host.init("--with-follower").well()
    text = host.master.config.read_text()
    host.master.config.write_text(text[: text.index("[local_follower]")])

    host.init("--with-follower").well()

    assert host.settings.local_follower.config == host.follower_file
    host.master.start()
    host.master.process.wait_until(lambda: host.seen()["state"] == "active")


def test_beside_a_running_master_that_does_not_know_the_local_origin_it_says_to_restart_it(host: Host) -> None:
    host.init().well()
    host.master.start()

    told = host.init("--with-follower").refused(3)

    assert "was added to the origins: restart `certline serve`, then run this once more" in told
    host.master.stop()
    host.master.start()
    host.init("--with-follower").well()


def test_settings_that_a_person_rewrote_are_left_alone_where_they_are_not_understood(host: Host) -> None:
    host.init().well()
    text = host.master.config.read_text().replace(f'["{ORIGIN}"]', f'[\n  "{ORIGIN}",\n]')
    host.master.config.write_text(text)

    told = host.init("--with-follower").refused(3)

    assert "is not as `certline init` writes it, so it was left alone" in told
    assert host.master.config.read_text() == text


def test_the_fleet_file_gives_this_host_a_certificate(host: Host, tmp_path: Path) -> None:
    require("pebble")
    host.init("--with-follower").well()
    dns = free_port()
    with host.master.config.open("a") as file:
        file.write(f'\n[responder]\nlisten = "127.0.0.1:{dns}"\n{CA_IS_HERE}')
    with host.follower_file.open("a") as file:
        file.write('\n[[line]]\nname = "shop"\n[[line.output]]\nkind = "fullchain"\npath = "shop.pem"\n')
    with pebble("calm", dns_server=f"127.0.0.1:{dns}") as ca:
        (tmp_path / "ca.pem").write_text(ca.ca_file.read_text())
        (tmp_path / "fleet.yaml").write_text(FLEET.replace("DIRECTORY", ca.directory_url))
        host.master.start()
        assert host.certline("apply", "-f", tmp_path / "fleet.yaml").code == 0

        first = host.certline("line", "issue", "shop", "--wait").well()
        again = host.certline("line", "issue", "shop", "--wait", "--force", "--output", "json").well().json
        settled = host.certline("line", "issue", "shop", "--wait").well()

    assert first.out.startswith(("shop: version 1 was issued, serial ", "nothing to do: version 1 is live"))
    assert (again["number"], again["state"]) == (2, "live")
    assert settled.out.startswith("nothing to do: version 2 is live; renews ")
    shown = host.certline("line", "show", "shop").well().out
    assert "renews " in shown
    assert " UTC: " in shown
    assert f"serial {again['certificates'][0]['serial']}, valid until " in shown
    row = next(line for line in host.certline("status").well().out.splitlines() if line.startswith("line"))
    assert "expires 20" in row
    host.master.process.wait_until(lambda: installed(host) == 2)
    rows = [row.split() for row in host.certline("line", "show", "shop").well().out.splitlines()]
    assert ["local", "2", "2", "2", "-", "-"] in rows, "wanted, pulled and installed; it has no service to reload"
    assert "BEGIN CERTIFICATE" in (host.follower_file.parent / "shop.pem").read_text()


def installed(host: Host) -> int:
    """The newest version that the follower reports as installed."""
    found = host.certline.json("line", "show", "shop")["deployments"]
    return max((one["version"] for one in found if one["state"] == "installed"), default=0)


FLEET = json.dumps(
    {
        "issuers": {"le": {"directory": "DIRECTORY", "ca_file": "ca.pem", "default": True}},
        "zones": {"example.com": {"solver": "responder"}},
        "lines": {"shop": {"follower": "local", "names": ["shop.example.com", "*.shop.example.com"]}},
    }
)
