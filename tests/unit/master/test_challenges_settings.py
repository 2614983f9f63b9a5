"""Zone settings and endpoints: what can be used, and what is said about the rest. No network."""

import re
from typing import Any

import pytest

from certline_master.challenges.endpoint import Endpoint, parse
from certline_master.challenges.resolver import Resolver
from certline_master.challenges.responder import ResponderSolver
from certline_master.challenges.rfc2136 import Rfc2136Solver
from certline_master.challenges.visibility import AuthoritativeLook
from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass, Owner, Zone
from tests.fakes.clock import FakeClock

RESOLVER = Resolver(["192.0.2.1:53"])
RFC2136 = Rfc2136Solver(RESOLVER, AuthoritativeLook(RESOLVER, FakeClock()))
RESPONDER = ResponderSolver(None)


def zone(settings: dict[str, Any], secret: str | None = None) -> Zone:
    return Zone("id", "example.org", Owner.FILE, "any", settings, secret)


def test_all_settings_of_an_rfc2136_zone_can_be_used_together() -> None:
    settings = {
        "server": "ns1.example.org",
        "port": 5353,
        "key_name": "certline",
        "algorithm": "hmac-sha512",
        "ttl": 30,
        "nameservers": ["192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53", "2001:db8::1"],
        "visibility": "quorum",
    }

    assert RFC2136.check(zone(settings, secret="id")) == ()


def test_an_rfc2136_zone_needs_no_setting() -> None:
    assert RFC2136.check(zone({})) == ()


@pytest.mark.parametrize("server", ["dns", "192.0.2.1", "2001:db8::1", "NS1.Example.Org"])
def test_a_server_may_be_a_host_or_an_address(server: str) -> None:
    assert RFC2136.check(zone({"server": server})) == ()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tll": 60}, r"tll: there is no such setting; this solver knows .*ttl"),
        ({"ttl": "60"}, r"ttl: .*integer"),
        ({"ttl": -1}, r"ttl: .*greater than or equal to 0"),
        ({"port": 0}, r"port: "),
        ({"port": True}, r"port: "),
        ({"algorithm": "hmac-md5"}, r"algorithm: .*hmac-sha256.*hmac-sha512"),
        ({"server": "ns1 example"}, r"server: "),
        ({"server": 7}, r"server: write a host name or an IP address"),
        ({"key_name": "with space"}, r"key_name: "),
        ({"nameservers": ["ns1.example.org"]}, r"nameservers\.0: .*no IP address with a port"),
        ({"nameservers": ["192.0.2.1:99999"]}, r"nameservers\.0: .*no usable port"),
        ({"nameservers": "192.0.2.1"}, r"nameservers: .*list"),
        ({"nameservers": []}, r"nameservers: .*at least 1"),
        ({"nameservers": [53]}, r"nameservers\.0: write an IP address"),
        ({"visibility": "some"}, r"visibility: .*all.*quorum.*none"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(settings: dict[str, Any], said: str) -> None:
    faults = RFC2136.check(zone(settings, secret="id" if "key_name" in settings else None))

    assert len(faults) == 1
    assert re.search(said, faults[0])


def test_every_fault_is_told_at_once() -> None:
    assert len(RFC2136.check(zone({"tll": 60, "port": 0}))) == 2


def test_a_key_without_its_secret_and_a_secret_without_its_key_are_told() -> None:
    assert "secret" in RFC2136.check(zone({"key_name": "certline"}))[0]
    assert "key_name" in RFC2136.check(zone({}, secret="id"))[0]


@pytest.mark.parametrize("secret", [b"", b"not base64!", b"abc"])
def test_a_secret_that_is_not_base64_is_refused_and_not_shown(secret: bytes) -> None:
    with pytest.raises(SolverError, match="the secret is not base64") as refused:
        RFC2136.present(zone({"key_name": "certline", "server": "192.0.2.1"}), secret, [])

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION
    assert not secret or secret.decode() not in str(refused.value).replace("is not base64", "")


def test_rfc2136_without_a_zone_is_refused() -> None:
    with pytest.raises(SolverError, match="name a zone"):
        RFC2136.present(None, None, [])


def test_the_responders_settings_can_be_used_together() -> None:
    settings = {
        "primary": "ns1.example.org",
        "ns": ["ns1.example.org", "ns2.example.net"],
        "address": "192.0.2.1",
        "wildcard_address": "2001:db8::1",
    }

    assert RESPONDER.check(zone(settings)) == ()


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"address": "ns1.example.org"}, "address"),
        ({"wildcard_address": 1}, "wildcard_address"),
        ({"ns": ["not a name"]}, "ns.0"),
        ({"ns": []}, "ns"),
        ({"primary": 3}, "primary"),
        ({"server": "192.0.2.1"}, "server"),
    ],
)
def test_a_wrong_setting_of_the_responder_is_named(settings: dict[str, Any], field: str) -> None:
    faults = RESPONDER.check(zone(settings))

    assert len(faults) == 1
    assert faults[0].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("192.0.2.1", Endpoint("192.0.2.1", 53)),
        ("192.0.2.1:5353", Endpoint("192.0.2.1", 5353)),
        ("2001:DB8:0::1", Endpoint("2001:db8::1", 53)),
        ("[2001:db8::1]", Endpoint("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", Endpoint("2001:db8::1", 5353)),
    ],
)
def test_an_endpoint_is_read_and_written(text: str, endpoint: Endpoint) -> None:
    assert parse(text, port=53) == endpoint
    assert parse(str(endpoint), port=1) == endpoint


@pytest.mark.parametrize("text", ["", ":", "a:1", "192.0.2.1:x", "192.0.2.1:65536", "[::1", "[::1]x", "192.0.2.1:²"])
def test_what_is_no_endpoint_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"192\.0\.2\.1:53|up to 65535"):
        parse(text, port=53)


@pytest.mark.parametrize(("listen", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.0.2.1", "192.0.2.1")])
def test_every_address_is_reached_over_loopback(listen: str, reached: str) -> None:
    assert Endpoint(listen, 53).from_here.address == reached
