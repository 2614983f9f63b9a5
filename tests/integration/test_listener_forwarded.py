"""Where a request comes from: what a proxy says is believed when it is one of ours, and nobody else's word is."""

from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from certline_master.api.forwarded import TrustedProxies, plain_address
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.wire import head, statuses, wire
from tests.testbed.authority import Authority
from tests.testbed.nginx_proxy import before_master
from tests.testbed.parts import require

PROXIES = TrustedProxies([ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")])
OURS = "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "203.0.113.9", "192.0.2.1"),  # a stranger's word
        (OURS, "203.0.113.9", "203.0.113.9"),
        (OURS, "198.51.100.1, 203.0.113.9", "203.0.113.9"),  # the client wrote the first one itself
        (OURS, "203.0.113.9, 10.0.0.2", "203.0.113.9"),  # two proxies of ours
        (OURS, "203.0.113.9, 192.0.2.7, 10.0.0.2", "192.0.2.7"),  # a stranger between
        (OURS, "10.0.0.2", "10.0.0.2"),
        (OURS, "", OURS),
        (OURS, "unknown", OURS),
        (OURS, "203.0.113.9, _hidden", OURS),
        (OURS, "203.0.113.9,", OURS),
        (OURS, "203.0.113.9:4711", "203.0.113.9"),
        (OURS, "[2001:db8::7]:4711", "2001:db8::7"),
        (OURS, "2001:DB8:0::7", "2001:db8::7"),
        (OURS, "::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("2001:db8:1::5", "203.0.113.9", "203.0.113.9"),
        (OURS, "203.0.113.9\r\nX: y", OURS),
        (OURS, "203.0.113.300", OURS),
    ],
)
def test_the_client_is_the_nearest_one_that_is_no_proxy_of_ours(peer: str, forwarded: str, client: str) -> None:
    assert PROXIES.client_of(peer, forwarded) == client


def test_without_proxies_nobodys_word_is_taken() -> None:
    assert TrustedProxies().client_of("127.0.0.1", "203.0.113.9") == "127.0.0.1"


def test_ipv4_in_ipv6_is_ipv4() -> None:
    assert plain_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert plain_address("unknown") == "unknown"


# --- on the wire ---


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path), proxies=TrustedProxies([ip_network("127.0.0.1/32")])) as running:
        yield running


def refused_addresses(bed: Bed) -> list[str]:
    return [event.subject for event in bed.events("admin.refused")]


WRONG = f"Authorization: Bearer certline_deadbeef_{'A' * 43}"


@pytest.mark.parametrize(("source", "known_as"), [("127.0.0.1", "203.0.113.9"), ("127.0.0.2", "127.0.0.2")])
def test_the_record_names_the_client_that_our_proxy_names_and_a_stranger_by_its_own_address(
    bed: Bed, source: str, known_as: str
) -> None:
    with wire(bed.url, source=source) as client:
        client.send(head("GET /v1/status", WRONG, "X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 203.0.113.9"))
        assert statuses(client.answer()) == [401]
    assert refused_addresses(bed) == [f"address:{known_as}"]


def test_other_headers_that_speak_of_the_client_are_not_read(bed: Bed) -> None:
    others = ["Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9", "X-Client-IP: 203.0.113.9"]
    with wire(bed.url) as client:
        client.send(head("GET /v1/status", WRONG, *others))
        assert statuses(client.answer()) == [401]
    assert refused_addresses(bed) == ["address:127.0.0.1"]


def test_a_client_behind_nginx_cannot_choose_its_address(bed: Bed, tmp_path: Path) -> None:
    require("nginx")
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("nginx")
    with before_master(int(bed.url.rpartition(":")[2]), pair) as port:
        url = f"https://localhost:{port}"
        with wire(url, authority.client_context(), source="127.0.0.3") as client:
            client.send(head("GET /v1/status", WRONG, "X-Forwarded-For: 203.0.113.9", "Connection: close"))
            assert statuses(client.rest()) == [401]
    assert refused_addresses(bed) == ["address:127.0.0.3"]
