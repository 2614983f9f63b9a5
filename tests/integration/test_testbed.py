"""Each part of the test bed starts, answers as the real thing, and is gone afterwards."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsigkeyring
import dns.update
import psycopg
import pytest

from tests.testbed import bind as bind_part
from tests.testbed import challtestsrv as challtestsrv_part
from tests.testbed import netns as netns_part
from tests.testbed import pebble as pebble_part
from tests.testbed import postgres as postgres_part
from tests.testbed.authority import Authority
from tests.testbed.bind import ALGORITHMS, Bind, TsigKey
from tests.testbed.challtestsrv import ChallTestSrv
from tests.testbed.netns import IsolatedNetwork
from tests.testbed.nginx import nginx, presented_certificate
from tests.testbed.parts import require
from tests.testbed.pebble import Pebble
from tests.testbed.pebble_binary import find_pebble
from tests.testbed.ports import free_port, free_ports
from tests.testbed.postgres import PostgresServer
from tests.testbed.program import Program, TestbedError, running


def listens(port: int, address: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_free_ports_are_distinct_and_nobody_listens_there() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(listens(port) for port in ports)


def test_a_program_that_never_answers_is_stopped_and_its_output_is_in_the_error(tmp_path: Path) -> None:
    program = Program([sys.executable, "-c", "print('no socket to be had', flush=True)"], log=tmp_path / "log")
    with pytest.raises(TestbedError, match="no socket to be had"), running(program, lambda: False):
        pytest.fail("it answered")
    assert not program.is_running


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


def test_a_part_run_by_hand_says_how_to_use_it_and_stops_when_told() -> None:
    require("pebble")
    command = [sys.executable, "-m", "tests.testbed.pebble"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as by_hand:
        assert by_hand.stdout is not None
        first = by_hand.stdout.readline()
        port = int(first.rstrip().removesuffix("/dir").rpartition(":")[2])
        assert listens(port)
        by_hand.stdout.readline()
        by_hand.terminate()
        rest = by_hand.stdout.read()
    assert by_hand.returncode == 0
    assert "stopping" in rest
    assert not listens(port)


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


# PostgreSQL


def test_each_database_of_the_server_is_new_and_the_server_is_gone_afterwards() -> None:
    require("postgres")
    with postgres_part.postgres_server() as server:
        first, second = (_psycopg_url(server.new_database()) for _ in range(2))
        with psycopg.connect(first) as connection:
            connection.execute("CREATE TABLE t (n int)")
        with psycopg.connect(second) as connection:
            found = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 't'").fetchone()
        assert found == (0,)
    assert not is_alive(server.process.pid)


def test_what_was_committed_is_there_after_the_server_was_killed() -> None:
    require("postgres")
    with postgres_part.postgres_server() as server:
        url = _psycopg_url(server.new_database())
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t AS SELECT 7 AS n")
        server.kill9()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.restart()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT n FROM t").fetchone() == (7,)


def test_the_server_of_the_session_hands_out_urls_for_sqlalchemy(postgres: PostgresServer) -> None:
    assert postgres.new_database().startswith("postgresql+psycopg://")


def _psycopg_url(url: str) -> str:
    return url.replace("+psycopg", "")


# BIND


def update(server: Bind, key: TsigKey, *, zone: str = "example.test") -> dns.rcode.Rcode:
    keyring = dns.tsigkeyring.from_text({key.name: (key.algorithm, key.secret)})
    change = dns.update.UpdateMessage(zone, keyring=keyring, keyname=dns.name.from_text(key.name))
    change.add("_acme-challenge", 60, "TXT", key.algorithm)
    return dns.query.tcp(change, "127.0.0.1", timeout=5, port=server.port).rcode()


def test_bind_takes_updates_under_each_of_its_keys_and_keeps_them_over_a_restart(bind: Bind) -> None:
    assert [update(bind, bind.keys[algorithm]) for algorithm in ALGORITHMS] == [dns.rcode.NOERROR] * 3
    assert bind.records("_acme-challenge.example.test") == sorted(ALGORITHMS)
    bind.restart()
    assert bind.records("_acme-challenge.example.test") == sorted(ALGORITHMS)


def test_bind_refuses_a_key_without_a_grant(bind: Bind) -> None:
    assert update(bind, bind.refused_key) == dns.rcode.REFUSED
    assert bind.records("_acme-challenge.example.test") == []


def test_bind_serves_several_zones_and_signs_them_when_asked_and_is_gone_afterwards() -> None:
    require("named")
    zones = {"example.test": "www IN TXT here", "other.test": ""}
    with bind_part.bind(zones, dnssec=True) as server:
        assert server.records("www.example.test") == ["here"]
        assert server.records("other.test", "SOA")
        assert update(server, server.keys["hmac-sha512"], zone="other.test") == dns.rcode.NOERROR
    assert not is_alive(server.process.pid)


# nginx


def test_nginx_serves_the_pair_it_was_given_and_another_after_its_reload(tmp_path: Path) -> None:
    require("nginx")
    live = tmp_path / "live"
    live.mkdir()
    authority = Authority(tmp_path / "ca")
    old, new = authority.issue("old"), authority.issue("new")
    chain, key = live / "chain.pem", live / "key.pem"
    chain.symlink_to(old.chain_file)
    key.symlink_to(old.key_file)
    with nginx([(chain, key)]) as server:
        before = presented_certificate(server.port)
        for link, target in ((chain, new.chain_file), (key, new.key_file)):
            link.unlink()
            link.symlink_to(target)
        subprocess.run(server.check_command, check=True, capture_output=True)
        subprocess.run(server.reload_command, check=True, capture_output=True)
        server.process.wait_until(lambda: presented_certificate(server.port) != before, seconds=5)
    assert not is_alive(server.process.pid)
    assert not listens(server.port)


# isolated hosts

PROBE = """
import json, socket, sys
found = {}
for target in sys.argv[1:]:
    address, port = target.rsplit(":", 1)
    try:
        socket.create_connection((address, int(port)), timeout=3).close()
        found[target] = "reached"
    except OSError as error:
        found[target] = error.strerror or str(error)
print(json.dumps(found))
"""


def test_an_isolated_host_reaches_the_one_port_and_nothing_else(isolated_network: IsolatedNetwork) -> None:
    allowed, other = free_ports(2)
    host = isolated_network.add_host(ports=[allowed])
    address = isolated_network.master_address
    with (
        socket.create_server((address, allowed)),
        socket.create_server((address, other)),
        socket.create_server(("127.0.0.1", 0)) as local,
    ):
        only_here = f"127.0.0.1:{local.getsockname()[1]}"
        targets = [f"{address}:{allowed}", f"{address}:{other}", only_here, "192.0.2.1:443"]
        found = json.loads(host.run([sys.executable, "-c", PROBE, *targets]))
    assert found[f"{address}:{allowed}"] == "reached"
    assert found[f"{address}:{other}"] == "Network is unreachable"
    assert found[only_here] == "Connection refused"
    assert found["192.0.2.1:443"] == "Network is unreachable"


def test_two_isolated_hosts_reach_the_same_master_but_not_each_other(isolated_network: IsolatedNetwork) -> None:
    port = free_port()
    first, second = (isolated_network.add_host(ports=[port]) for _ in range(2))
    with socket.create_server((isolated_network.master_address, port)):
        for host, peer in ((first, second), (second, first)):
            master, other = f"{host.master_address}:{port}", f"{peer.address}:{port}"
            found = json.loads(host.run([sys.executable, "-c", PROBE, master, other]))
            assert found == {master: "reached", other: "Network is unreachable"}


def test_an_isolated_host_is_gone_afterwards_with_what_still_ran_on_it(tmp_path: Path) -> None:
    require("isolation")
    with netns_part.isolated_host(free_port()) as host:
        left_over = Program(host.command(["sleep", "600"]), log=tmp_path / "log")
        left_over.start()
        left_over.wait_until(lambda: left_over.pid in host.processes())
    with pytest.raises(TestbedError):
        host.processes()
    left_over.stop()
    assert not left_over.is_running
    assert not Path(f"/var/run/netns/{host.name}").exists()


# what is missing


def test_a_missing_part_fails_in_ci_and_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("tests.testbed.parts._SBIN", ())
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="nginx is not installed"):
        require("nginx")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="nginx is not installed"):
        require("nginx")
