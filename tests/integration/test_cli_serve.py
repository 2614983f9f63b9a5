"""`certline serve` as a process: it comes up, says so, stops in time, and says clearly why it cannot serve."""

import resource
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from certline_master.cli.failures import CommandFailed
from certline_shared.clock import SystemClock
from tests.integration.cli_bed import ENVIRONMENT, Master, Said, initialised, installed, serving

CLOCK = SystemClock()


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    """Initialised, not started."""
    made = initialised(tmp_path / "etc")
    yield made
    made.stop()


@pytest.fixture
def database(master: Master) -> Path:
    return master.folder / "data" / "certline.sqlite"


def serve(master: Master) -> Said:
    return master.command("serve")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop_and_then_ends_well_within_5_seconds(
    tmp_path: Path, number: signal.Signals
) -> None:
    with serving(tmp_path / "etc") as master:
        told = CLOCK.monotonic()
        master.process.signal(number)
        code = master.process.wait(10)
        took = CLOCK.monotonic() - told

    assert code == 0, master.log.read_text()
    assert took < 5


def test_it_logs_one_json_object_for_each_event(tmp_path: Path) -> None:
    with serving(tmp_path / "etc") as master:
        pass

    records = master.records()
    events = [record["event"] for record in records if record["logger"] == "certline.serve"]
    assert events == ["serving", "stopping", "stopped"]
    assert all({"time", "level", "logger", "event"} <= set(record) for record in records)


def test_a_signal_before_it_serves_ends_it_well_too(master: Master) -> None:
    master.process.start()
    master.process.wait_until(lambda: catches_sigterm(master.process.pid))

    master.process.signal(signal.SIGTERM)

    assert master.process.wait(10) == 0, master.log.read_text()


def catches_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    [mask] = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(mask, 16) & 1 << (signal.SIGTERM - 1))


def test_a_second_one_on_the_same_sqlite_is_refused_with_the_firsts_pid(tmp_path: Path) -> None:
    with serving(tmp_path / "etc") as master:
        told = serve(master).refused(3)

        assert f"another certline process (pid {master.process.pid}) is writing to" in told
        assert "use Postgres" in told


def test_an_address_in_use_is_told(master: Master) -> None:
    with closing(socket.create_server(("127.0.0.1", master.port))):
        told = serve(master).refused(3)

    assert told == f"certline: api.listen 127.0.0.1:{master.port}: address already in use\n"


@pytest.mark.parametrize("section", ["responder", "http01"])
def test_an_address_in_use_is_told_for_the_other_listeners_too(master: Master, section: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        master.edit("[store]", f'[{section}]\nlisten = "{address}"\n\n[store]')
        told = serve(master).refused(3)

    assert told.startswith(f"certline: cannot listen on {address} (")
    assert told.endswith("): address already in use\n")


def test_an_address_of_another_machine_is_told(master: Master) -> None:
    master.edit(f"127.0.0.1:{master.port}", "192.0.2.99:8443")

    assert "api.listen 192.0.2.99:8443: cannot assign requested address" in serve(master).refused(3)


def test_an_address_that_is_none_is_told(master: Master) -> None:
    master.edit(f"127.0.0.1:{master.port}", "no-such-host.invalid:8443")

    assert "api.listen no-such-host.invalid:8443: " in serve(master).refused(3)


def test_a_database_that_is_not_at_head_is_refused_naming_migrate_which_then_helps(
    master: Master, database: Path
) -> None:
    database.unlink()
    sqlite3.connect(database).close()

    assert "run `certline migrate`" in serve(master).refused(3)
    assert "was brought to this release's schema" in master.command("migrate").well().out
    assert "nothing to do" in master.command("migrate").well().out


def test_a_database_of_a_newer_release_is_refused(master: Master, database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()

    assert "a newer release" in serve(master).refused(3)
    assert "a newer release" in master.command("migrate").refused(3)


def test_a_database_that_is_not_there_is_told(master: Master, database: Path) -> None:
    database.unlink()

    assert f"there is no database {database}" in serve(master).refused(3)


def test_a_store_url_that_is_none_is_told_by_the_settings_name_and_file(master: Master) -> None:
    master.edit('url = "', 'url = "mysql://root@localhost/certline" # "')

    for told in (serve(master).refused(2), master.command("migrate").refused(2)):
        assert told.startswith(f"certline: {master.config}: store.url: ")


def test_a_store_that_was_never_initialised_is_told(master: Master, database: Path) -> None:
    database.unlink()
    master.command("migrate").well()

    assert "was never initialised" in serve(master).refused(3)


def test_a_kek_that_others_can_read_is_refused(master: Master) -> None:
    (master.folder / "kek").chmod(0o644)

    kek = master.folder / "kek"
    assert serve(master).refused(2) == (
        f"certline: {master.config}: secrets.kek: {kek} has mode 0644: run `chmod 0400 {kek}`\n"
    )


def test_settings_that_are_not_there_are_told_with_the_files_tried(tmp_path: Path) -> None:
    told = installed("serve", cwd=tmp_path).refused(2)

    assert f"found neither {tmp_path}/certline.toml nor /etc/certline/certline.toml" in told


def test_settings_with_a_fault_are_told_by_file_line_and_field(master: Master) -> None:
    master.edit("[store]", "[stoer]")

    told = serve(master).refused(2)

    assert told.startswith(f"certline: {master.config}:")
    assert ": stoer: is not a setting; remove it" in told


def test_a_disk_that_fails_under_the_database_ends_it_with_exit_4_for_the_service_manager_to_start_anew(
    master: Master,
) -> None:
    with master.client() as client:
        serving = subprocess.Popen(master.process.command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        try:
            while not client.answers():
                assert serving.poll() is None
            resource.prlimit(serving.pid, resource.RLIMIT_FSIZE, (1, 1))  # from now on no file can grow
            with pytest.raises(CommandFailed):
                client.put("/v1/followers/web-1", {"grants": {"request": []}})
            _, told = serving.communicate(timeout=20)
        finally:
            serving.kill()

    assert serving.returncode == 4
    assert "certline: the database failed: " in told.splitlines()[-1]
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ("", 'api.tls = "files" needs api.tls_certificate and api.tls_key'),
        ('tls_certificate = "none.pem"\ntls_key = "none.key"\n', "none.pem: cannot be read: No such file"),
        ('tls_certificate = "kek"\ntls_key = "kek"\n', "no certificate with its private key"),
    ],
)
def test_tls_files_that_cannot_be_used_are_told(master: Master, files: str, told: str) -> None:
    master.edit("[store]", f'tls = "files"\n{files}\n[store]')

    assert told in serve(master).refused(2)


def test_the_api_may_serve_the_operators_own_certificate(master: Master) -> None:
    own = master.folder / "tls"
    master.edit("[store]", 'tls = "files"\ntls_certificate = "own.pem"\ntls_key = "own.pem"\n\n[store]')
    (own / "api.pem").rename(master.folder / "own.pem")

    master.start()

    with master.client() as client:
        assert client.get("/v1/whoami") == {"name": "init", "role": "admin"}
    assert not (own / "api.pem").exists()


def test_an_api_certificate_that_is_gone_is_issued_anew(master: Master) -> None:
    (master.folder / "tls" / "api.pem").unlink()

    master.start()

    [record] = [one for one in master.records() if "issued anew" in one["event"]]
    assert record["reason"] == "there was none"
