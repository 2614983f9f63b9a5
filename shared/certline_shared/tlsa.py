"""TLSA records (RFC 6698, RFC 7671): what one says of a certificate or of its key, as text."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization

USAGES = {"pkix-ta": 0, "pkix-ee": 1, "dane-ta": 2, "dane-ee": 3}  # RFC 7218 section 2.1
SELECTORS = {"cert": 0, "spki": 1}
MATCHINGS = {"full": (0,), "sha256": (1,), "sha512": (2,), "both": (1, 2)}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a record may be about: a certificate with its key, or a key alone. DER."""

    spki: bytes
    certificate: bytes | None = None


def subjects_of_chain(pem: str) -> tuple[Subject, ...]:
    """Of a chain that was checked, leaf first."""
    return tuple(_subject(one) for one in x509.load_pem_x509_certificates(pem.encode()))


def subject_of_request(der: bytes) -> Subject:
    """Of a request that was checked: there is no certificate yet."""
    return Subject(_spki(x509.load_der_x509_csr(der)))


def rdata(usage: str, selector: str, matching: int, subject: Subject) -> str | None:
    """The record's data, in lower case; None where the certificate is not there to select (RFC 6698 section 2.1)."""
    selected = subject.certificate if selector == "cert" else subject.spki
    if selected is None:
        return None
    return f"{USAGES[usage]} {SELECTORS[selector]} {matching} {_DIGESTS[matching](selected)}"


_DIGESTS: dict[int, Callable[[bytes], str]] = {
    0: bytes.hex,
    1: lambda data: hashlib.sha256(data).hexdigest(),
    2: lambda data: hashlib.sha512(data).hexdigest(),
}


def _subject(certificate: x509.Certificate) -> Subject:
    return Subject(_spki(certificate), certificate.public_bytes(serialization.Encoding.DER))


def _spki(owner: "x509.Certificate | x509.CertificateSigningRequest") -> bytes:
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return owner.public_key().public_bytes(encoding, form)
