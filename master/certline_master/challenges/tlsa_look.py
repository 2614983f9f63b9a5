"""TLSA records as each authoritative server shows them, with the serial of the zone there: asked without a cache."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TLSA import TLSA

from certline_master.challenges.asking import NoAnswer, ask
from certline_master.challenges.endpoint import Endpoint
from certline_master.challenges.resolver import Resolver
from certline_master.challenges.visibility import MOST_ADDRESSES, MOST_SERVERS
from certline_master.challenges.zone_settings import nameservers
from certline_master.domain.dane_ledger import Shown
from certline_master.domain.errors import SolverError
from certline_master.domain.model import Zone
from certline_master.domain.ports import TlsaSight

MOST_VALUES = 100


class AuthoritativeTlsa:
    """The TlsaView port. Thread-safe. `port`: that of servers found by NS records."""

    def __init__(self, resolver: Resolver, *, port: int = 53) -> None:
        self._resolver, self._port = resolver, port

    def look(self, name: str, zone: Zone | None) -> TlsaSight:
        apex = self._resolver.apex(zone.name if zone else name)
        servers = self._servers(apex, zone)
        with ThreadPoolExecutor(len(servers), thread_name_prefix="tlsa") as pool:
            found = list(pool.map(lambda server: self._ask_server(server, name, apex), servers))
        shown = tuple(one for answers, _ in found for one in answers)
        return TlsaSight(shown, tuple(fault for _, fault in found if fault))

    def _servers(self, apex: str, zone: Zone | None) -> Sequence[Endpoint | str]:
        fixed = nameservers(zone) if zone else ()
        hosts = fixed or self._resolver.name_servers(apex)[:MOST_SERVERS]
        if not hosts:
            raise SolverError(f"{apex} lists no name servers (NS records)")
        return hosts

    def _ask_server(self, server: Endpoint | str, name: str, apex: str) -> tuple[list[Shown], str | None]:
        """An address that is silent is made up for by another of the same server."""
        try:
            endpoints = [server] if isinstance(server, Endpoint) else self._endpoints(server)
        except SolverError as error:
            return [], f"name server {error}"
        answers, silent = [], []
        for endpoint in endpoints:
            who = str(server) if isinstance(server, Endpoint) else f"{server} ({endpoint.address})"
            try:
                answers.append(show(endpoint, who, name, apex))
            except NoAnswer as error:
                silent.append(f"{who} {error}")
        return answers, None if answers else "; ".join(silent) or f"name server {server} has no address"

    def _endpoints(self, server: str) -> list[Endpoint]:
        return [Endpoint(address, self._port) for address in self._resolver.addresses(server)[:MOST_ADDRESSES]]


def show(server: Endpoint, who: str, name: str, apex: str) -> Shown:
    """What one server shows. Raises NoAnswer, also for a name in a zone below, and for one that is a CNAME."""
    try:
        soa = _soa(ask(server, apex, dns.rdatatype.SOA), dns.name.from_text(apex))
        rdatas, ttl = _values(ask(server, name, dns.rdatatype.TLSA), dns.name.from_text(name))
    except NoAnswer:
        raise
    except Exception as error:  # a hostile answer may break a parser anywhere; it must only fail this look
        raise NoAnswer(f"sends an answer that cannot be read ({type(error).__name__})") from error
    return Shown(who, rdatas, ttl, str(soa.serial))


def _soa(answer: dns.message.Message, apex: dns.name.Name) -> SOA:
    _check(answer, apex)
    for rrset in answer.answer:
        for rdata in rrset:
            if isinstance(rdata, SOA) and rrset.name == apex:
                return rdata
    raise NoAnswer(f"shows no SOA record of {apex.to_text(omit_final_dot=True)}")


def _values(answer: dns.message.Message, name: dns.name.Name) -> tuple[frozenset[str], int]:
    """The values and how long a cache may keep the answer; of a negative one by RFC 2308 section 5."""
    _check(answer, name)
    if any(rrset.rdtype == dns.rdatatype.CNAME for rrset in answer.answer):
        raise NoAnswer(f"has a CNAME at {name.to_text(omit_final_dot=True)}: TLSA records cannot stand beside it")
    sets = [rrset for rrset in answer.answer if rrset.name == name and rrset.rdtype == dns.rdatatype.TLSA]
    found = [rdata for rrset in sets for rdata in rrset if isinstance(rdata, TLSA)]
    if len(found) > MOST_VALUES:
        raise NoAnswer(f"shows {len(found)} values at {name.to_text(omit_final_dot=True)} (at most {MOST_VALUES})")
    if not found:
        return frozenset(), _negative_ttl(answer)
    return frozenset(text_of(rdata) for rdata in found), max(rrset.ttl for rrset in sets)


def _negative_ttl(answer: dns.message.Message) -> int:
    for rrset in answer.authority:
        for rdata in rrset:
            if isinstance(rdata, SOA):
                return int(min(rrset.ttl, rdata.minimum))
    raise NoAnswer("denies the record without its SOA record (RFC 2308)")


def _check(answer: dns.message.Message, name: dns.name.Name) -> None:
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise NoAnswer(f"answers {dns.rcode.to_text(answer.rcode())} for {name.to_text(omit_final_dot=True)}")
    if not answer.flags & dns.flags.AA:
        raise NoAnswer(f"does not answer for {name.to_text(omit_final_dot=True)} by its own authority")


def text_of(rdata: TLSA) -> str:
    """As the ledger has it: dnspython breaks long data into pieces."""
    return f"{rdata.usage} {rdata.selector} {rdata.mtype} {rdata.cert.hex()}"
