"""Sealing secrets to one follower with HPKE (RFC 9180): suite ML-KEM-768 + X25519, HKDF-SHA256, AES-256-GCM."""

SUITE = "mlkem768-x25519/hkdf-sha256/aes-256-gcm"


def generate() -> tuple[bytes, bytes]:
    """A fresh sealing key: (private, public), both as raw bytes; the private form is what `open_sealed` takes."""
    raise NotImplementedError


def public_of(private: bytes) -> bytes:
    raise NotImplementedError


def check_public(public: bytes) -> None:
    """Raises ValueError when these bytes cannot be a public key of the suite."""
    raise NotImplementedError


def seal(plaintext: bytes, public: bytes, info: bytes) -> bytes:
    raise NotImplementedError


def open_sealed(sealed: bytes, private: bytes, info: bytes) -> bytes:
    """Raises ValueError when it was not sealed to this key with this `info`."""
    raise NotImplementedError


def key_info(follower_id: str, line: str, version: int, key_type: str) -> bytes:
    """The HPKE `info` that binds a sealed private key to its follower, line, version and kind."""
    raise NotImplementedError
