"""Requests and certificates of every shape, good and bad, for the tests beside this file."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certline_shared import keys

NO_NAME = x509.Name([])


def dns_names(*names: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(name) for name in names])


def subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


@dataclass(frozen=True)
class Authority:
    """A small CA with one intermediate level below the caller's choosing."""

    name: str
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str, now: datetime, issuer: "Authority | None" = None) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        by = issuer.certificate.subject if issuer else subject(name)
        builder = (
            x509.CertificateBuilder(by, subject(name), key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(days=365))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        )
        return cls(name, key, builder.sign(issuer.key if issuer else key, hashes.SHA256()))

    def issue(
        self,
        key: keys.PrivateKey,
        alternatives: x509.SubjectAlternativeName | None,
        since: datetime,
        until: datetime,
        *,
        serial: int = 0x1234,
        identifier: bytes | None = b"\x01" * 20,
    ) -> str:
        """A leaf certificate as PEM."""
        builder = x509.CertificateBuilder(self.certificate.subject, NO_NAME, key.public_key(), serial)
        builder = builder.not_valid_before(since).not_valid_after(until)
        if alternatives is not None:
            builder = builder.add_extension(alternatives, critical=True)
        if identifier is not None:
            builder = builder.add_extension(x509.AuthorityKeyIdentifier(identifier, None, None), critical=False)
        return to_pem(builder.sign(self.key, hashes.SHA256()))

    @property
    def pem(self) -> str:
        return to_pem(self.certificate)


def to_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
