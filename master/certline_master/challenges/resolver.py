"""Look-ups through our resolver: where CNAMEs lead, and who serves a zone. Bounded; failures are SolverErrors."""

import ipaddress
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver

from certline_master.challenges.dns01 import is_record
from certline_master.challenges.endpoint import parse
from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass

MOST_CNAMES = 8
SECONDS_PER_QUESTION = 2.0


@dataclass(frozen=True, slots=True)
class _Found:
    rdatas: tuple[dns.rdata.Rdata, ...] = ()
    no_such_top_level: bool = False


class Resolver:
    """The DnsView port, and what else is asked of recursive resolvers. Thread-safe.

    `nameservers`: resolvers as "ADDRESS:PORT"; none means those of the system. Raises ValueError for a wrong one.
    `seconds`: how long one look-up may take in all.
    """

    def __init__(self, nameservers: Sequence[str] = (), *, seconds: float = 6.0) -> None:
        self._endpoints = [parse(text, port=53) for text in nameservers]
        self._seconds = seconds

    def follow(self, name: str) -> str:
        """See DnsView.follow."""
        path = [name]
        while (target := self._cname(path)) is not None:
            if target in path:
                raise SolverError(f"{name} is a CNAME that runs in a circle over {target}", _FIX)
            path.append(target)
            if len(path) > MOST_CNAMES + 1:
                raise SolverError(f"{name} leads over more than {MOST_CNAMES} CNAMEs, the last to {target}", _FIX)
        return path[-1]

    def _cname(self, path: list[str]) -> str | None:
        try:
            found = self._look_up(path[-1], dns.rdatatype.CNAME)
        except SolverError as error:
            raise SolverError(f"{_led(path)}{error}", error.failure) from error
        if found.no_such_top_level and len(path) > 1:
            raise SolverError(f"{_led(path)}{path[-1]} lies under a top-level domain that does not exist", _FIX)
        target = _text(found.rdatas[0].to_text()) if found.rdatas else None
        if target is not None and not is_record(target):
            raise SolverError(f"{path[0]} leads to {target[:260]!r}, a name that no TXT record of ours may have", _FIX)
        return target

    def apex(self, name: str) -> str:
        """The zone that a name is in, by the SOA of it or of its nearest parent. Raises SolverError."""
        found = dns.name.root
        with _contained(name), suppress(dns.resolver.NoRootSOA):
            found = dns.resolver.zone_for_name(f"{name}.", resolver=self._resolver(), lifetime=self._seconds)
        if found == dns.name.root:
            raise SolverError(
                f"the resolver knows no zone for {name}: register and delegate it, or set the zone's `nameservers`",
                _FIX,
            )
        return _text(found.to_text())

    def name_servers(self, zone: str) -> list[str]:
        """Names of the servers that a zone's NS records list. Raises SolverError."""
        return sorted(_text(rdata.to_text()) for rdata in self._look_up(zone, dns.rdatatype.NS).rdatas)

    def primary(self, zone: str) -> str:
        """The server that a zone's SOA record names as its primary. Raises SolverError."""
        for soa in self._look_up(zone, dns.rdatatype.SOA).rdatas:
            return _text(soa.to_text().split()[0])
        raise SolverError(f"{zone} has no SOA record: set the zone's `server`", _FIX)

    def addresses(self, host: str) -> list[str]:
        """IPv4 and then IPv6 addresses of a host; an address stands for itself. Raises SolverError."""
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            kinds = (dns.rdatatype.A, dns.rdatatype.AAAA)
            return [rdata.to_text() for kind in kinds for rdata in self._look_up(host, kind).rdatas]

    def _look_up(self, name: str, kind: dns.rdatatype.RdataType) -> _Found:
        with _contained(name):
            try:
                answer = self._resolver().resolve(f"{name}.", kind, raise_on_no_answer=False, search=False)
            except dns.resolver.NXDOMAIN as missing:
                return _Found(
                    no_such_top_level=any(_is_from_root(reply) for reply in missing.kwargs["responses"].values())
                )
            return _Found(tuple(answer.rrset or ()))

    def _resolver(self) -> dns.resolver.Resolver:
        made = dns.resolver.Resolver(configure=not self._endpoints)
        if self._endpoints:
            made.nameservers = [dns.nameserver.Do53Nameserver(each.address, each.port) for each in self._endpoints]
        made.timeout, made.lifetime = SECONDS_PER_QUESTION, self._seconds
        return made


_FIX = FailureClass.FIX_CONFIGURATION


@contextmanager
def _contained(name: str) -> Iterator[None]:
    try:
        yield
    except dns.exception.Timeout:
        raise SolverError(f"{name} cannot be looked up: the resolver does not answer") from None
    except dns.resolver.NoNameservers as error:
        raise SolverError(f"{name} cannot be looked up: the resolver answers {_rcodes(error)}") from error
    except Exception as error:  # a hostile answer may break a parser anywhere; it must only fail this look
        raise SolverError(f"{name} cannot be looked up ({type(error).__name__})") from error


def _rcodes(error: dns.resolver.NoNameservers) -> str:
    replies = [attempt[4] for attempt in error.kwargs.get("errors", ())]
    return ", ".join(sorted({dns.rcode.to_text(reply.rcode()) for reply in replies if reply})) or "nothing usable"


def _is_from_root(reply: dns.message.Message) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA and rrset.name == dns.name.root for rrset in reply.authority)


def _led(path: list[str]) -> str:
    return f"{path[0]} is a CNAME that leads to {path[-1]}: " if len(path) > 1 else ""


def _text(name: str) -> str:
    return name.removesuffix(".").lower()
