"""Keys in their allowed kinds, and requests that may say nothing but key and names."""

import ipaddress
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AttributeOID, NameOID

from certline_shared import keys
from certline_shared.keys import BadRequest, KeyType
from tests.unit.shared.makers import NO_NAME, dns_names, subject

P256 = keys.generate(KeyType.ECDSA_P256)
Builder = x509.CertificateSigningRequestBuilder


def request_of(builder: Builder, key: keys.PrivateKey = P256, digest: hashes.HashAlgorithm | None = None) -> bytes:
    return builder.sign(key, digest or hashes.SHA256()).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


def plain(name: x509.Name = NO_NAME, *hosts: str) -> Builder:
    return Builder(name).add_extension(dns_names(*(hosts or ("a.example",))), critical=False)


@pytest.mark.parametrize("kind", list(KeyType))
def test_a_key_of_each_kind_is_made_stored_and_known_again(kind: KeyType) -> None:
    key = keys.generate(kind)
    again = keys.from_pem(keys.to_pem(key))
    assert keys.key_type_of(again) == kind
    assert keys.key_type_of(again.public_key()) == kind
    assert keys.spki_sha256(again.public_key()) == keys.spki_sha256(key.public_key())


@pytest.mark.parametrize("kind", list(KeyType))
def test_our_own_request_says_key_and_names_and_is_accepted(kind: KeyType) -> None:
    key = keys.generate(kind)
    facts = keys.read_csr(keys.make_csr(key, ("www.example.org", "*.example.org")))
    assert facts.names == ("*.example.org", "www.example.org")
    assert facts.key_type == kind
    assert facts.spki_sha256 == keys.spki_sha256(key.public_key())


@pytest.mark.parametrize("kind", [KeyType.ECDSA_P521, KeyType.RSA_2048])
def test_a_key_under_a_passphrase_is_opened_by_it_alone(kind: KeyType) -> None:
    key = keys.generate(kind)
    locked = keys.to_pem(key, b"open sesame")
    assert locked.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert keys.spki_sha256(keys.from_pem(locked, b"open sesame")) == keys.spki_sha256(key)
    with pytest.raises(ValueError, match="the passphrase does not open the private key") as caught:
        keys.from_pem(locked, b"open barley")
    assert "barley" not in str(caught.value)
    assert keys.spki_sha256(keys.from_pem(keys.to_pem(key), b"of no use")) == keys.spki_sha256(key)


def test_a_stored_key_is_plain_pkcs8_and_what_is_none_is_refused_without_quoting_it() -> None:
    assert keys.to_pem(P256).startswith(b"-----BEGIN PRIVATE KEY-----")
    locked = P256.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    with pytest.raises(ValueError, match="give its passphrase, or store it without one"):
        keys.from_pem(locked)
    with pytest.raises(ValueError, match="not a private key") as caught:
        keys.from_pem(b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    assert "c2VjcmV0" not in str(caught.value)
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="an RSA or EC key is needed"):
        keys.from_pem(other)


def test_a_thumbprint_is_of_a_key_and_of_nothing_else() -> None:
    assert keys.spki_sha256(P256) == keys.spki_sha256(P256.public_key())
    with pytest.raises(TypeError, match="public key"):
        keys.spki_sha256("no key")


def test_a_common_name_that_is_among_the_names_is_taken() -> None:
    assert keys.read_csr(request_of(plain(subject("A.Example")))).names == ("a.example",)


def test_names_of_a_request_come_in_normal_form() -> None:
    assert keys.read_csr(request_of(plain(NO_NAME, "B.example", "b.example.", "A.EXAMPLE"))).names == (
        "a.example",
        "b.example",
    )


def _address() -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName("a.example"), x509.IPAddress(ipaddress.ip_address("192.0.2.1"))])


BAD: dict[str, tuple[str, Callable[[], bytes]]] = {
    "RSA of 1024 bits": ("1024 bits", lambda: request_of(plain(), rsa.generate_private_key(65537, 1024))),  # noqa: S505 the point
    "RSA with exponent 3": ("exponent", lambda: request_of(plain(), rsa.generate_private_key(3, 2048))),
    "the curve P-224": ("secp224r1", lambda: request_of(plain(), ec.generate_private_key(ec.SECP224R1()))),
    "a curve nobody certifies": ("secp256k1", lambda: request_of(plain(), ec.generate_private_key(ec.SECP256K1()))),
    "a broken signature": ("signature does not hold", lambda: _broken(request_of(plain()))),
    "a weak digest": ("SHA-256", lambda: request_of(plain(), digest=hashes.SHA224())),
    "no names at all": ("no subjectAltName", lambda: request_of(Builder(NO_NAME))),
    "a common name alone": ("no subjectAltName", lambda: request_of(Builder(subject("a.example")))),
    "an empty subjectAltName": (
        "is empty",
        lambda: request_of(Builder(NO_NAME).add_extension(x509.SubjectAlternativeName([]), critical=False)),
    ),
    "an address": ("IPAddress", lambda: request_of(Builder(NO_NAME).add_extension(_address(), critical=False))),
    "an unusable name": ("underscore", lambda: request_of(plain(NO_NAME, "a_b.example"))),
    "a common name of another": ("not among", lambda: request_of(plain(subject("other.example")))),
    "an organisation": (
        "subject has O",
        lambda: request_of(plain(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x")]))),
    ),
    "CA:TRUE": (
        "2.5.29.19",
        lambda: request_of(plain().add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)),
    ),
    "another TLS feature": (
        "other than Must-Staple",
        lambda: request_of(
            plain().add_extension(x509.TLSFeature([x509.TLSFeatureType.status_request_v2]), critical=False)
        ),
    ),
    "a challenge password": (
        "challengePassword",
        lambda: request_of(plain().add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"x")),
    ),
    "101 names": ("101 names", lambda: request_of(plain(NO_NAME, *(f"h{n}.example" for n in range(101))))),
    "1,000 names": ("bytes|names", lambda: request_of(plain(NO_NAME, *(f"h{n}.example" for n in range(1000))))),
    "5 MB": ("at most 16384", lambda: b"0" * 5_000_000),
    "PEM": ("not a DER", lambda: x509.load_der_x509_csr(request_of(plain())).public_bytes(serialization.Encoding.PEM)),
    "something after the request": ("not a DER", lambda: request_of(plain()) + b"x"),
    "nothing": ("not a DER", lambda: b""),
    "garbage": ("not a DER", lambda: b"\x30\x82\xff\xff" + b"\xa5" * 4000),
}


def _broken(der: bytes) -> bytes:
    return der[:-1] + bytes([der[-1] ^ 1])


@pytest.mark.parametrize(("why", "make"), BAD.values(), ids=BAD.keys())
def test_a_request_with_anything_else_in_it_is_refused(why: str, make: Callable[[], bytes]) -> None:
    with pytest.raises(BadRequest, match=why):
        keys.read_csr(make())


def test_a_request_by_a_key_of_another_kind_is_refused() -> None:
    der = plain().sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(serialization.Encoding.DER)
    with pytest.raises(BadRequest, match="neither RSA nor EC"):
        keys.read_csr(der)


def test_a_huge_rsa_key_is_refused_by_its_size_before_its_signature_is_looked_at() -> None:
    """A modulus of 16,384 bits needs no key: the request's signature is never reached."""
    small = x509.load_der_x509_csr(request_of(plain(), rsa.generate_private_key(65537, 2048)))
    numbers = rsa.RSAPublicNumbers(65537, (1 << 16_383) + 1)
    spki = numbers.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    own = small.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = _with_lengths(small.tbs_certrequest_bytes.replace(own, spki), small.signature)
    with pytest.raises(BadRequest, match="16384 bits"):
        keys.read_csr(der)


def _with_lengths(tbs: bytes, signature: bytes) -> bytes:
    """The request put together again after its inner part grew (RFC 2986 section 4)."""
    header = 4  # 30 82 LL LL, as any sequence of 256 to 65,535 bytes
    sha256_with_rsa = bytes.fromhex("300d06092a864886f70d01010b0500")
    inner = _sequence(tbs[header:])
    bits = b"\x03\x82" + (len(signature) + 1).to_bytes(2, "big") + b"\0" + signature
    return _sequence(inner + sha256_with_rsa + bits)


def _sequence(content: bytes) -> bytes:
    return b"\x30\x82" + len(content).to_bytes(2, "big") + content
