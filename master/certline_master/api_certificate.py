"""The API's own TLS certificate: a private CA made for this master alone, and leaves for its origins.

Followers pin the CA's key (current and next), not dates or names, so a leaf may be re-issued at any time.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certline_shared.keys import KeyType, generate, spki_sha256, to_pem

CA_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=397)
BACKDATED = timedelta(hours=1)  # hosts whose clock is a little behind
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")  # the operator's own commands on this machine


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A private key (PKCS#8 PEM) and its certificate (PEM)."""

    key: bytes
    certificate: str

    @property
    def pin(self) -> str:
        """What followers pin: lower-case hex SHA-256 over the SubjectPublicKeyInfo."""
        return spki_sha256(x509.load_pem_x509_certificate(self.certificate.encode()).public_key())


def make_ca(now: datetime) -> KeyPair:
    """A self-signed CA that may sign leaves only."""
    key = generate(KeyType.ECDSA_P256)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "certline API CA")])
    certificate = (
        _builder(name, name, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(to_pem(key), certificate.public_bytes(Encoding.PEM).decode())


def issue(ca: KeyPair, origins: Iterable[str], now: datetime) -> KeyPair:
    """A leaf for the origins' hosts and this machine; the chain carries the CA too, whose key followers look for."""
    key = generate(KeyType.ECDSA_P256)
    issuer = x509.load_pem_x509_certificate(ca.certificate.encode())
    ca_key = load_pem_private_key(ca.key, None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError("the API's CA key is not an EC key")
    public = issuer.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise TypeError("the API's CA certificate is not for an EC key")
    certificate = (
        _builder(x509.Name([]), issuer.subject, key.public_key(), now, LEAF_LIFETIME)
        .add_extension(x509.SubjectAlternativeName(list(_general_names(origins))), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return KeyPair(to_pem(key), certificate.public_bytes(Encoding.PEM).decode() + ca.certificate)


def reason_to_renew(chain: str, ca: KeyPair, origins: Iterable[str], now: datetime) -> str | None:
    """Why the leaf should be issued anew; None while it serves."""
    leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if set(names) != set(_general_names(origins)):
        return "the origins changed"
    if leaf.not_valid_after_utc - now < (leaf.not_valid_after_utc - leaf.not_valid_before_utc) / 3:
        return "a third of its lifetime is left"
    try:
        leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(ca.certificate.encode()))
    except (ValueError, TypeError, InvalidSignature) as fault:
        return f"it is not of the present CA: {type(fault).__name__}"
    return None


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey | object,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        raise TypeError("the API's keys are EC keys")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_names(origins: Iterable[str]) -> Iterable[x509.GeneralName]:
    hosts = [urlsplit(origin).hostname or "" for origin in origins]
    for host in dict.fromkeys([*hosts, *LOCAL_NAMES]):
        try:
            yield x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            yield x509.DNSName(host)
