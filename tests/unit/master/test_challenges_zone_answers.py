"""What the responder answers, on bytes alone."""

import struct
from collections.abc import Mapping

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.update
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.challenges.zone_answers import TTL, Answerer, served_zone

ZONE = "auth.example.org"
VALUE = "v" * 43
OTHER = "w" * 43


def answerer(values: Mapping[str, list[str]] | None = None, **zone: str) -> Answerer:
    served = served_zone(ZONE, primary=f"ns.{ZONE}", ns=[f"ns.{ZONE}"], **zone)
    return Answerer(lambda: {ZONE: served}, lambda record: list((values or {}).get(record, [])))


def ask(answer: Answerer, name: str, kind: str = "TXT", *, by_udp: bool = True) -> dns.message.Message:
    reply = answer(dns.message.make_query(name, kind, use_edns=0).to_wire(), by_udp=by_udp)
    assert reply is not None
    return dns.message.from_wire(reply, one_rr_per_rrset=False, raise_on_truncation=False)


def texts(message: dns.message.Message) -> list[str]:
    return sorted(rdata.to_text().strip('"') for rrset in message.answer for rdata in rrset)


def test_every_value_at_a_name_is_answered_with_authority() -> None:
    reply = ask(answerer({f"_acme-challenge.www.{ZONE}": [VALUE, OTHER]}), f"_acme-challenge.www.{ZONE}")

    assert texts(reply) == [VALUE, OTHER]
    assert reply.flags & dns.flags.AA
    assert reply.answer[0].ttl == TTL


def test_the_case_of_the_question_is_kept() -> None:
    asked = f"_aCmE-cHaLlEnGe.WwW.{ZONE.upper()}"

    reply = ask(answerer({f"_acme-challenge.www.{ZONE}": [VALUE]}), asked)

    assert reply.question[0].name.to_text(omit_final_dot=True) == asked
    assert reply.answer[0].name.to_text(omit_final_dot=True) == asked


def test_the_apex_has_soa_and_ns() -> None:
    answer = answerer()

    assert ask(answer, ZONE, "SOA").answer[0].rdtype == dns.rdatatype.SOA
    assert texts(ask(answer, ZONE, "NS")) == [f"ns.{ZONE}."]


@pytest.mark.parametrize(("address", "kind"), [("192.0.2.7", "A"), ("2001:db8::7", "AAAA")])
def test_its_own_name_server_has_the_address_that_was_set(address: str, kind: str) -> None:
    assert texts(ask(answerer(address=address), f"ns.{ZONE}", kind)) == [address]


def test_without_an_address_its_own_name_server_has_none() -> None:
    reply = ask(answerer(), f"ns.{ZONE}", "A")

    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


@pytest.mark.parametrize("name", [ZONE, f"www.{ZONE}", f"a.b.{ZONE}", f"_acme-challenge.{ZONE}"])
def test_a_wildcard_address_stands_at_every_name_of_the_zone(name: str) -> None:
    assert texts(ask(answerer(everywhere="127.0.0.1"), name, "A")) == ["127.0.0.1"]


def test_other_types_at_a_name_that_exists_are_no_data_with_the_soa() -> None:
    answer = answerer({f"_acme-challenge.{ZONE}": [VALUE]})

    for kind in ("A", "AAAA", "CAA", "CNAME"):
        reply = ask(answer, f"_acme-challenge.{ZONE}", kind)
        assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])
        assert reply.authority[0].rdtype == dns.rdatatype.SOA


def test_a_record_that_does_not_stand_is_no_such_name() -> None:
    reply = ask(answerer(), f"_acme-challenge.www.{ZONE}")

    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert reply.authority[0].rdtype == dns.rdatatype.SOA


def test_a_name_that_may_have_records_below_it_is_never_no_such_name() -> None:
    """RFC 8020: a resolver that is told so need not ask for _acme-challenge below it any more."""
    reply = ask(answerer({f"_acme-challenge.www.{ZONE}": [VALUE]}), f"www.{ZONE}", "NS")

    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


def test_an_answer_about_what_is_missing_is_not_kept_longer_than_a_second() -> None:
    soa = ask(answerer(), f"_acme-challenge.{ZONE}").authority[0]

    assert (soa.ttl, soa[0].minimum) == (TTL, TTL)


@pytest.mark.parametrize("name", ["example.org", "www.example.com", "myauth.example.org", r"a\.auth.example.org", "."])
def test_names_outside_its_zones_are_refused(name: str) -> None:
    reply = ask(answerer(), name)

    assert reply.rcode() == dns.rcode.REFUSED
    assert not reply.flags & dns.flags.AA


@pytest.mark.parametrize("kind", ["AXFR", "IXFR"])
def test_zone_transfers_are_refused(kind: str) -> None:
    query = dns.message.make_query(ZONE, kind)
    query.authority.clear()

    reply = answerer()(query.to_wire(), by_udp=False)

    assert reply is not None
    assert dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED


def test_another_class_than_internet_is_refused() -> None:
    query = dns.message.make_query("version.bind", "TXT", dns.rdataclass.CH)
    reply = answerer()(query.to_wire(), by_udp=True)
    assert reply is not None
    assert dns.message.from_wire(reply).rcode() == dns.rcode.REFUSED


def test_the_zone_with_the_longest_name_answers() -> None:
    zones = {name: served_zone(name, primary=f"ns.{name}", ns=[f"ns.{name}"]) for name in (ZONE, f"sub.{ZONE}")}
    answer = Answerer(lambda: zones, lambda _: [])

    reply = ask(answer, f"_acme-challenge.a.sub.{ZONE}")

    assert reply.authority[0].name == dns.name.from_text(f"sub.{ZONE}")


def test_a_question_for_any_type_gets_one_record_set() -> None:
    assert len(ask(answerer({ZONE: [VALUE]}), ZONE, "ANY").answer) == 1


def test_an_answer_over_udp_that_is_too_long_is_cut_and_says_so() -> None:
    answer = answerer({f"_acme-challenge.{ZONE}": [f"{number:043}" for number in range(60)]})

    cut = ask(answer, f"_acme-challenge.{ZONE}")
    whole = ask(answer, f"_acme-challenge.{ZONE}", by_udp=False)

    assert cut.flags & dns.flags.TC
    assert not whole.flags & dns.flags.TC
    assert len(texts(whole)) == 60


def test_without_edns_an_answer_over_udp_keeps_to_512_octets() -> None:
    answer = answerer({f"_acme-challenge.{ZONE}": [f"{number:043}" for number in range(20)]})

    reply = answer(dns.message.make_query(f"_acme-challenge.{ZONE}", "TXT", use_edns=False).to_wire(), by_udp=True)

    assert reply is not None
    assert len(reply) <= 512


def test_a_huge_edns_buffer_does_not_make_huge_answers() -> None:
    answer = answerer({f"_acme-challenge.{ZONE}": [f"{number:043}" for number in range(60)]})
    query = dns.message.make_query(f"_acme-challenge.{ZONE}", "TXT", use_edns=0, payload=65535)

    reply = answer(query.to_wire(), by_udp=True)

    assert reply is not None
    assert len(reply) <= 1232


def test_a_later_edns_version_is_told_ours() -> None:
    reply = answerer()(dns.message.make_query(ZONE, "SOA", use_edns=1).to_wire(), by_udp=True)
    assert reply is not None
    assert dns.message.from_wire(reply).rcode() == dns.rcode.BADVERS


def test_an_update_is_not_implemented() -> None:
    reply = answerer()(dns.update.UpdateMessage(ZONE).to_wire(), by_udp=False)
    assert reply is not None
    assert (dns.message.from_wire(reply).rcode(), len(reply)) == (dns.rcode.NOTIMP, 12)


@pytest.mark.parametrize("counts", [(0, 0, 0, 0), (2, 0, 0, 0), (1, 1, 0, 0), (1, 0, 9, 0), (1, 0, 0, 4)])
def test_a_query_of_another_shape_is_a_format_error(counts: tuple[int, int, int, int]) -> None:
    reply = answerer()(struct.pack("!6H", 7, 0x0100, *counts), by_udp=True)

    assert reply == struct.pack("!6H", 7, 0x8101, 0, 0, 0, 0)


def test_a_response_is_never_answered() -> None:
    response = dns.message.make_response(dns.message.make_query(ZONE, "SOA"))

    assert answerer()(response.to_wire(), by_udp=True) is None


def test_when_the_store_cannot_be_asked_the_server_says_that_it_failed() -> None:
    def broken(_: str) -> list[str]:
        raise RuntimeError("the store is away")

    served = served_zone(ZONE, primary=f"ns.{ZONE}", ns=[f"ns.{ZONE}"])

    reply = ask(Answerer(lambda: {ZONE: served}, broken), f"_acme-challenge.{ZONE}")

    assert (reply.rcode(), reply.answer) == (dns.rcode.SERVFAIL, [])


@given(st.binary(max_size=600))
def test_no_packet_breaks_it(packet: bytes) -> None:
    reply = answerer()(packet, by_udp=True)

    assert reply is None or reply[:2] == packet[:2]


@given(st.data())
def test_no_damaged_query_breaks_it(data: st.DataObject) -> None:
    wire = bytearray(dns.message.make_query(f"_acme-challenge.www.{ZONE}", "TXT", use_edns=0).to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(4, len(wire) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(wire[: data.draw(st.integers(0, len(wire)))])

    reply = answerer()(cut, by_udp=True)

    assert reply is None or reply[:2] == cut[:2]
