"""The solver "rfc2136": TXT records by DNS UPDATE (RFC 2136), signed with TSIG (RFC 8945)."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
from dns.rdtypes.ANY.TXT import TXT
from pydantic import Field, PlainValidator

from certline_master.challenges.dns01 import wished
from certline_master.challenges.endpoint import Endpoint
from certline_master.challenges.resolver import Resolver
from certline_master.challenges.visibility import AuthoritativeLook
from certline_master.challenges.zone_settings import LookSettings, faults, read
from certline_master.domain.dane import Wanted
from certline_master.domain.errors import SolverError
from certline_master.domain.model import Challenge, FailureClass, Zone
from certline_master.domain.ports import Visibility
from certline_shared.names import normalise

NAME = "rfc2136"

_FIX = FailureClass.FIX_CONFIGURATION
_IS_LABEL = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?").fullmatch


def _host_or_address(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("write a host name or an IP address")  # noqa: TRY004 pydantic reads it
    if _IS_LABEL(value.lower()):  # a host of the local network
        return value.lower()
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return normalise(value)


class Rfc2136Settings(LookSettings):
    """`server`: default is the primary that the zone's SOA names. `ttl` in seconds."""

    server: Annotated[str, PlainValidator(_host_or_address)] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 53
    key_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,253}$")] | None = None
    algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    ttl: Annotated[int, Field(ge=0, le=86400)] = 60


Change = Callable[[dns.update.UpdateMessage, dns.name.Name, TXT], None]


class Rfc2136Solver:
    """All values of a call go in one update. Secrets are base64, as `tsig-keygen` prints them. Thread-safe.

    `seconds`: how long one address of the server may take.
    """

    def __init__(self, resolver: Resolver, look: AuthoritativeLook, *, seconds: float = 10.0) -> None:
        self._resolver, self._look, self._seconds = resolver, look, seconds

    def present(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        zone = _given(zone)
        ttl = read(Rfc2136Settings, zone).ttl
        self._update(zone, secret, challenges, lambda update, name, txt: update.add(name, ttl, txt))

    def is_visible(self, zone: Zone | None, challenges: Sequence[Challenge]) -> Visibility:
        zone = _given(zone)
        return self._look.look(zone, read(Rfc2136Settings, zone), challenges)

    def clean_up(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        self._update(_given(zone), secret, challenges, lambda update, name, txt: update.delete(name, txt))

    def check(self, zone: Zone) -> tuple[str, ...]:
        signed, has_secret = zone.settings.get("key_name") is not None, zone.secret is not None
        return faults(Rfc2136Settings, zone) + _key_faults(signed=signed, has_secret=has_secret)

    def change_tlsa(self, zone: Zone, secret: bytes | None, *, add: Sequence[Wanted], remove: Sequence[Wanted]) -> None:
        """The TlsaWriter port. A value that is there already takes the new TTL (RFC 2136 section 3.4.2.2)."""
        update, settings = self._begin(zone, secret)
        for one in remove:
            update.delete(dns.name.from_text(one.name), _tlsa(one))
        for one in add:
            update.add(dns.name.from_text(one.name), one.ttl, _tlsa(one))
        self._finish(update, zone, settings)

    def _update(self, zone: Zone, secret: bytes | None, challenges: Sequence[Challenge], change: Change) -> None:
        update, settings = self._begin(zone, secret)
        for record, values in wished(challenges).items():
            for value in values:
                txt = TXT(dns.rdataclass.IN, dns.rdatatype.TXT, [value.encode("ascii")])
                change(update, dns.name.from_text(record), txt)
        self._finish(update, zone, settings)

    def _begin(self, zone: Zone, secret: bytes | None) -> tuple[dns.update.UpdateMessage, Rfc2136Settings]:
        settings = read(Rfc2136Settings, zone)
        key = _key(zone, settings, secret)
        return dns.update.UpdateMessage(dns.name.from_text(zone.name), keyring=key), settings

    def _finish(self, update: dns.update.UpdateMessage, zone: Zone, settings: Rfc2136Settings) -> None:
        if update.update:
            host = settings.server or self._resolver.primary(zone.name)
            servers = [Endpoint(address, settings.port) for address in self._resolver.addresses(host)]
            self._send(update, servers, f"{host}, for zone {zone.name}")

    def _send(self, update: dns.update.UpdateMessage, servers: Sequence[Endpoint], whom: str) -> None:
        """To the first server that can be reached. Raises SolverError with the cause."""
        failures = []
        for server in servers:
            try:
                answer = _exchange(update, server, self._seconds)
            except _Away as away:
                failures.append(f"{server} {away}")
            else:
                return _judge(answer, update, f"DNS server {server} ({whom})")
        raise SolverError(f"DNS server {whom}: {'; '.join(failures) or 'it has no address'}")


def _tlsa(wanted: Wanted) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TLSA, wanted.rdata)


def _given(zone: Zone | None) -> Zone:
    if zone is None:
        raise SolverError("rfc2136 proves by dns-01 only: name a zone", _FIX)
    return zone


def _key(zone: Zone, settings: Rfc2136Settings, secret: bytes | None) -> dns.tsig.Key | None:
    wrong = _key_faults(signed=settings.key_name is not None, has_secret=secret is not None)
    if wrong:
        raise SolverError(f"zone {zone.name}: {wrong[0]}", _FIX)
    if settings.key_name is None or secret is None:
        return None
    try:
        plain = base64.b64decode(re.sub(rb"\s", b"", secret), validate=True)
    except binascii.Error:
        plain = b""
    if not plain:
        raise SolverError(f"zone {zone.name}: the secret is not base64, as tsig-keygen prints it", _FIX)
    try:
        return dns.tsig.Key(dns.name.from_text(settings.key_name), plain, settings.algorithm)
    except dns.exception.DNSException:
        raise SolverError(f"zone {zone.name}: key_name: {settings.key_name!r} is no DNS name", _FIX) from None


def _key_faults(*, signed: bool, has_secret: bool) -> tuple[str, ...]:
    if signed and not has_secret:
        return ("secret: missing; key_name needs the key's secret (base64)",)
    if has_secret and not signed:
        return ("key_name: missing; the secret needs the name of its key",)
    return ()


class _Away(Exception):
    """The server could not be reached; an update that did reach it may be repeated without harm."""


def _exchange(update: dns.update.UpdateMessage, server: Endpoint, seconds: float) -> "dns.message.Message | Exception":
    """The answer, or what made it unusable."""
    try:
        return dns.query.tcp(update, server.address, seconds, server.port)
    except EOFError:
        raise _Away("closed the connection without an answer") from None
    except dns.exception.Timeout:
        raise _Away(f"gave no answer within {seconds:g} s") from None
    except OSError as error:
        raise _Away(f"cannot be reached ({error.strerror or type(error).__name__})") from None
    except Exception as error:  # noqa: BLE001 a hostile answer may break a parser anywhere; it must only fail this update
        return error


_BY_EXCEPTION: "tuple[tuple[type[Exception] | tuple[type[Exception], ...], str, FailureClass], ...]" = (
    (dns.tsig.PeerBadKey, "does not know this TSIG key (BADKEY): compare key_name and algorithm with its own", _FIX),
    (
        (dns.tsig.PeerBadSignature, dns.tsig.BadSignature),
        "has another secret for this TSIG key (BADSIG): compare the secret and the algorithm with its own",
        _FIX,
    ),
    (
        (dns.tsig.PeerBadTime, dns.tsig.BadTime),
        "has a clock more than 5 minutes away from ours (BADTIME): set both clocks",
        FailureClass.NEEDS_PERSON,
    ),
    (dns.tsig.PeerError, "refuses our TSIG signature", _FIX),
)

_BY_RCODE = {
    dns.rcode.NOTAUTH: ("is not the primary of this zone (NOTAUTH): correct `server` or the zone's name", _FIX),
    dns.rcode.REFUSED: ("does not let this key change this zone (REFUSED): allow it in its update policy", _FIX),
    dns.rcode.NOTZONE: ("says that a record lies outside this zone (NOTZONE): correct the zone's name", _FIX),
    dns.rcode.NOTIMP: ("knows no updates (NOTIMP): correct `server`", _FIX),
    dns.rcode.FORMERR: ("could not read the update (FORMERR)", _FIX),
    dns.rcode.SERVFAIL: ("failed at the update (SERVFAIL): see its log", FailureClass.RETRY_SOON),
}


def _judge(answer: "dns.message.Message | Exception", update: dns.update.UpdateMessage, who: str) -> None:
    if isinstance(answer, Exception):
        for kind, text, failure in _BY_EXCEPTION:
            if isinstance(answer, kind):
                raise SolverError(f"{who} {text}", failure)
        raise SolverError(f"{who} sent an answer that cannot be trusted ({type(answer).__name__}: {answer})")
    rcode = answer.rcode()
    if rcode == dns.rcode.REFUSED and update.keyring is None:
        raise SolverError(f"{who} refuses unsigned updates (REFUSED): set key_name and secret", _FIX)
    if rcode != dns.rcode.NOERROR:
        text, failure = _BY_RCODE.get(rcode, (f"answered {dns.rcode.to_text(rcode)}", FailureClass.RETRY_SOON))
        raise SolverError(f"{who} {text}", failure)
    if update.keyring is not None and not answer.had_tsig:
        raise SolverError(f"{who} sent an answer that is not signed: it cannot be trusted")
