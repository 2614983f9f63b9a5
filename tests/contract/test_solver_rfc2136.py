"""DNS UPDATE against a real BIND: one update for all values, and each refusal told with its cause."""

import base64
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dns.message
import dns.name
import dns.rcode
import dns.update
import pytest
import time_machine

from certline_master.challenges.dns_server import DnsServer
from certline_master.challenges.endpoint import Endpoint
from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass
from tests.contract.solver_bed import ZONE, dns_challenge, rfc2136_bed, rfc2136_solver, signed_by, zone
from tests.testbed import parts
from tests.testbed.bind import ALGORITHMS, Bind, TsigKey
from tests.testbed.bind import bind as running_bind
from tests.testbed.ports import free_port


@pytest.fixture(scope="module")
def named() -> Iterator[Bind]:
    parts.require("named")
    with running_bind([ZONE, "other.test"]) as server:
        yield server


def present(bind: Bind, key: TsigKey | None, *, secret: str | None = None, **settings: Any) -> None:
    """Present one value with this key; its secret and any setting can be another."""
    signed = signed_by(bind, key or bind.keys["hmac-sha256"])
    if key is None:
        del signed["key_name"]
    found = secret if secret is not None else key.secret if key else None
    rfc2136_solver(bind).present(zone({**signed, **settings}), found.encode() if found else None, [dns_challenge()])


def serial(bind: Bind) -> int:
    return int(bind.records(ZONE, "SOA")[0].split()[2])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_signs_an_update_that_the_server_takes(named: Bind, algorithm: str) -> None:
    value, key = algorithm.ljust(43, "_"), named.keys[algorithm]
    challenge = dns_challenge(value=value)

    rfc2136_solver(named).present(zone(signed_by(named, key)), key.secret.encode(), [challenge])

    assert value in named.records(challenge.record)


def test_the_values_of_five_names_go_in_one_update(named: Bind) -> None:
    bed, challenges = rfc2136_bed(named), [dns_challenge(f"n{number}.{ZONE}") for number in range(5)]
    before = serial(named)

    bed.present(*challenges)
    after = serial(named)
    bed.clean_up(*challenges)

    assert after == before + 1
    assert serial(named) == after + 1


def test_an_apex_and_its_wildcard_stand_together_and_are_removed_together(named: Bind) -> None:
    bed = rfc2136_bed(named)
    apex, wildcard = dns_challenge(ZONE), dns_challenge(ZONE, "w" * 43, wildcard=True)

    bed.present(apex, wildcard)
    both = named.records(f"_acme-challenge.{ZONE}")
    bed.clean_up(apex, wildcard)

    assert both == [apex.value, wildcard.value]
    assert named.records(f"_acme-challenge.{ZONE}") == []


def test_a_value_that_a_person_put_there_survives_us(named: Bind) -> None:
    bed = rfc2136_bed(named)
    theirs, ours = dns_challenge(f"shared.{ZONE}", "h" * 43), dns_challenge(f"shared.{ZONE}")
    bed.present(theirs)

    bed.present(ours)
    bed.clean_up(ours)

    assert named.records(ours.record) == [theirs.value]


def test_the_ttl_is_the_one_that_was_set(named: Bind) -> None:
    key, challenge = named.keys["hmac-sha256"], dns_challenge(f"ttl.{ZONE}")

    rfc2136_solver(named).present(zone({**signed_by(named, key), "ttl": 7}), key.secret.encode(), [challenge])

    query = dns.message.make_query(challenge.record, "TXT")
    assert dns.query.tcp(query, "127.0.0.1", timeout=5, port=named.port).answer[0].ttl == 7


def test_the_secret_may_be_wrapped_and_end_in_a_new_line(named: Bind) -> None:
    key = named.keys["hmac-sha256"]

    present(named, key, secret=f"{key.secret[:20]}\n{key.secret[20:]}\n")


def test_a_wrong_secret_is_told_as_such_and_not_shown(named: Bind) -> None:
    wrong = base64.b64encode(b"not the secret that the server has").decode()

    with pytest.raises(SolverError, match=r"another secret.*BADSIG") as refused:
        present(named, named.keys["hmac-sha256"], secret=wrong)

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION
    assert wrong not in str(refused.value)


def test_an_unknown_key_is_told_as_such(named: Bind) -> None:
    with pytest.raises(SolverError, match=r"does not know this TSIG key \(BADKEY\)") as refused:
        present(named, replace(named.keys["hmac-sha256"], name="nobody-knows-me"))

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION


def test_another_algorithm_than_the_keys_is_told_as_an_unknown_key(named: Bind) -> None:
    with pytest.raises(SolverError, match=r"BADKEY.*algorithm"):
        present(named, named.keys["hmac-sha256"], algorithm="hmac-sha512")


def test_a_key_without_the_right_to_change_the_zone_is_told_as_such(named: Bind) -> None:
    with pytest.raises(SolverError, match=r"does not let this key change this zone \(REFUSED\)") as refused:
        present(named, named.refused_key)

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION


def test_an_unsigned_update_that_is_refused_asks_for_a_key(named: Bind) -> None:
    with pytest.raises(SolverError, match=r"refuses unsigned updates.*key_name and secret") as refused:
        present(named, None)

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION


def test_a_zone_that_the_server_does_not_have_is_told_as_such(named: Bind) -> None:
    key = named.keys["hmac-sha256"]
    foreign = zone(signed_by(named, key), name="elsewhere.test")
    challenge = dns_challenge("www.elsewhere.test")

    with pytest.raises(SolverError, match=r"is not the primary of this zone \(NOTAUTH\)") as refused:
        rfc2136_solver(named).present(foreign, key.secret.encode(), [challenge])

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION


def test_a_record_outside_the_zone_is_told_as_such(named: Bind) -> None:
    key = named.keys["hmac-sha256"]

    with pytest.raises(SolverError, match=r"outside this zone \(NOTZONE\)") as refused:
        rfc2136_solver(named).present(
            zone(signed_by(named, key)), key.secret.encode(), [dns_challenge("www.other.test")]
        )

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION


def test_a_clock_that_is_an_hour_off_is_told_as_such(named: Bind) -> None:
    with (
        time_machine.travel(datetime.now(UTC) + timedelta(hours=1)),  # noqa: TID251 the real server's time
        pytest.raises(SolverError, match=r"clock.*BADTIME") as refused,
    ):
        present(named, named.keys["hmac-sha256"])

    assert refused.value.failure is FailureClass.NEEDS_PERSON


def test_a_server_that_is_down_is_named_and_tried_again_soon(named: Bind) -> None:
    with pytest.raises(SolverError, match=r"127\.0\.0\.1.*cannot be reached") as refused:
        present(named, named.keys["hmac-sha256"], port=free_port())

    assert refused.value.failure is FailureClass.RETRY_SOON


def test_a_server_that_takes_the_update_and_says_nothing_is_a_time_out(named: Bind) -> None:
    key = named.keys["hmac-sha256"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {**signed_by(named, key), "port": silent.getsockname()[1]}

        with pytest.raises(SolverError, match="gave no answer within") as refused:
            rfc2136_solver(named, seconds=0.2).present(zone(settings), key.secret.encode(), [dns_challenge()])

    assert refused.value.failure is FailureClass.RETRY_SOON


def forged(rcode: dns.rcode.Rcode) -> DnsServer:
    """A server that answers every update without a signature."""

    def answer(wire: bytes, *, by_udp: bool) -> bytes:  # noqa: ARG001 the server's signature
        reply = dns.message.make_response(dns.message.from_wire(wire, keyring=False))
        reply.set_rcode(rcode)
        return reply.to_wire()

    return DnsServer(Endpoint("127.0.0.1", free_port()), answer)


def test_a_success_that_is_not_signed_is_not_believed(named: Bind) -> None:
    liar = forged(dns.rcode.NOERROR)
    liar.start()
    try:
        with pytest.raises(SolverError, match="cannot be trusted"):
            present(named, named.keys["hmac-sha256"], port=liar.endpoint.port)
    finally:
        liar.stop()


@pytest.mark.parametrize(
    ("rcode", "cause", "failure"),
    [
        (dns.rcode.SERVFAIL, "SERVFAIL", FailureClass.RETRY_SOON),
        (dns.rcode.NOTIMP, "knows no updates", FailureClass.FIX_CONFIGURATION),
        (dns.rcode.YXDOMAIN, "YXDOMAIN", FailureClass.RETRY_SOON),
    ],
)
def test_a_servers_other_refusals_are_named(
    named: Bind, rcode: dns.rcode.Rcode, cause: str, failure: FailureClass
) -> None:
    server = forged(rcode)
    server.start()
    try:
        with pytest.raises(SolverError, match=cause) as refused:
            present(named, None, port=server.endpoint.port)
    finally:
        server.stop()

    assert refused.value.failure is failure


def test_without_a_server_the_primary_of_the_soa_is_asked_for(named: Bind) -> None:
    """example.test's SOA names ns.example.test, which BIND has at 127.0.0.1."""
    key = named.keys["hmac-sha256"]
    settings = {name: value for name, value in signed_by(named, key).items() if name != "server"}
    challenge = dns_challenge(f"primary.{ZONE}")

    rfc2136_solver(named).present(zone(settings), key.secret.encode(), [challenge])

    assert named.records(challenge.record) == [challenge.value]


def test_no_challenges_are_no_update(named: Bind) -> None:
    before = serial(named)

    rfc2136_bed(named).present()

    assert serial(named) == before
