"""The responder's sockets and its view of the zones."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest

from certline_master.challenges import dns_server, responder
from certline_master.challenges.dns_server import DnsServer
from certline_master.challenges.endpoint import Endpoint
from certline_master.challenges.responder import ResponderSolver
from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass, Zone
from certline_master.domain.ports import Visibility
from certline_shared.clock import Clock, SystemClock
from tests.contract.solver_bed import ZONE, dns_challenge, texts_at, zone
from tests.fakes.clock import FakeClock
from tests.testbed.ports import free_port

QUERY = dns.message.make_query(f"_acme-challenge.www.{ZONE}", "TXT").to_wire()
FRAMED = struct.pack("!H", len(QUERY)) + QUERY


@contextmanager
def responding(
    *zones: Zone, values: Callable[[str], list[str]] = lambda _: ["v" * 43], clock: Clock | None = None
) -> Iterator[DnsServer]:
    known = list(zones) or [zone(solver=responder.NAME)]
    listen = Endpoint("127.0.0.1", free_port())
    server = responder.server(listen, lambda: known, values, clock or SystemClock())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def connected(server: DnsServer) -> socket.socket:
    return socket.create_connection((server.endpoint.address, server.endpoint.port), timeout=10)


def rcode(server: DnsServer, name: str, kind: str = "TXT") -> dns.rcode.Rcode:
    query = dns.message.make_query(name, kind)
    return dns.query.udp(query, server.endpoint.address, timeout=5, port=server.endpoint.port).rcode()


def test_one_connection_may_ask_many_questions() -> None:
    with responding() as server, connected(server) as client, client.makefile("rb") as answers:
        client.sendall(FRAMED * 3)
        for _ in range(3):
            (length,) = struct.unpack("!H", answers.read(2))
            assert dns.message.from_wire(answers.read(length)).answer


def test_a_question_that_comes_in_pieces_is_answered() -> None:
    with responding() as server, connected(server) as client, client.makefile("rb") as answers:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in FRAMED:
            client.sendall(bytes([octet]))
        (length,) = struct.unpack("!H", answers.read(2))

        assert dns.message.from_wire(answers.read(length)).answer


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(struct.pack("!H", 65535), id="a length beyond any query"),
        pytest.param(struct.pack("!H", 3) + b"abc", id="too short for a header"),
        pytest.param(struct.pack("!H", 12) + QUERY[:2] + b"\x80" + QUERY[3:12], id="an answer"),
        pytest.param(FRAMED * 200, id="more questions at once than anyone needs"),
    ],
)
def test_a_client_that_misbehaves_is_cut_off(sent: bytes) -> None:
    with responding() as server, connected(server) as client:
        client.sendall(sent)

        assert _reads_to_the_end(client)


def _reads_to_the_end(client: socket.socket) -> bool:
    try:
        while client.recv(65536):
            pass
    except ConnectionResetError:
        return True
    return True


def test_an_idle_connection_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_server, "IDLE_SECONDS", 0.05)

    with responding() as server, connected(server) as client:
        client.sendall(FRAMED[:5])

        assert _reads_to_the_end(client)


def test_connections_beyond_the_limit_are_cut_off_and_the_others_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_server, "MOST_CONNECTIONS", 1)

    with responding() as server, connected(server) as first:
        first.sendall(FRAMED)
        assert first.recv(65536)
        with connected(server) as second:
            assert _reads_to_the_end(second)
        first.sendall(FRAMED)
        assert first.recv(65536)


def test_it_can_be_stopped_and_started_again_on_the_same_port() -> None:
    with responding() as server:
        with connected(server) as client:
            client.sendall(FRAMED)
            client.recv(65536)
            server.stop()
            assert _reads_to_the_end(client)
        server.start()

        assert texts_at(server.endpoint, f"_acme-challenge.www.{ZONE}") == {"v" * 43}


def test_a_port_that_is_taken_is_told_with_the_endpoint() -> None:
    with responding() as server:
        second = responder.server(server.endpoint, list, lambda _: [], SystemClock())

        with pytest.raises(OSError, match=f"cannot listen on {server.endpoint}"):
            second.start()


def test_it_listens_on_ipv6_too() -> None:
    listen = Endpoint("::1", free_port())
    server = responder.server(listen, lambda: [zone(solver="responder")], lambda _: ["v" * 43], SystemClock())
    try:
        server.start()
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    try:
        assert texts_at(listen, f"_acme-challenge.{ZONE}") == {"v" * 43}
    finally:
        server.stop()


def test_every_address_means_ipv4_and_ipv6_and_the_look_goes_over_loopback() -> None:
    listen = Endpoint("::", free_port())
    server = responder.server(listen, lambda: [zone(solver="responder")], lambda _: ["v" * 43], SystemClock())
    try:
        server.start()
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        assert texts_at(Endpoint("127.0.0.1", listen.port), f"_acme-challenge.{ZONE}") == {"v" * 43}
        assert ResponderSolver(listen).is_visible(None, [dns_challenge()]).complete
    finally:
        server.stop()


def test_only_the_responders_own_zones_are_served() -> None:
    with responding(zone(solver="rfc2136"), zone(name="mine.test", solver="responder")) as server:
        assert rcode(server, ZONE) == dns.rcode.REFUSED
        assert rcode(server, "mine.test", "SOA") == dns.rcode.NOERROR


def test_a_zone_with_unusable_settings_harms_no_other() -> None:
    bad = zone({"adress": "127.0.0.1"}, name="bad.test", solver="responder")

    with responding(bad, zone(solver="responder")) as server:
        assert rcode(server, "bad.test") == dns.rcode.REFUSED
        assert rcode(server, f"_acme-challenge.{ZONE}") == dns.rcode.NOERROR


def test_a_zone_with_unusable_settings_is_told_when_it_is_used() -> None:
    bad = zone({"adress": "127.0.0.1"}, solver="responder")

    with pytest.raises(SolverError, match="adress: there is no such setting") as refused:
        ResponderSolver(None).present(bad, None, [dns_challenge()])

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION


def test_a_new_zone_is_served_within_a_second() -> None:
    clock, zones = FakeClock(), [zone(solver="responder")]
    server = responder.server(Endpoint("127.0.0.1", free_port()), lambda: zones, lambda _: [], clock)
    server.start()
    try:
        assert rcode(server, "late.test", "SOA") == dns.rcode.REFUSED
        zones.append(zone(name="late.test", solver="responder"))
        assert rcode(server, "late.test", "SOA") == dns.rcode.REFUSED
        clock.advance(1)
        assert rcode(server, "late.test", "SOA") == dns.rcode.NOERROR
    finally:
        server.stop()


def test_the_settings_reach_the_answers() -> None:
    settings = {"ns": [f"dns1.{ZONE}", "dns2.example.net"], "address": "192.0.2.5", "wildcard_address": "127.0.0.1"}

    with responding(zone(settings, solver="responder"), values=lambda _: []) as server:

        def asked(name: str, kind: str) -> list[str]:
            query = dns.message.make_query(name, kind)
            found = dns.query.tcp(query, "127.0.0.1", timeout=5, port=server.endpoint.port)
            assert found.flags & dns.flags.AA
            return sorted(rdata.to_text() for rrset in found.answer for rdata in rrset)

        assert asked(ZONE, "NS") == [f"dns1.{ZONE}.", "dns2.example.net."]
        assert asked(ZONE, "SOA")[0].startswith(f"dns1.{ZONE}. ")
        assert asked(f"dns1.{ZONE}", "A") == ["192.0.2.5"]
        assert asked(f"www.{ZONE}", "A") == ["127.0.0.1"]


def test_where_another_master_listens_the_ledger_is_believed() -> None:
    assert ResponderSolver(None).is_visible(None, [dns_challenge()]) == Visibility(complete=True)


def test_a_responder_that_does_not_run_is_told_as_such() -> None:
    look = ResponderSolver(Endpoint("127.0.0.1", free_port())).is_visible(None, [dns_challenge()])

    assert not look.complete
    assert "our responder on 127.0.0.1" in look.detail
