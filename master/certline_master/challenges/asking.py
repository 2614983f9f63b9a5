"""One question to one DNS server, over UDP and then TCP, bounded in time and size; what it does wrong stays here."""

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from certline_master.challenges.endpoint import Endpoint

SECONDS = 2.0
MOST_VALUES = 200


class NoAnswer(Exception):
    """The server gave no usable answer; the text continues a sentence that begins with the server."""


def ask_txt(server: Endpoint, name: str) -> set[str]:
    """The TXT values that a server shows at exactly this name; none when it does not exist. Raises NoAnswer."""
    try:
        answer = ask(server, name, dns.rdatatype.TXT)
        return _values(answer, dns.name.from_text(name))
    except NoAnswer:
        raise
    except Exception as error:  # a hostile answer may break a parser anywhere; it must only fail this look
        raise NoAnswer(f"sends an answer that cannot be read ({type(error).__name__})") from error


def ask(server: Endpoint, name: str, kind: dns.rdatatype.RdataType) -> dns.message.Message:
    """Raises NoAnswer when none comes."""
    query = dns.message.make_query(name, kind, flags=0, use_edns=0, payload=1232)
    try:
        answer, _ = dns.query.udp_with_fallback(
            query, server.address, SECONDS, server.port, ignore_unexpected=True, ignore_errors=True
        )
    except dns.exception.Timeout:
        raise NoAnswer(f"does not answer within {SECONDS:g} s") from None
    except OSError as error:
        raise NoAnswer(f"cannot be asked ({error.strerror or type(error).__name__})") from None
    return answer


def _values(answer: dns.message.Message, name: dns.name.Name) -> set[str]:
    if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise NoAnswer(f"answers {dns.rcode.to_text(answer.rcode())} for {name.to_text(omit_final_dot=True)}")
    sets = [rrset for rrset in answer.answer if rrset.name == name and rrset.rdtype == dns.rdatatype.TXT]
    found = [rdata for rrset in sets for rdata in rrset if isinstance(rdata, TXT)]
    if len(found) > MOST_VALUES:
        raise NoAnswer(f"shows {len(found)} TXT values at {name.to_text(omit_final_dot=True)} (at most {MOST_VALUES})")
    return {b"".join(rdata.strings).decode("ascii", "replace") for rdata in found}
