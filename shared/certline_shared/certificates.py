"""Reading and checking certificates and chains."""

import base64
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from certline_shared import keys
from certline_shared import names as dns
from certline_shared.keys import PrivateKey

MOST_CHAIN_BYTES = 65_536
MOST_CHAIN_LENGTH = 10
MOST_AHEAD = timedelta(hours=1)  # what a CA's clock, or ours, may be wrong by
LEAST_LIFETIME = timedelta(hours=1)


class BadChain(ValueError):
    """A certificate chain that must not be used; the text says why."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What the systems need to know of a leaf."""

    names: tuple[str, ...]  # normal form, sorted
    serial: str  # lower-case hex, no leading zeros
    not_before: datetime  # aware UTC
    not_after: datetime  # aware UTC
    spki_sha256: str  # lower-case hex, see keys.spki_sha256
    issuer: str  # RFC 4514 text


@dataclass(frozen=True, slots=True)
class LeafTraits:
    """What a leaf is good for, beside its key and names."""

    common_name: str | None
    must_staple: bool
    for_servers: bool
    for_clients: bool


def read_traits(pem: str) -> LeafTraits:
    """Of the leaf of a PEM chain. Raises BadChain."""
    leaf = _load(pem)[0]
    try:
        usage = _usage_of(leaf)
        return LeafTraits(
            common_name=_common_name_of(leaf),
            must_staple=_has(leaf, ExtensionOID.TLS_FEATURE),
            for_servers=usage is None or ExtendedKeyUsageOID.SERVER_AUTH in usage,
            for_clients=usage is None or ExtendedKeyUsageOID.CLIENT_AUTH in usage,
        )
    except _UNREADABLE as error:
        raise BadChain(f"the certificate cannot be read: {error}") from None


def read_chain(pem: str) -> CertificateFacts:
    """Facts of the leaf of a PEM chain, leaf first.

    Raises BadChain: over MOST_CHAIN_BYTES or MOST_CHAIN_LENGTH, anything but CERTIFICATE blocks (a private key above
    all), not parseable, a link whose signature the next certificate did not make, the same certificate twice.
    """
    chain = _load(pem)
    if len(set(chain)) < len(chain):
        raise BadChain("the chain has the same certificate twice")
    for position, (certificate, issuer) in enumerate(pairwise(chain), start=1):
        _check_link(position, certificate, issuer)
    return _facts(chain[0])


def check_issued(
    pem: str, *, names: "tuple[str, ...]", spki_sha256: str, now: datetime, former_serial: "str | None" = None
) -> CertificateFacts:
    """read_chain, and whether the CA gave what was asked for.

    The key is the wished one, the names are exactly the wished set, it is valid now (a not_before up to one hour ahead
    is taken), not the former serial, lifetime over one hour. Raises BadChain naming what differs.
    """
    facts = read_chain(pem)
    if facts.spki_sha256 != spki_sha256:
        raise BadChain(f"the certificate is for another key: {facts.spki_sha256}, the wished one is {spki_sha256}")
    _check_names(set(facts.names), set(names))
    _check_validity(facts, now)
    if facts.serial == former_serial:
        raise BadChain(f"the certificate is the former one again (serial {facts.serial})")
    return facts


def matches(key: PrivateKey, pem: str) -> bool:
    """Whether the key belongs to the chain's leaf. Raises BadChain for a chain that cannot be read."""
    return keys.spki_sha256(key) == _facts(_load(pem)[0]).spki_sha256


def ari_certificate_id(pem: str) -> str:
    """The certificate's name in renewal information, RFC 9773 section 4.1.

    base64url(AKI key identifier) '.' base64url(DER serial contents). Raises BadChain without an AKI.
    """
    leaf = _load(pem)[0]
    try:
        identifier = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        identifier = None
    if not identifier:
        raise BadChain("the certificate has no authority key identifier, so renewal information cannot be asked for")
    serial = leaf.serial_number
    contents = serial.to_bytes(serial.bit_length() // 8 + 1, "big")  # DER: a leading zero keeps it positive
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode("ascii") for part in (identifier, contents))


_UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.UnsupportedGeneralNameType, x509.DuplicateExtension,
)  # fmt: skip
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,60})-----[\sA-Za-z0-9+/=]*-----END \1-----")


def _load(pem: str) -> list[x509.Certificate]:
    if len(pem) > MOST_CHAIN_BYTES:
        raise BadChain(f"the chain has {len(pem)} bytes: at most {MOST_CHAIN_BYTES} are read")
    if "PRIVATE KEY" in pem:
        raise BadChain("the chain has a private key in it: it must hold certificates only")
    if set(_BLOCK.findall(pem)) != {"CERTIFICATE"} or _BLOCK.sub("", pem).strip():
        raise BadChain("the chain is not made of PEM CERTIFICATE blocks only")
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
    except (ValueError, x509.InvalidVersion) as error:
        raise BadChain(f"a certificate of the chain cannot be read: {error}") from None
    if len(chain) > MOST_CHAIN_LENGTH:
        raise BadChain(f"the chain has {len(chain)} certificates: at most {MOST_CHAIN_LENGTH} are taken")
    return chain


def _check_link(position: int, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        raise BadChain(
            f"certificate {position} of the chain is not signed by certificate {position + 1} "
            f"({issuer.subject.rfc4514_string() or 'without a subject'}): leaf first, then each one's issuer"
        ) from None


def _facts(leaf: x509.Certificate) -> CertificateFacts:
    try:
        return CertificateFacts(
            names=_names_of(leaf),
            serial=f"{leaf.serial_number:x}",
            not_before=leaf.not_valid_before_utc,
            not_after=leaf.not_valid_after_utc,
            spki_sha256=keys.spki_sha256(leaf.public_key()),
            issuer=leaf.issuer.rfc4514_string(),
        )
    except _UNREADABLE as error:
        raise BadChain(f"the certificate cannot be read: {error}") from None


def _usage_of(leaf: x509.Certificate) -> "list[x509.ObjectIdentifier] | None":
    """None where the certificate does not limit it (RFC 5280 section 4.2.1.12)."""
    try:
        return list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return None


def _has(leaf: x509.Certificate, extension: x509.ObjectIdentifier) -> bool:
    return any(one.oid == extension for one in leaf.extensions)


def _common_name_of(leaf: x509.Certificate) -> "str | None":
    found = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return _normal_or_raw(str(found[0].value)) if found else None


def _names_of(leaf: x509.Certificate) -> tuple[str, ...]:
    """DNS names and addresses; of other kinds no certificate for a server has any."""
    try:
        listed = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = [str(address) for address in listed.get_values_for_type(x509.IPAddress)]
    return tuple(sorted({*map(_normal_or_raw, listed.get_values_for_type(x509.DNSName)), *addresses}))


def _normal_or_raw(name: str) -> str:
    """A foreign certificate (a probe's, an import's) may hold names that no line can have: told as they are."""
    try:
        return dns.normalise(name)
    except dns.BadName:
        return name.lower()


def _check_names(found: set[str], wished: set[str]) -> None:
    missing, extra = sorted(wished - found), sorted(found - wished)
    if missing:
        raise BadChain(f"the certificate lacks the names {', '.join(missing)}")
    if extra:
        raise BadChain(f"the certificate has names that were not asked for: {', '.join(extra)}")


def _check_validity(facts: CertificateFacts, now: datetime) -> None:
    if facts.not_after - facts.not_before <= LEAST_LIFETIME:
        raise BadChain(f"the certificate lives {facts.not_after - facts.not_before} only: over one hour is needed")
    if facts.not_before > now + MOST_AHEAD:
        raise BadChain(
            f"the certificate is not valid before {facts.not_before:%Y-%m-%d %H:%M:%SZ}: is the clock right?"
        )
    if facts.not_after <= now:
        raise BadChain(f"the certificate expired at {facts.not_after:%Y-%m-%d %H:%M:%SZ}: is the clock right?")
