"""The enrolment string: what an operator carries from the master to a new host, and the MAC key it holds."""

from dataclasses import dataclass
from datetime import datetime

PREFIX = "certline-enrol-1."


class BadEnrolmentString(ValueError):
    """Not an enrolment string, cut, or of another version; the text says so and never repeats the secret."""


@dataclass(frozen=True, slots=True, repr=False)
class EnrolmentString:
    origin: str  # https://name:port
    token_id: str
    secret: bytes  # 32 bytes, never sent
    trust: str  # "pin" | "chain"
    tls_pins: tuple[str, ...]  # for "pin": lower-case hex SHA-256 over the SPKI of the API's CA, current and next
    signing_key_thumbprint: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"EnrolmentString({self.origin}, {self.token_id}, ***)"


def to_text(enrolment: EnrolmentString) -> str:
    """PREFIX + base64url(canonical JSON), one line without spaces, with a 4-byte checksum so that a cut copy is noticed."""
    raise NotImplementedError


def from_text(text: str) -> EnrolmentString:
    """Raises BadEnrolmentString."""
    raise NotImplementedError


def mac_key(secret: bytes) -> bytes:
    """HKDF-SHA256(secret, info="certline enrol v1"), 32 bytes: what both sides keep and use."""
    raise NotImplementedError


def request_mac(key: bytes, canonical_body: bytes) -> bytes:
    """HMAC-SHA256 over b"certline-enrol-request/1\\n" + body."""
    raise NotImplementedError


def answer_mac(key: bytes, canonical_body: bytes) -> bytes:
    """HMAC-SHA256 over b"certline-enrol-answer/1\\n" + body."""
    raise NotImplementedError


def mac_holds(expected: bytes, given: bytes) -> bool:
    """Constant-time comparison."""
    raise NotImplementedError
