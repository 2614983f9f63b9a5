"""A master that cannot read its secrets starts all the same, says why, and does nothing else until it can."""

import base64
import signal
import sqlite3
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from certline_master.cli import sealed
from certline_master.settings import load
from certline_shared.clock import SystemClock
from tests.integration.cli_bed import Master, initialised


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    """Initialised, not started."""
    made = initialised(tmp_path / "etc")
    yield made
    made.stop()


def client(master: Master) -> httpx.Client:
    context = ssl.create_default_context(cafile=master.folder / "tls" / "ca.pem")
    return httpx.Client(base_url=f"https://localhost:{master.port}", verify=context, trust_env=False)


def assert_sealed(master: Master, why: str) -> None:
    """Alive, not ready, 503 with Retry-After for admins and followers alike; `certline status` says why."""
    with client(master) as http:
        assert http.get("/healthz").text == "ok\n"
        for method, path in (("GET", "/readyz"), ("GET", "/v1/status"), ("GET", "/v1/follower/manifest")):
            answer = http.request(method, path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30"), path
            assert why in answer.json()["detail"]
    assert f"certline: sealed: {why}" in master.command("status").refused(5)


def test_without_its_kek_it_serves_sealed_and_makes_no_new_one_and_unseals_with_it_when_restarted(
    master: Master,
) -> None:
    kek = master.folder / "kek"
    aside = kek.rename(master.folder / "kek-aside")

    master.start()

    assert_sealed(master, f"cannot read {kek}: No such file or directory")
    assert not kek.exists()
    [told] = [one for one in master.records() if one["event"] == "serving sealed"]
    assert told["level"] == "error"
    aside.rename(kek)
    master.stop()
    master.start()
    assert "ready" in master.command("status").well().out


def test_without_any_source_in_the_settings_it_serves_sealed(master: Master) -> None:
    master.edit('kek = "file:kek"', "")

    master.start()

    assert_sealed(master, "no key encryption key was given; set [secrets] kek")


def test_a_wrong_kek_is_told_with_the_id_of_the_right_one(master: Master) -> None:
    (master.folder / "kek").write_bytes(base64.b64encode(b"x" * 32))

    master.start()

    assert_sealed(master, "wrong key encryption key; the database needs the one with id")


def test_a_damaged_data_key_is_told_apart_from_a_wrong_kek(master: Master) -> None:
    with closing(sqlite3.connect(master.folder / "data" / "certline.sqlite")) as connection:
        connection.execute("UPDATE data_keys SET wrapped = zeroblob(length(wrapped) - 1) || x'00'")
        connection.commit()

    master.start()

    with client(master) as http:
        told = http.get("/readyz").json()["detail"]
    assert "is damaged (the key encryption key is the right one): restore the database" in told


def test_a_sealed_master_stops_when_told_and_ends_well(master: Master) -> None:
    (master.folder / "kek").unlink()
    master.start()

    master.process.stop()

    assert master.process.wait(5) == 0


def test_without_a_certificate_to_serve_with_it_says_why_it_cannot_start(master: Master) -> None:
    (master.folder / "kek").unlink()
    (master.folder / "tls" / "api.pem").unlink()

    told = master.command("serve").refused(3)

    assert "sealed: cannot read" in told
    assert "api.pem: No such file" in told


def test_it_goes_on_by_itself_once_the_key_is_to_be_had(master: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: the look every 30 seconds is made every 10 ms."""
    monkeypatch.setattr(sealed, "RETRY_AFTER", 0.01)
    kek = master.folder / "kek"
    aside = kek.rename(master.folder / "kek-aside")

    def give_back() -> None:
        clock, never = SystemClock(), threading.Event()
        with client(master) as http:
            while not _is_alive(http):
                clock.pause(0.01, never)
        aside.rename(kek)

    giver = threading.Thread(target=give_back)
    giver.start()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    assert sealed.serve_sealed(load(master.config), "sealed: for a test") is True
    giver.join()
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _is_alive(http: httpx.Client) -> bool:
    try:
        return http.get("/healthz").is_success
    except httpx.HTTPError:
        return False
