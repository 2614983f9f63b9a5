"""The look at DNS as a CA sees it: real BIND, lying servers, CNAMEs that lead astray."""

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dns.message
import dns.rcode
import pytest

from certline_master.challenges.dns_server import Answer, DnsServer
from certline_master.challenges.endpoint import Endpoint
from certline_master.challenges.resolver import Resolver
from certline_master.challenges.visibility import AuthoritativeLook
from certline_master.challenges.zone_answers import Answerer, served_zone
from certline_master.challenges.zone_settings import LookSettings
from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass
from certline_master.domain.ports import Visibility
from certline_shared.clock import SystemClock
from tests.contract.solver_bed import ZONE, dns_challenge, rfc2136_bed, rfc2136_solver, signed_by, zone
from tests.fakes.clock import FakeClock
from tests.testbed import parts
from tests.testbed.bind import Bind
from tests.testbed.bind import bind as running_bind
from tests.testbed.ports import free_port

NOBODY = "127.0.0.3"  # nothing listens there

RECORDS = """\
@ IN NS ns2.{zone}.
ns2 IN A 127.0.0.2
_acme-challenge.delegated IN CNAME delegated.auth.test.
_acme-challenge.shouting IN CNAME Shouting.AUTH.test.
_acme-challenge.circle IN CNAME circle
circle IN CNAME _acme-challenge.circle
_acme-challenge.self IN CNAME _acme-challenge.self
_acme-challenge.dangling IN CNAME gone.example.net.
_acme-challenge.odd IN CNAME a\\.b.auth.test.
""" + "".join(f"c{number} IN CNAME c{number + 1}\n" for number in range(12))


LONELY = f"""\
@ IN NS ns2
@ IN NS ns3
@ IN NS ns4
@ IN NS hole.auth.test.
ns IN A {NOBODY}
ns2 IN A {NOBODY}
ns3 IN A 127.0.0.1
ns4 IN A 127.0.0.1
"""


@pytest.fixture(scope="module")
def named() -> Iterator[Bind]:
    parts.require("named")
    zones = {ZONE: RECORDS.format(zone=ZONE), "auth.test": "hole IN TXT none\n", "lonely.test": LONELY}
    with running_bind(zones) as server:
        yield server


@contextmanager
def serving(answer: Answer, *, address: str = "127.0.0.1", port: int | None = None) -> Iterator[Endpoint]:
    server = DnsServer(Endpoint(address, port or free_port()), answer)
    server.start()
    try:
        yield server.endpoint
    finally:
        server.stop()


def showing(*values: str) -> Answerer:
    """A server of the zone that shows these values everywhere."""
    served = served_zone(ZONE, primary=f"ns.{ZONE}", ns=[f"ns.{ZONE}"])
    return Answerer(lambda: {ZONE: served}, lambda _: list(values))


def replying(change: Callable[[dns.message.Message], None]) -> Answer:
    def answer(wire: bytes, *, by_udp: bool) -> bytes:  # noqa: ARG001 the server's signature
        reply = dns.message.make_response(dns.message.from_wire(wire))
        change(reply)
        return reply.to_wire()

    return answer


def asked_at(servers: Sequence[Endpoint], policy: str = "all") -> LookSettings:
    return LookSettings.model_validate({"nameservers": [str(server) for server in servers], "visibility": policy})


def look(servers: Sequence[Endpoint], policy: str = "all", **challenge: Any) -> Visibility:
    settings = asked_at(servers, policy)
    wished = dns_challenge(**challenge)
    return AuthoritativeLook(Resolver(), SystemClock()).look(zone(), settings, [wished])


def test_all_servers_that_show_the_value_make_it_visible() -> None:
    with serving(showing("v" * 43)) as one, serving(showing("x" * 43, "v" * 43)) as other:
        assert look([one, other]) == Visibility(complete=True)


def test_a_server_that_lacks_the_record_blocks_and_is_named_with_it() -> None:
    with serving(showing("v" * 43)) as first, serving(showing("x" * 43)) as lagging:
        found = look([first, lagging])

    assert not found.complete
    assert found.detail == f"{lagging} does not show _acme-challenge.www.{ZONE} yet"


def test_a_quorum_is_more_than_half() -> None:
    with serving(showing("v" * 43)) as one, serving(showing("v" * 43)) as two, serving(showing()) as lagging:
        assert look([one, two, lagging], "quorum").complete
        assert not look([one, lagging], "quorum").complete


def test_the_policy_none_asks_nobody() -> None:
    assert look([Endpoint("127.0.0.1", 1)], "none") == Visibility(complete=True)


def test_a_server_that_fails_is_named_with_its_answer() -> None:
    with serving(replying(lambda reply: reply.set_rcode(dns.rcode.SERVFAIL))) as broken:
        assert f"{broken} answers SERVFAIL" in look([broken]).detail


def test_a_server_that_does_not_answer_is_named() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))

        assert "does not answer within 2 s" in look([Endpoint(*silent.getsockname())]).detail


def test_a_cut_answer_is_asked_for_again_over_tcp() -> None:
    many = [f"{number:043}" for number in range(60)]

    with serving(showing(*many, "v" * 43)) as full:
        assert look([full]).complete


def test_a_server_that_shows_hundreds_of_values_is_not_read_to_the_end() -> None:
    with serving(showing(*(f"{number:043}" for number in range(300)))) as flooded:
        assert "shows 300 TXT values" in look([flooded]).detail


def test_an_answer_that_is_no_dns_fails_only_the_look() -> None:
    def garbage(wire: bytes, *, by_udp: bool) -> bytes:
        cut = bytearray(wire[:12])
        cut[2] |= 0x80 | (0x02 if by_udp else 0)  # a truncated answer: the look goes on to TCP
        return bytes(cut) if by_udp else bytes(cut) + b"\xff" * 40

    with serving(garbage) as liar:
        found = look([liar])

    assert not found.complete
    assert str(liar) in found.detail


def test_the_servers_are_found_by_the_zones_ns_records_and_each_is_asked(named: Bind) -> None:
    bed = rfc2136_bed(named)
    challenge = dns_challenge(f"found.{ZONE}")
    bed.present(challenge)
    view = AuthoritativeLook(Resolver([named.address]), SystemClock(), port=named.port)

    with serving(showing(), address="127.0.0.2", port=named.port):
        lagging = view.look(zone(), LookSettings(), [challenge])
    with serving(showing(challenge.value), address="127.0.0.2", port=named.port):
        settled = view.look(zone(), LookSettings(), [challenge])

    assert lagging == Visibility(complete=False, detail=f"ns2.{ZONE} (127.0.0.2) does not show {challenge.record} yet")
    assert settled.complete


def test_a_zone_inside_a_larger_one_is_looked_at_on_the_larger_ones_servers(named: Bind) -> None:
    view = AuthoritativeLook(Resolver([named.address]), SystemClock(), port=named.port)

    with serving(showing("v" * 43), address="127.0.0.2", port=named.port):
        found = view.look(zone(name=f"part.{ZONE}"), LookSettings(), [dns_challenge(f"a.part.{ZONE}")])

    assert f"ns.{ZONE} (127.0.0.1) does not show" in found.detail


def test_a_server_that_is_silent_at_one_address_is_judged_by_its_other(named: Bind) -> None:
    challenge = dns_challenge("www.lonely.test")
    view = AuthoritativeLook(Resolver([named.address]), SystemClock(), port=named.port)
    rfc2136_solver(named).present(
        zone(signed_by(named, named.keys["hmac-sha256"]), name="lonely.test"),
        named.keys["hmac-sha256"].secret.encode(),
        [challenge],
    )

    found = view.look(zone(name="lonely.test"), LookSettings(visibility="quorum"), [challenge])

    silent, without = (
        f"ns2.lonely.test ({NOBODY}) does not answer within 2 s",
        "name server hole.auth.test has no address",
    )
    assert found == Visibility(complete=True, detail=f"{without}; {silent}")


def test_a_zone_that_nobody_knows_is_told_what_to_do() -> None:
    def nowhere(reply: dns.message.Message) -> None:
        reply.set_rcode(dns.rcode.NXDOMAIN)

    with (
        serving(replying(nowhere)) as resolver,
        pytest.raises(SolverError, match=r"knows no zone for elsewhere\.test: .*`nameservers`"),
    ):
        AuthoritativeLook(Resolver([str(resolver)]), SystemClock()).look(
            zone(name="elsewhere.test"), LookSettings(), [dns_challenge("www.elsewhere.test")]
        )


def test_a_server_that_answers_slowly_is_not_asked_for_ever() -> None:
    clock = FakeClock()

    def slow(wire: bytes, *, by_udp: bool) -> bytes | None:
        clock.advance(15)
        return showing("v" * 43)(wire, by_udp=by_udp)

    with serving(slow) as server:
        wished = [dns_challenge(f"n{number}.{ZONE}") for number in range(5)]
        found = AuthoritativeLook(Resolver(), clock).look(zone(), asked_at([server]), wished)

    assert "is too slow" in found.detail


@pytest.mark.parametrize(
    ("name", "end"),
    [
        (f"_acme-challenge.plain.{ZONE}", f"_acme-challenge.plain.{ZONE}"),
        (f"_acme-challenge.delegated.{ZONE}", "delegated.auth.test"),
        (f"_acme-challenge.shouting.{ZONE}", "shouting.auth.test"),
        (f"c4.{ZONE}", f"c12.{ZONE}"),
    ],
)
def test_cnames_are_followed_to_their_end(named: Bind, name: str, end: str) -> None:
    assert Resolver([named.address]).follow(name) == end


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (f"_acme-challenge.circle.{ZONE}", "runs in a circle"),
        (f"_acme-challenge.self.{ZONE}", "runs in a circle"),
        (f"c3.{ZONE}", "more than 8 CNAMEs"),
        (f"_acme-challenge.odd.{ZONE}", "no TXT record of ours may have"),
    ],
)
def test_cnames_that_lead_astray_are_refused_and_named(named: Bind, name: str, why: str) -> None:
    with pytest.raises(SolverError, match=why) as refused:
        Resolver([named.address]).follow(name)

    assert name in str(refused.value)
    assert refused.value.failure is FailureClass.FIX_CONFIGURATION


def test_a_target_that_cannot_be_looked_up_is_named(named: Bind) -> None:
    with pytest.raises(SolverError, match=r"leads to gone\.example\.net.*REFUSED") as refused:
        Resolver([named.address]).follow(f"_acme-challenge.dangling.{ZONE}")

    assert refused.value.failure is FailureClass.RETRY_SOON


def test_a_target_under_a_top_level_domain_that_does_not_exist_is_dangling() -> None:
    def answer(reply: dns.message.Message) -> None:
        name = reply.question[0].name.to_text()
        if name.startswith("_acme-challenge"):
            reply.answer.append(_rrset(f"{name} 60 IN CNAME www.nowhere."))
        else:
            reply.set_rcode(dns.rcode.NXDOMAIN)
            reply.authority.append(_rrset(". 60 IN SOA a.root. nstld.root. 1 2 3 4 5"))

    with (
        serving(replying(answer)) as resolver,
        pytest.raises(SolverError, match=r"leads to www\.nowhere: .*does not exist") as refused,
    ):
        Resolver([str(resolver)]).follow(f"_acme-challenge.www.{ZONE}")

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION


def _rrset(line: str) -> Any:
    name, ttl, rdclass, kind, rest = line.split(" ", 4)
    return dns.rrset.from_text(name, int(ttl), rdclass, kind, rest)


def test_a_resolver_that_fails_is_told_with_its_answer() -> None:
    with (
        serving(replying(lambda reply: reply.set_rcode(dns.rcode.SERVFAIL))) as resolver,
        pytest.raises(SolverError, match=r"www\.example\.test cannot be looked up: the resolver answers SERVFAIL"),
    ):
        Resolver([str(resolver)]).follow(f"www.{ZONE}")


def test_a_resolver_that_is_down_is_told_as_such() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        resolver = Resolver([str(Endpoint(*silent.getsockname()))], seconds=0.3)

        with pytest.raises(SolverError, match="the resolver does not answer") as refused:
            resolver.follow(f"www.{ZONE}")

    assert refused.value.failure is FailureClass.RETRY_SOON
