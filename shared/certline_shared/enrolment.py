"""The enrolment string: what an operator carries from the master to a new host, and the MAC key it holds."""

import hmac
import re
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from certline_shared import carried, codec
from certline_shared.messages import BadMessage, read_time, time_text

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


@dataclass(frozen=True, slots=True, repr=False)
class _Wire:
    """The same as it stands inside the string."""

    origin: str
    token_id: str
    secret: bytes
    trust: str
    tls_pins: tuple[str, ...]
    signing_key_thumbprint: str
    expires_at: str


_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
ORIGIN = re.compile(r"https://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?")
_TOKEN_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


def to_text(enrolment: EnrolmentString) -> str:
    """PREFIX and the canonical JSON as carried.py says. Raises BadEnrolmentString for what `from_text` would refuse."""
    _check(enrolment)
    wire = _Wire(
        enrolment.origin,
        enrolment.token_id,
        enrolment.secret,
        enrolment.trust,
        enrolment.tls_pins,
        enrolment.signing_key_thumbprint,
        time_text(enrolment.expires_at),
    )
    return carried.to_text(PREFIX, codec.write(wire))


def from_text(text: str) -> EnrolmentString:
    """Space around it is taken off. Raises BadEnrolmentString."""
    wire = _read(text)
    try:
        expires_at = read_time(wire.expires_at)
    except BadMessage:
        raise BadEnrolmentString("the enrolment string's expiry is no time: have a new one made") from None
    enrolment = EnrolmentString(
        wire.origin, wire.token_id, wire.secret, wire.trust, wire.tls_pins, wire.signing_key_thumbprint, expires_at
    )
    _check(enrolment)
    return enrolment


def _read(text: str) -> _Wire:
    """Errors are told without their text, which could quote the secret."""
    try:
        body = carried.body_of(PREFIX, text, "enrolment string")
        return codec.read(_Wire, body, most_bytes=carried.MOST_CHARACTERS)
    except carried.BadText as error:
        raise BadEnrolmentString(str(error)) from None
    except BadMessage:
        raise BadEnrolmentString("the enrolment string holds something else: have a new one made") from None


def _check(enrolment: EnrolmentString) -> None:
    pins_fit = enrolment.trust == "chain" or (enrolment.trust == "pin" and enrolment.tls_pins)
    rules = (
        (ORIGIN.fullmatch(enrolment.origin), "the origin is not https://NAME or https://NAME:PORT"),
        (_TOKEN_ID.fullmatch(enrolment.token_id), "the token id is malformed"),
        (len(enrolment.secret) == 32, "the secret is not 32 bytes"),
        (pins_fit, "the trust is neither 'chain' nor 'pin' with at least one pin"),
        (all(map(_HEX_SHA256.fullmatch, enrolment.tls_pins)), "a TLS pin is not 64 hex digits"),
        (_HEX_SHA256.fullmatch(enrolment.signing_key_thumbprint), "the signing key's thumbprint is not 64 hex digits"),
    )
    for holds, wrong in rules:
        if not holds:
            raise BadEnrolmentString(f"the enrolment string cannot be used: {wrong}")


def mac_key(secret: bytes) -> bytes:
    """HKDF-SHA256(secret, info="certline enrol v1"), 32 bytes: what both sides keep and use."""
    return HKDF(SHA256(), length=32, salt=None, info=b"certline enrol v1").derive(secret)


def request_mac(key: bytes, canonical_body: bytes) -> bytes:
    """HMAC-SHA256 over b"certline-enrol-request/1\\n" + body."""
    return hmac.digest(key, b"certline-enrol-request/1\n" + canonical_body, "sha256")


def answer_mac(key: bytes, canonical_body: bytes) -> bytes:
    """HMAC-SHA256 over b"certline-enrol-answer/1\\n" + body."""
    return hmac.digest(key, b"certline-enrol-answer/1\n" + canonical_body, "sha256")


def mac_holds(expected: bytes, given: bytes) -> bool:
    """Constant-time comparison."""
    return hmac.compare_digest(expected, given)
