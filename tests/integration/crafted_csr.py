"""Certificate requests that no library makes, put together byte by byte (RFC 2986), with a signature that holds."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SEQUENCE, SET, OID, OCTETS, INTEGER, BITS = 0x30, 0x31, 0x06, 0x04, 0x02, 0x03
DNS_NAME, ATTRIBUTES = 0x82, 0xA0
EXTENSION_REQUEST = bytes.fromhex("2a864886f70d01090e")
ALTERNATIVE_NAMES = bytes.fromhex("551d11")
MUST_STAPLE = bytes.fromhex("2b06010505070118")
ECDSA_WITH_SHA256 = bytes.fromhex("2a8648ce3d040302")


def tlv(tag: int, content: bytes) -> bytes:
    """One element in DER."""
    length = len(content)
    if length < 128:
        return bytes([tag, length]) + content
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def extension(oid: bytes, value: bytes) -> bytes:
    return tlv(SEQUENCE, tlv(OID, oid) + tlv(OCTETS, value))


def names(*hosts: str) -> bytes:
    """The extension subjectAltName."""
    return extension(ALTERNATIVE_NAMES, tlv(SEQUENCE, b"".join(tlv(DNS_NAME, host.encode()) for host in hosts)))


def must_staple() -> bytes:
    return extension(MUST_STAPLE, tlv(SEQUENCE, tlv(INTEGER, b"\x05")))


def wants(*extensions: bytes) -> bytes:
    """An attribute that asks for extensions."""
    return tlv(SEQUENCE, tlv(OID, EXTENSION_REQUEST) + tlv(SET, tlv(SEQUENCE, b"".join(extensions))))


def request(key: ec.EllipticCurvePrivateKey, *attributes: bytes, version: int = 0) -> bytes:
    """A request by that key; the attributes stand in the order that DER asks for."""
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    wanted = tlv(ATTRIBUTES, b"".join(sorted(attributes)))
    said = tlv(SEQUENCE, tlv(INTEGER, bytes([version])) + tlv(SEQUENCE, b"") + spki + wanted)
    signature = key.sign(said, ec.ECDSA(hashes.SHA256()))
    return tlv(SEQUENCE, said + tlv(SEQUENCE, tlv(OID, ECDSA_WITH_SHA256)) + tlv(BITS, b"\0" + signature))
