"""What an authoritative server answers (RFC 1034, 2308, 6891): bytes in, bytes out, no sockets.

Names are text in lower case without the final dot wherever they are compared.
"""

import ipaddress
import logging
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

TTL = 1
"""Seconds: a resolver that keeps "not there" longer would hide the next order's value (RFC 2308 section 5)."""

UDP_MOST = 1232  # DNS flag day 2020: what passes without fragments

_IN = dns.rdataclass.IN
_LOG = logging.getLogger(__name__)

Values = Callable[[str], list[str]]
"""TXT values that stand at a record."""


@dataclass(frozen=True, slots=True)
class ServedZone:
    """A zone's fixed records. `addresses`: name → A and AAAA there; `everywhere`: those at any other name."""

    origin: dns.name.Name
    soa: dns.rrset.RRset
    ns: dns.rrset.RRset
    addresses: Mapping[str, tuple[dns.rdata.Rdata, ...]] = field(default_factory=dict)
    everywhere: tuple[dns.rdata.Rdata, ...] = ()


def served_zone(
    name: str, *, primary: str, ns: list[str], address: str | None = None, everywhere: str | None = None
) -> ServedZone:
    """Build a zone. `address` is that of the name servers that lie inside it."""
    origin = dns.name.from_text(name)
    soa = f"{primary}. hostmaster.{name}. 1 3600 600 86400 {TTL}"
    inside = [server for server in ns if server == name or server.endswith(f".{name}")]
    return ServedZone(
        origin,
        dns.rrset.from_text(origin, TTL, _IN, "SOA", soa),
        dns.rrset.from_text(origin, TTL, _IN, "NS", *(f"{server}." for server in ns)),
        {server: _address(address) for server in inside} if address else {},
        _address(everywhere) if everywhere else (),
    )


def _address(text: str) -> tuple[dns.rdata.Rdata, ...]:
    kind = dns.rdatatype.A if ipaddress.ip_address(text).version == 4 else dns.rdatatype.AAAA
    return (dns.rdata.from_text(_IN, kind, text),)


class Answerer:
    """Answers from `zones()` (name → zone) and `values` (record → TXT values); both are asked at each question."""

    def __init__(self, zones: Callable[[], Mapping[str, ServedZone]], values: Values) -> None:
        self._zones, self._values = zones, values

    def __call__(self, wire: bytes, *, by_udp: bool) -> bytes | None:
        """The answer to a query; None for what is none, and for what cannot be read."""
        if len(wire) < 12 or wire[2] & 0x80:
            return None
        if (wire[2] >> 3) & 15 != dns.opcode.QUERY:
            return _bare(wire, dns.rcode.NOTIMP)
        questions, answers, authorities, more = struct.unpack("!4H", wire[4:12])
        if questions != 1 or answers or authorities or more > 3:  # EDNS, TSIG and SIG(0) are all a query may add
            return _bare(wire, dns.rcode.FORMERR)
        try:
            query = dns.message.from_wire(wire, keyring=False, ignore_trailing=True)
        except (dns.exception.DNSException, ValueError):
            return None
        return self._reply(query).to_wire(max_size=_room(query, by_udp=by_udp), prefer_truncation=True)

    def _reply(self, query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query, our_payload=UDP_MOST)
        if query.edns > 0:
            reply.set_rcode(dns.rcode.BADVERS)
            return reply
        try:
            self._fill(reply, query.question[0])
        except Exception:  # noqa: BLE001 whatever keeps the store from answering is the server's failure
            _LOG.exception("the responder could not look up its records")
            reply.answer.clear()
            reply.set_rcode(dns.rcode.SERVFAIL)
        return reply

    def _fill(self, reply: dns.message.Message, question: dns.rrset.RRset) -> None:
        name = question.name.to_text(omit_final_dot=True).lower()
        # An escaped dot would cut a label in two below, and no name of ours holds one.
        zone = None if "\\" in name else _zone_of(name, self._zones())
        if zone is None or question.rdclass != _IN or question.rdtype in (dns.rdatatype.AXFR, dns.rdatatype.IXFR):
            reply.set_rcode(dns.rcode.REFUSED)
            return
        reply.flags |= dns.flags.AA
        standing = self._standing(name, question, zone)
        any_type = question.rdtype == dns.rdatatype.ANY  # one set is enough: RFC 8482 section 4.1
        reply.answer = [rrset for rrset in standing if any_type or rrset.rdtype == question.rdtype][:1]
        if not reply.answer:
            reply.authority = [zone.soa]
            if not standing and _is_leaf(name):
                reply.set_rcode(dns.rcode.NXDOMAIN)

    def _standing(self, name: str, question: dns.rrset.RRset, zone: ServedZone) -> list[dns.rrset.RRset]:
        """The record sets at a name, under the spelling of the question: resolvers check its case (0x20)."""
        fixed = [list(zone.soa), list(zone.ns)] if question.name == zone.origin else []
        addresses = [[address] for address in zone.addresses.get(name, zone.everywhere)]
        sets = [*fixed, *addresses, self._texts(name, question.rdtype)]
        return [dns.rrset.from_rdata_list(question.name, TTL, rdatas) for rdatas in sets if rdatas]

    def _texts(self, name: str, asked: dns.rdatatype.RdataType) -> list[dns.rdata.Rdata]:
        """TXT records; the store is not asked where they would change nothing."""
        if asked not in (dns.rdatatype.TXT, dns.rdatatype.ANY) and not _is_leaf(name):
            return []
        return [TXT(_IN, dns.rdatatype.TXT, [value.encode("ascii")]) for value in self._values(name)]


def _is_leaf(name: str) -> bool:
    """Whether nothing can stand below the name, so that "there is no such name" is true of all below it (RFC 8020).

    The ledger is asked for one name at a time, so any other name may lie above a record; a resolver that walks down
    label by label (RFC 9156) must not be told that it does not exist.
    """
    return name.startswith("_")


def _zone_of(name: str, zones: Mapping[str, ServedZone]) -> ServedZone | None:
    while True:
        found = zones.get(name)
        if found is not None:
            return found
        _, dot, name = name.partition(".")
        if not dot:
            return None


def _room(query: dns.message.Message, *, by_udp: bool) -> int:
    if not by_udp:
        return 65535
    return min(max(query.payload, 512), UDP_MOST) if query.edns >= 0 else 512


def _bare(wire: bytes, rcode: dns.rcode.Rcode) -> bytes:
    """A header with nothing behind it, for queries that are not read any further."""
    flags = 0x8000 | (wire[2] & 0x79) << 8 | rcode
    return struct.pack("!2sH8x", wire[:2], flags)
