"""A CA for tests: server certificates for 127.0.0.1, and certificates for the requests that followers send."""

import ipaddress
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certline_shared import keys

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2090, 1, 1, tzinfo=UTC)


class TlsAuthority:
    """One CA with one key."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = (
            x509.CertificateBuilder(self.name, self.name, self.key.public_key(), x509.random_serial_number())
            .not_valid_before(LONG_AGO)
            .not_valid_after(FAR_AHEAD)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_signs_certificates(), critical=True)  # Python 3.13 verifies strictly
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return _pem(self.certificate)

    @property
    def pin(self) -> str:
        return keys.spki_sha256(self.key)

    def server_chain(self, *, since: datetime = LONG_AGO, until: datetime = FAR_AHEAD, host: str = "127.0.0.1") -> str:
        """Key, certificate and CA certificate for a server on that address, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        return keys.to_pem(key).decode() + self._sign(key.public_key(), names, since, until) + self.pem

    def certify(self, csr: bytes, now: datetime, days: int = 90) -> str:
        """The certificate for a request, as PEM; its CA's certificate is to follow it."""
        request = x509.load_der_x509_csr(csr)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        public = request.public_key()
        assert isinstance(public, keys.PublicKey)
        return self._sign(public, names, now - timedelta(hours=1), now + timedelta(days=days))

    def _sign(self, key: keys.PublicKey, names: x509.SubjectAlternativeName, since: datetime, until: datetime) -> str:
        builder = x509.CertificateBuilder(self.name, x509.Name([]), key, x509.random_serial_number())
        builder = builder.not_valid_before(since).not_valid_after(until).add_extension(names, critical=True)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        return _pem(builder.add_extension(authority, critical=False).sign(self.key, hashes.SHA256()))


def _signs_certificates() -> x509.KeyUsage:
    signs = {"key_cert_sign": True, "crl_sign": True}
    others = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    return x509.KeyUsage(**signs, **dict.fromkeys((*others, "encipher_only", "decipher_only"), False))


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
