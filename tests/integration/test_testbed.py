"""Each part of the test bed starts, answers as the real thing, and is gone afterwards."""

import json
import socket
import subprocess
import sys
from collections.abc import Sequence
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
from tests.testbed import netns as netns_part
from tests.testbed import postgres as postgres_part
from tests.testbed.authority import Authority
from tests.testbed.bind import ALGORITHMS, Bind, TsigKey
from tests.testbed.netns import IsolatedNetwork
from tests.testbed.nginx import nginx, presented_certificate
from tests.testbed.parts import Part, require
from tests.testbed.ports import free_port, free_ports, listens
from tests.testbed.postgres import PostgresServer
from tests.testbed.program import Program, TestbedError, is_alive, running


def test_free_ports_are_distinct_and_nobody_listens_there() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert not any(listens(port) for port in ports)


def test_a_program_that_never_answers_is_stopped_and_its_output_is_in_the_error(tmp_path: Path) -> None:
    program = Program([sys.executable, "-c", "print('no socket to be had', flush=True)"], log=tmp_path / "log")
    with pytest.raises(TestbedError, match="no socket to be had"), running(program, lambda: False):
        pytest.fail("it answered")
    assert not program.is_running


def test_what_a_wrapper_started_is_gone_too_when_it_is_stopped(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    inner = f"import os, signal, pathlib; pathlib.Path({str(file)!r}).write_text(str(os.getpid())); signal.pause()"
    wrapper = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    program = Program([sys.executable, "-c", wrapper], log=tmp_path / "log")
    with running(program, lambda: file.exists() and bool(file.read_text())):
        started = int(file.read_text())
    assert not is_alive(started)


# run by hand

BY_HAND: Sequence[tuple[str, Part]] = [
    ("pebble", "pebble"),
    ("challtestsrv", "pebble"),
    ("postgres", "postgres"),
    ("bind", "named"),
    ("nginx", "nginx"),
    ("netns", "isolation"),
]


@pytest.mark.parametrize(("module", "part"), BY_HAND)
def test_a_part_run_by_hand_says_how_to_use_it_and_stops_when_told(module: str, part: Part) -> None:
    require(part)
    command = [sys.executable, "-m", f"tests.testbed.{module}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as by_hand:
        assert by_hand.stdout is not None
        lines = list(iter(by_hand.stdout.readline, "Ctrl-C stops it.\n"))
        by_hand.terminate()
        rest = by_hand.stdout.read()
    assert lines
    assert (by_hand.returncode, rest) == (0, "stopped\n")


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
