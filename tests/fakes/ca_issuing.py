"""Certificates of the fake CA: a root, an intermediate and real leaves for requests."""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CA_LIFETIME = timedelta(days=3650)
_BACKDATED = timedelta(minutes=1)


class IssuingCa:
    """Two levels of CA made anew for each instance; `root_name` is what a preferred chain names."""

    def __init__(self, now: datetime, *, name: str = "Fake") -> None:
        self.root_name = f"{name} Root"
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root, self._subject = _name(self.root_name), _name(f"{name} Intermediate")
        self.root = _ca_certificate(root, self._root_key.public_key(), root, self._root_key, now)
        self.intermediate = _ca_certificate(self._subject, self._key.public_key(), root, self._root_key, now)

    def issue(self, csr: bytes, now: datetime, lifetime: timedelta, *, for_servers_only: bool = False) -> str:
        """A PEM chain, leaf first, for a DER request."""
        request = x509.load_der_x509_csr(csr)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder()
            .issuer_name(self._subject)
            .subject_name(x509.Name([]))
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now - _BACKDATED + lifetime)
            .add_extension(names, critical=True)
            .add_extension(identifier, critical=False)
        )
        if for_servers_only:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        leaf = builder.sign(self._key, hashes.SHA256())
        return _pem(leaf) + _pem(self.intermediate)


def names_of(csr: bytes) -> set[str]:
    """The DNS names in a DER request."""
    request = x509.load_der_x509_csr(csr)
    listed = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(listed.get_values_for_type(x509.DNSName))


def validity_of(chain: str) -> tuple[datetime, datetime]:
    """From when until when the leaf of a PEM chain is valid."""
    leaf = x509.load_pem_x509_certificate(chain.encode())
    return leaf.not_valid_before_utc, leaf.not_valid_after_utc


def serial_of(chain: str) -> str:
    """The leaf's serial in lower-case hex."""
    return f"{x509.load_pem_x509_certificate(chain.encode()).serial_number:x}"


def _ca_certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CA_LIFETIME)
        .not_valid_after(now + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
