"""Private keys and certificate signing requests: the kinds of key, making them, and what a request may say."""

from dataclasses import dataclass
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class KeyType(StrEnum):
    """The kinds of key a certificate may have."""

    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"


class BadRequest(ValueError):
    """A certificate signing request that cannot be accepted; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class CsrFacts:
    """What is read of a request: nothing but its key and its names (security note, T4)."""

    names: tuple[str, ...]  # normal form, sorted
    key_type: KeyType
    spki_sha256: str  # lower-case hex of SHA-256 over the DER SubjectPublicKeyInfo


def generate(key_type: KeyType) -> PrivateKey:
    raise NotImplementedError


def to_pem(key: PrivateKey) -> bytes:
    """PKCS#8, PEM, not encrypted."""
    raise NotImplementedError


def from_pem(pem: bytes) -> PrivateKey:
    """Raises ValueError for anything but an unencrypted RSA or EC private key."""
    raise NotImplementedError


def key_type_of(key: object) -> KeyType:
    """The kind of a private or public key. Raises BadRequest for kinds and sizes not in KeyType."""
    raise NotImplementedError


def spki_sha256(public_key: object) -> str:
    """Lower-case hex of SHA-256 over the DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""
    raise NotImplementedError


def make_csr(key: PrivateKey, names: "tuple[str, ...]") -> bytes:
    """A DER PKCS#10 request (RFC 2986): empty subject, the names in subjectAltName, nothing else."""
    raise NotImplementedError


def read_csr(der: bytes) -> CsrFacts:
    """Check a request and tell its facts, within milliseconds whatever it holds.

    Raises BadRequest for: over 16 KiB, not DER, a key kind or size outside KeyType (RSA exponent other than 65537 too; checked
    before the signature), a broken signature, a subject with more than a CN, a CN that is not among the names, no
    subjectAltName, other than DNS names in it, more than 100 names, any other extension (CA, Must-Staple, ...), any
    attribute but the extension request (challenge passwords).
    """
    raise NotImplementedError
