"""Private keys and certificate signing requests: the kinds of key, making them, and what a request may say."""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AttributeOID, ExtensionOID, NameOID

from certline_shared import names as dns
from certline_shared.key_types import KeyType as KeyType  # noqa: PLC0414 part of this module's contract

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

MOST_CSR_BYTES = 16_384
MOST_NAMES = 100

_UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm,
    x509.UnsupportedGeneralNameType, x509.DuplicateExtension, x509.InvalidVersion,  # no ValueErrors, these three
)  # fmt: skip
_CSR_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class BadRequest(ValueError):
    """A certificate signing request that cannot be accepted; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class CsrFacts:
    """What is read of a request: nothing but its key and its names (security note, T4)."""

    names: tuple[str, ...]  # normal form, sorted
    key_type: KeyType
    spki_sha256: str  # lower-case hex of SHA-256 over the DER SubjectPublicKeyInfo
    common_name: str | None = None  # normal form; None: the subject is empty
    must_staple: bool = False  # RFC 7633


_CURVES: dict[str, tuple[KeyType, ec.EllipticCurve]] = {
    "secp256r1": (KeyType.ECDSA_P256, ec.SECP256R1()),
    "secp384r1": (KeyType.ECDSA_P384, ec.SECP384R1()),
    "secp521r1": (KeyType.ECDSA_P521, ec.SECP521R1()),
}
_CURVE_OF = dict(_CURVES.values())
_RSA_SIZES = {2048: KeyType.RSA_2048, 3072: KeyType.RSA_3072, 4096: KeyType.RSA_4096}
_SIZE_OF = {key_type: size for size, key_type in _RSA_SIZES.items()}


def generate(key_type: KeyType) -> PrivateKey:
    """A fresh private key of that kind."""
    if key_type in _CURVE_OF:
        return ec.generate_private_key(_CURVE_OF[key_type])
    return rsa.generate_private_key(public_exponent=65537, key_size=_SIZE_OF[key_type])


def to_pem(key: PrivateKey, passphrase: bytes | None = None) -> bytes:
    """PKCS#8, PEM; with a passphrase encrypted by AES-256 under a key that PBKDF2 makes of it (RFC 8018)."""
    cipher = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher)


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key in PEM form, whatever its kind, needs a passphrase."""
    return b"ENCRYPTED" in pem


def from_pem(pem: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """Raises ValueError for anything but an RSA or EC private key, and for an encrypted one that it does not open."""
    encrypted = is_encrypted(pem)
    if encrypted and passphrase is None:
        raise ValueError("the private key is encrypted: give its passphrase, or store it without one")
    try:
        key = serialization.load_pem_private_key(pem, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # their text may quote the input
        if encrypted:
            raise ValueError("the passphrase does not open the private key: another one, or a damaged file") from None
        raise ValueError("not a private key in PEM form: the file may be cut or hold something else") from None
    if not isinstance(key, PrivateKey):
        raise ValueError(f"a private key of the kind {type(key).__name__}: an RSA or EC key is needed")  # noqa: TRY004 contract
    return key


def key_type_of(key: object) -> KeyType:
    """The kind of a private or public key. Raises BadRequest for kinds and sizes not in KeyType."""
    allowed = ", ".join(KeyType)
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        if key.curve.name not in _CURVES:
            raise BadRequest(f"the key is on the curve {key.curve.name}: use one of {allowed}")
        return _CURVES[key.curve.name][0]
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        if key.key_size not in _RSA_SIZES:
            raise BadRequest(f"the RSA key has {key.key_size} bits: use one of {allowed}")
        return _RSA_SIZES[key.key_size]
    raise BadRequest(f"the key is neither RSA nor EC: use one of {allowed}")


def spki_sha256(public_key: object) -> str:
    """Lower-case hex of SHA-256 over the DER SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).

    Takes a public key, or a private key for its public half; raises TypeError for another thing.
    """
    if isinstance(public_key, PrivateKey):
        public_key = public_key.public_key()
    if not hasattr(public_key, "public_bytes"):
        raise TypeError(f"a public key is needed, not {type(public_key).__name__}")
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def make_csr(
    key: PrivateKey, names: "tuple[str, ...]", *, common_name: str | None = None, must_staple: bool = False
) -> bytes:
    """A DER PKCS#10 request (RFC 2986): the names in subjectAltName, and nothing else that is not asked for."""
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder(subject_name=x509.Name(subject))
    builder = builder.add_extension(alternatives, critical=not subject)  # RFC 5280 section 4.2.1.6
    if must_staple:
        builder = builder.add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def csr_from_pem(text: str) -> bytes:
    """The DER form of a request in PEM form. Raises BadRequest."""
    try:
        return x509.load_pem_x509_csr(text.encode()).public_bytes(serialization.Encoding.DER)
    except _UNREADABLE as error:
        raise BadRequest(f"not a certificate signing request (PKCS#10) in PEM form: {error}") from None


def read_csr(der: bytes) -> CsrFacts:
    """Check a request and tell its facts, within milliseconds whatever it holds.

    Raises BadRequest for: over 16 KiB, not DER, a key kind or size outside KeyType (RSA exponent other than 65537 too;
    checked before the signature), a broken signature or one without SHA-2, a subject with more than a CN, a CN that is
    not among the names, no subjectAltName, other than DNS names in it, more than 100 names, any other extension than
    Must-Staple (CA, ...), any attribute but one extension request (challenge passwords).
    """
    if len(der) > MOST_CSR_BYTES:
        raise BadRequest(f"the request has {len(der)} bytes: at most {MOST_CSR_BYTES} are read")
    try:
        csr = x509.load_der_x509_csr(der)
        key = csr.public_key()
        key_type = _check_key(key)
        _check_signature(csr)
        found = _names_of(csr)
        common_name = _common_name(csr.subject, found)
        must_staple = _must_staple(csr)
    except BadRequest:
        raise
    except dns.BadName as error:
        raise BadRequest(f"the request: {error}") from None
    except _UNREADABLE as error:
        raise BadRequest(f"not a DER certificate signing request (PKCS#10) that can be read: {error}") from None
    return CsrFacts(tuple(sorted(found)), key_type, spki_sha256(key), common_name, must_staple)


def _check_key(key: object) -> KeyType:
    key_type = key_type_of(key)
    if isinstance(key, rsa.RSAPublicKey) and key.public_numbers().e != 65537:
        raise BadRequest("the RSA key's public exponent is not 65537: make a new key")
    return key_type


def _check_signature(csr: x509.CertificateSigningRequest) -> None:
    if not isinstance(csr.signature_hash_algorithm, _CSR_HASHES):
        raise BadRequest("the request is not signed with SHA-256, SHA-384 or SHA-512")
    if not csr.is_signature_valid:
        raise BadRequest("the request's signature does not hold: it was changed, or made by another key")


def _names_of(csr: x509.CertificateSigningRequest) -> set[str]:
    """The DNS names, if the request says nothing but them and Must-Staple."""
    for attribute in csr.attributes:
        if attribute.oid != _EXTENSION_REQUEST:
            raise BadRequest(f"the request has the attribute {_oid_text(attribute.oid)}: only extensions are accepted")
    if len(list(csr.attributes)) > 1:  # the library reads the first; a CA may read them all
        raise BadRequest("the request asks for extensions twice: ask once, for subjectAltName")
    for extension in csr.extensions:
        if extension.oid not in (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, ExtensionOID.TLS_FEATURE):
            raise BadRequest(f"the request has the extension {_oid_text(extension.oid)}: only subjectAltName may stand")
    return _alternatives(csr)


_EXTENSION_REQUEST = x509.ObjectIdentifier("1.2.840.113549.1.9.14")  # RFC 2985 section 5.4.2


def _oid_text(oid: x509.ObjectIdentifier) -> str:
    return "challengePassword" if oid == AttributeOID.CHALLENGE_PASSWORD else oid.dotted_string


def _must_staple(csr: x509.CertificateSigningRequest) -> bool:
    """RFC 7633: of TLS features only status_request has a meaning for a CA."""
    try:
        features = list(csr.extensions.get_extension_for_class(x509.TLSFeature).value)
    except x509.ExtensionNotFound:
        return False
    if features != [x509.TLSFeatureType.status_request]:
        raise BadRequest("the request asks for TLS features other than Must-Staple (status_request): leave them out")
    return True


def _alternatives(csr: x509.CertificateSigningRequest) -> set[str]:
    try:
        listed = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise BadRequest("the request has no subjectAltName: put the DNS names there") from None
    if len(listed) > MOST_NAMES:
        raise BadRequest(f"the request has {len(listed)} names: at most {MOST_NAMES} fit one certificate")
    for general in listed:
        if not isinstance(general, x509.DNSName):
            raise BadRequest(f"the request's subjectAltName has a {type(general).__name__}: only DNS names may stand")
    found = {dns.normalise(name) for name in listed.get_values_for_type(x509.DNSName)}
    if not found:
        raise BadRequest("the request's subjectAltName is empty: put the DNS names there")
    return found


def _common_name(subject: x509.Name, found: set[str]) -> str | None:
    named: str | None = None
    for attribute in subject:
        if attribute.oid != NameOID.COMMON_NAME:
            raise BadRequest(f"the request's subject has {attribute.rfc4514_attribute_name}: leave the subject empty")
        common_name = attribute.value if isinstance(attribute.value, str) else ""
        named = dns.normalise(common_name)
        if named not in found:
            raise BadRequest(f"the request's common name {common_name!r} is not among its DNS names")
    return named
