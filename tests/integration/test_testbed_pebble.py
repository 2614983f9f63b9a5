"""Pebble and its challenge test server start, answer as a CA and a DNS do, and are gone afterwards."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.testbed import challtestsrv as challtestsrv_part
from tests.testbed import pebble as pebble_part
from tests.testbed.challtestsrv import ChallTestSrv
from tests.testbed.parts import require
from tests.testbed.pebble import Pebble
from tests.testbed.pebble_binary import find_pebble
from tests.testbed.ports import free_port, listens
from tests.testbed.program import TestbedError, is_alive

# Pebble


def test_pebble_has_ari_three_profiles_and_a_root_and_is_gone_afterwards() -> None:
    require("pebble")
    with pebble_part.pebble() as ca:
        directory = ca.directory()
        assert "renewalInfo" in directory
        assert set(directory["meta"]["profiles"]) == {"classic", "tlsserver", "shortlived"}
        assert ca.roots().startswith("-----BEGIN CERTIFICATE-----")
        assert not ca.is_stuck(5)
    assert not is_alive(ca.process.pid)
    assert not listens(ca.port)


def test_a_restarted_pebble_keeps_its_ports_forgets_its_root_and_takes_changes(pebble_calm: Pebble) -> None:
    url, root = pebble_calm.directory_url, pebble_calm.roots()
    pebble_calm.restart(profiles={"classic": 86_400}, eab_keys={"kid-1": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXg"})
    meta = pebble_calm.directory()["meta"]
    assert pebble_calm.directory_url == url
    assert pebble_calm.roots() != root
    assert set(meta["profiles"]) == {"classic"}
    assert meta["externalAccountRequired"] is True


def test_a_pebble_that_gives_no_answer_is_stuck(pebble_calm: Pebble) -> None:
    pebble_calm.process.signal(signal.SIGSTOP)
    assert pebble_calm.is_stuck(0.5)
    pebble_calm.restart()
    assert not pebble_calm.is_stuck(5)


def test_the_rough_pebble_starts_in_strict_mode_too(challtestsrv: ChallTestSrv) -> None:
    with pebble_part.pebble("rough", dns_server=challtestsrv.dns_address, strict=True) as ca:
        assert "newOrder" in ca.directory()
        assert "strict" in ca.process.tail(100)


@pytest.fixture
def first_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pebble is looked for as in a new process with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("PEBBLE", raising=False)
    find_pebble.cache_clear()
    yield
    find_pebble.cache_clear()


@pytest.mark.usefixtures("first_look")
def test_an_unusable_pebble_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEBBLE", "/nowhere/pebble")
    with pytest.raises(TestbedError, match=r"PEBBLE names /nowhere/pebble.*2\.10 or newer"):
        find_pebble()


@pytest.mark.usefixtures("first_look")
def test_without_pebble_and_apt_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        TestbedError, match=r"^Pebble 2\.10 or newer is needed: .* there is no apt-get here .*$"
    ) as caught:
        find_pebble()
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("first_look")
def test_a_fetch_that_fails_leaves_one_line_and_no_litter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for tool in ("apt-get", "dpkg"):
        stand_in = tmp_path / tool
        stand_in.write_text("#!/bin/sh\necho one >&2\necho E: no such archive >&2\nexit 100\n")
        stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(TestbedError, match=r"^Pebble .* could not be fetched: E: no such archive$"):
        find_pebble()
    assert list((tmp_path / "certline" / "pebble").iterdir()) == []


# its DNS


def txt_of(port: int, name: str) -> list[str]:
    query = dns.message.make_query(name, "TXT")
    found = dns.query.tcp(query, "127.0.0.1", timeout=5, port=port)
    return sorted(value.to_text().strip('"') for rrset in found.answer for value in rrset)


def test_the_challenge_test_server_answers_as_it_was_told_and_remembers_the_questions() -> None:
    require("pebble")
    with challtestsrv_part.challtestsrv() as server:
        server.set_txt("_acme-challenge.a.test", "one")
        server.set_txt("_acme-challenge.a.test", "two")
        assert txt_of(server.dns_port, "_acme-challenge.a.test") == ["one", "two"]
        assert server.dns_questions("_acme-challenge.a.test")
        server.clear_txt("_acme-challenge.a.test")
        assert txt_of(server.dns_port, "_acme-challenge.a.test") == []
        server.set_servfail("_acme-challenge.b.test")
        query = dns.message.make_query("_acme-challenge.b.test", "TXT")
        answer = dns.query.tcp(query, "127.0.0.1", timeout=5, port=server.dns_port)
        assert answer.rcode() == dns.rcode.SERVFAIL
    assert not is_alive(server.process.pid)


def test_the_challenge_test_server_serves_key_authorizations_on_the_port_it_was_given() -> None:
    require("pebble")
    port = free_port()
    with challtestsrv_part.challtestsrv(http_port=port) as server:
        server.add_http01("a-token", "a-token.thumbprint")
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"GET /.well-known/acme-challenge/a-token HTTP/1.0\r\nHost: a.test\r\n\r\n")
            assert b"a-token.thumbprint" in client.makefile("rb").read()
