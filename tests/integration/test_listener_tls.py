"""The listener's TLS, by the word of an independent program: 1.2 and up, with forward secrecy, nothing older."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from certline_master.server import tls_context
from tests.integration.api_bed import Bed, running_master, serving, sqlite_url
from tests.testbed.authority import Authority
from tests.testbed.parts import program, require


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path_factory.mktemp("master"))) as running:
        yield running


@pytest.fixture(scope="module")
def port(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    require("openssl")
    pair = Authority(tmp_path_factory.mktemp("ca")).issue("api")
    with serving(bed.app, tls=tls_context(pair.chain_file, pair.key_file)) as url:
        yield int(url.rpartition(":")[2])


def offered(port: int, *words: str) -> str:
    """What became of a handshake with openssl's client, which offers what it is told, however old."""
    openssl = program("openssl")
    assert openssl is not None
    command = [str(openssl), "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost", *words]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20, check=False)
    return done.stdout + done.stderr


def agreed(said: str) -> bool:
    return "Cipher is (NONE)" not in said and "Cipher is " in said


def refused(said: str) -> bool:
    """By the master, not by the client itself, which may not know how to offer it."""
    assert "written 0 bytes" not in said, said
    return "Cipher is (NONE)" in said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_present_versions_are_spoken(port: int, version: str) -> None:
    assert agreed(offered(port, version))


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(port: int, version: str) -> None:
    assert refused(offered(port, version, "-cipher", "ALL:@SECLEVEL=0"))


@pytest.mark.parametrize("cipher", ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"])
def test_strong_suites_of_tls_1_2_are_spoken(port: int, cipher: str) -> None:
    assert agreed(offered(port, "-tls1_2", "-cipher", cipher))


@pytest.mark.parametrize(
    "cipher",
    [
        "AES256-GCM-SHA384",  # without forward secrecy
        "AES128-SHA",
        "ECDHE-ECDSA-AES128-SHA",  # CBC
        "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-RSA-AES128-SHA256",
        "ECDHE-ECDSA-AES128-CCM8",
        "DHE-RSA-AES256-GCM-SHA384",
        "AECDH-AES256-SHA",  # nobody is authenticated
        "NULL-SHA256",  # nothing is encrypted
        "PSK-AES128-CBC-SHA",
    ],
)
def test_weak_suites_are_refused(port: int, cipher: str) -> None:
    assert refused(offered(port, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0"))


def test_a_client_does_not_change_what_was_agreed(port: int) -> None:
    """Renegotiation: RFC 9325 section 3.5."""
    openssl = program("openssl")
    assert openssl is not None
    command = [str(openssl), "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2"]
    done = subprocess.run(command, input="R\n", capture_output=True, text=True, timeout=20, check=False)
    assert "no renegotiation" in (done.stdout + done.stderr).lower()


def test_a_certificate_file_without_its_key_is_refused(tmp_path: Path) -> None:
    pair = Authority(tmp_path / "ca").issue("api")
    with pytest.raises(OSError, match="PEM"):
        tls_context(pair.chain_file)
