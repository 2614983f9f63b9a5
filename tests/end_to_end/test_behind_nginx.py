"""A master that speaks plain HTTP to an nginx, which ends TLS as deploy/nginx/master.conf has it: all goes through."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.assertions import assert_installed, same_serial, serial_of
from tests.end_to_end.harness import Bed, fleet
from tests.end_to_end.host import FollowerHost, HostLine
from tests.end_to_end.master import MasterProcess
from tests.end_to_end.waiting import eventually
from tests.integration.wire import head, statuses, wire
from tests.testbed.authority import Authority
from tests.testbed.nginx_proxy import before_master
from tests.testbed.parts import require
from tests.testbed.ports import free_port

WWW = "www.example.test"


@dataclass
class Behind:
    """A master and a host with nginx between them, whose CA the host was told."""

    master: MasterProcess
    host: FollowerHost
    origin: str
    authority: Authority


@pytest.fixture
def behind(here: Bed) -> Iterator[Behind]:
    require("nginx")
    front, back = free_port(), free_port()
    authority = Authority(here.folder / "proxy-ca")
    master = here.master(port=front)
    _speak_plain_http(master.config_file, back, f"https://localhost:{front}")
    (master.folder / "tls" / "ca.pem").write_bytes(authority.ca_file.read_bytes())  # what admins trust is the proxy's
    with before_master(back, authority.issue("proxy"), port=front):
        master.start()
        master.set_fleet(fleet(here.ca, {"web": [WWW]}))
        host = here.host("web")
        host.configure(HostLine("www", (WWW,)), master=f'ca_file = "{authority.ca_file}"')
        yield Behind(master, host, f"https://localhost:{front}", authority)


def _speak_plain_http(config: Path, port: int, origin: str) -> None:
    """As the guide and the sample of nginx say."""
    text = config.read_text()
    origins = [origin, *tomllib.loads(text)["api"]["origins"]]
    listen = f"listen = {json.dumps(tomllib.loads(text)['api']['listen'])}"
    lines = [line for line in text.splitlines() if line != listen and not line.startswith("origins")]
    ours = [f'listen = "127.0.0.1:{port}"', 'tls = "off"', 'trust = "chain"', 'trusted_proxies = ["127.0.0.1/32"]']
    at = lines.index("[api]") + 1
    config.write_text("\n".join([*lines[:at], f"origins = {json.dumps(origins)}", *ours, *lines[at:]]) + "\n")


def test_a_host_enrols_waits_for_news_installs_and_reports_through_it(behind: Behind) -> None:
    master, host = behind.master, behind.host
    host.enrol(master.token("web")).well()
    host.start()
    serial = master.issued("www@web")
    eventually(lambda: holds(host, serial), 20, "the certificate is installed")
    assert_installed(host.tls, serial)
    eventually(lambda: "installed" in states(master), 20, "the report came")

    master.renew("www@web")
    newer = master.issued("www@web", after=serial)
    eventually(lambda: holds(host, newer), 20, "the host heard of it while it waited")


def holds(host: FollowerHost, serial: str) -> bool:
    chain = host.output("fullchain.pem")
    return chain is not None and same_serial(serial_of(chain), serial)


def states(master: MasterProcess) -> list[str]:
    return [deployment["state"] for deployment in (master.line("www@web") or {"deployments": []})["deployments"]]


def test_whom_nginx_names_is_on_record_and_what_a_client_says_of_itself_is_not(behind: Behind) -> None:
    wrong = f"Authorization: Bearer certline_deadbeef_{'A' * 43}"
    with wire(behind.origin, behind.authority.client_context(), source="127.0.0.9") as client:
        client.send(head("GET /v1/status", wrong, "X-Forwarded-For: 203.0.113.9", "Connection: close"))
        assert statuses(client.rest()) == [401]
    assert [event["subject"] for event in behind.master.events("admin.refused")] == ["address:127.0.0.9"]


def test_an_admin_asks_through_it(behind: Behind) -> None:
    assert behind.master.get("/v1/whoami")["role"] == "admin"
    assert "web" in behind.master.command("follower", "list").well().out
