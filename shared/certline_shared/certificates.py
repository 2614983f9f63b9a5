"""Reading and checking certificates and chains."""

from dataclasses import dataclass
from datetime import datetime

from certline_shared.keys import PrivateKey

MOST_CHAIN_BYTES = 65_536
MOST_CHAIN_LENGTH = 10


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


def read_chain(pem: str) -> CertificateFacts:
    """Facts of the leaf of a PEM chain, leaf first.

    Raises BadChain: over MOST_CHAIN_BYTES or MOST_CHAIN_LENGTH, anything but CERTIFICATE blocks (a private key above all),
    not parseable, a link whose signature the next certificate did not make, the same certificate twice.
    """
    raise NotImplementedError


def check_issued(
    pem: str, *, names: "tuple[str, ...]", spki_sha256: str, now: datetime, former_serial: "str | None" = None
) -> CertificateFacts:
    """read_chain, and: the key is the wished one, the names are exactly the wished set, it is valid now (a not_before up to
    one hour ahead is taken), not the former serial, lifetime over one hour. Raises BadChain naming what differs."""
    raise NotImplementedError


def matches(key: PrivateKey, pem: str) -> bool:
    """Whether the key belongs to the chain's leaf."""
    raise NotImplementedError


def ari_certificate_id(pem: str) -> str:
    """RFC 9773 section 4.1: base64url(AKI key identifier) '.' base64url(DER serial contents). Raises BadChain without an AKI."""
    raise NotImplementedError
