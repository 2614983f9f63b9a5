"""Sealing secrets to one follower with HPKE (RFC 9180): suite ML-KEM-768 + X25519, HKDF-SHA256, AES-256-GCM."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey, Suite

SUITE = "mlkem768-x25519/hkdf-sha256/aes-256-gcm"
PRIVATE_BYTES = 96  # ML-KEM-768 seed (FIPS 203: d and z), then the X25519 key
PUBLIC_BYTES = 1216  # ML-KEM-768 encapsulation key, then the X25519 key

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_SEED_BYTES = 64
_ENCAPSULATION_BYTES = 1184


def generate() -> tuple[bytes, bytes]:
    """A fresh sealing key: (private, public), both as raw bytes; the private form is what `open_sealed` takes."""
    private = MLKEM768PrivateKey.generate().private_bytes_raw() + X25519PrivateKey.generate().private_bytes_raw()
    return private, public_of(private)


def public_of(private: bytes) -> bytes:
    """The public half. Raises ValueError when these bytes are no private key of the suite."""
    quantum, classic = _private_parts(private)
    return quantum.public_key().public_bytes_raw() + classic.public_key().public_bytes_raw()


def check_public(public: bytes) -> None:
    """Raises ValueError when these bytes cannot be a public key of the suite."""
    _public(public)


def seal(plaintext: bytes, public: bytes, info: bytes) -> bytes:
    """Encapsulated key and ciphertext in one (1,136 bytes more than the plaintext). Raises ValueError for a bad key."""
    return _SUITE.encrypt(plaintext, _public(public), info=info)


def open_sealed(sealed: bytes, private: bytes, info: bytes) -> bytes:
    """Raises ValueError when it was not sealed to this key with this `info`."""
    key = MLKEM768X25519PrivateKey(*_private_parts(private))
    try:
        return _SUITE.decrypt(sealed, key, info=info)
    except InvalidTag:
        raise ValueError("not sealed to this key for this use, or changed on the way") from None


def key_info(follower_id: str, line: str, version: int, key_type: str) -> bytes:
    """The HPKE `info` that binds a sealed private key to its follower, line, version and kind."""
    return "\n".join(("certline-key/1", follower_id, line, str(version), key_type)).encode()


def _private_parts(private: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(private) != PRIVATE_BYTES:
        raise ValueError(f"a private sealing key has {PRIVATE_BYTES} bytes")
    return (
        MLKEM768PrivateKey.from_seed_bytes(private[:_SEED_BYTES]),
        X25519PrivateKey.from_private_bytes(private[_SEED_BYTES:]),
    )


def _public(public: bytes) -> MLKEM768X25519PublicKey:
    if len(public) != PUBLIC_BYTES:
        raise ValueError(f"a public sealing key has {PUBLIC_BYTES} bytes, this one {len(public)}")
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:_ENCAPSULATION_BYTES]),
        X25519PublicKey.from_public_bytes(public[_ENCAPSULATION_BYTES:]),
    )
