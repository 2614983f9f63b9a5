"""HTTP message signatures (RFC 9421) with Ed25519, the fixed subset of our protocol: requests of followers, answers of the master.

Requests cover "@method" "@authority" "@path" "@query" and, when there is a body, "content-type" "content-digest";
parameters created, nonce, keyid, alg="ed25519", tag="certline/1". Answers cover "@status" "content-digest" (of the body, empty too)
and "etag" when there is one; parameters created (the master's time), nonce (the request's), keyid, alg, tag="certline-answer/1".
One signature per message, label `sig`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

REQUEST_TAG = "certline/1"
ANSWER_TAG = "certline-answer/1"


class BadSignature(ValueError):
    """A signature that does not hold; `reason` is one short word-group for the audit record, never for the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RequestParts:
    """What a request signature covers."""

    method: str
    authority: str  # lower case, with the port unless it is the scheme's default
    path: str  # raw, as on the wire
    query: str  # raw, without "?"; "" when there is none
    content_type: str | None
    body: bytes


@dataclass(frozen=True, slots=True)
class SignatureClaims:
    """What a well-formed signature header says, before it is believed."""

    keyid: str
    nonce: str
    created: datetime  # aware UTC, whole seconds


def generate_identity() -> tuple[bytes, bytes]:
    """A fresh Ed25519 key: (private, public), 32 raw bytes each."""
    raise NotImplementedError


def identity_public(private: bytes) -> bytes:
    raise NotImplementedError


def sign(private: bytes, message: bytes) -> bytes:
    """A bare Ed25519 signature (manifests)."""
    raise NotImplementedError


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    raise NotImplementedError


def thumbprint(public: bytes) -> str:
    """Lower-case hex of SHA-256 over the raw public key."""
    raise NotImplementedError


def sign_request(private: bytes, parts: RequestParts, *, keyid: str, nonce: str, created: datetime) -> dict[str, str]:
    """The headers to add: Signature-Input, Signature and, with a body, Content-Digest."""
    raise NotImplementedError


def read_request_claims(headers: Mapping[str, str]) -> SignatureClaims:
    """Parse Signature-Input strictly: exactly one signature with the label, components, order, parameters, algorithm and tag that
    the protocol fixes (which components depends on whether Content-Digest is present). Raises BadSignature.

    `headers` has lower-case names; a header that occurred twice must be joined with ", " by the caller (so it is refused here).
    """
    raise NotImplementedError


def verify_request(public: bytes, headers: Mapping[str, str], parts: RequestParts) -> SignatureClaims:
    """Verify signature, then body digest. A body without covered content-type and content-digest is refused. Raises BadSignature."""
    raise NotImplementedError


def sign_answer(
    private: bytes, *, status: int, body: bytes, etag: str | None, nonce: str, created: datetime, keyid: str
) -> dict[str, str]:
    """The headers to add to an answer: Signature-Input, Signature, Content-Digest."""
    raise NotImplementedError


def verify_answer(
    public_keys: "tuple[bytes, ...]", headers: Mapping[str, str], *, status: int, body: bytes, nonce: str
) -> datetime:
    """The master's time, if one of the keys signed this answer to the request with that nonce. Raises BadSignature."""
    raise NotImplementedError
