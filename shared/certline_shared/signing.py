"""HTTP message signatures (RFC 9421) with Ed25519: the fixed subset that requests of followers and our answers carry.

Requests cover "@method" "@authority" "@path" "@query" and, when there is a body, "content-type" "content-digest";
parameters created, nonce, keyid, alg="ed25519", tag="certline/1". Answers cover "@status" "content-digest" (of the
body, empty too) and "etag" when there is one; parameters created (the master's time), nonce (the request's), keyid,
alg, tag="certline-answer/1". One signature per message, label `sig`.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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


Components = list[tuple[str, str]]  # identifier and value, in the order signed

_REQUEST = ("@method", "@authority", "@path", "@query")
_BODY = ("content-type", "content-digest")
_ANSWER = ("@status", "content-digest")

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,200}")  # keyid and nonce: an sf-string that needs no escapes
_INPUT = re.compile(r'([^=]*)=\((?P<covered>[^()]*)\);created=(?P<created>[0-9]{1,11})(?P<rest>(?:;[^;=]+="[^"\\]*")*)')
_REST = re.compile(r';nonce="([^"]*)";keyid="([^"]*)";alg="([^"]*)";tag="([^"]*)"')
_SIGNATURE = re.compile(r"sig=:([A-Za-z0-9+/]{86}==):")


def generate_identity() -> tuple[bytes, bytes]:
    """A fresh Ed25519 key: (private, public), 32 raw bytes each."""
    private = Ed25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


def identity_public(private: bytes) -> bytes:
    """The public half of a raw private key. Raises ValueError when it is not 32 bytes."""
    return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def sign(private: bytes, message: bytes) -> bytes:
    """A bare Ed25519 signature (manifests)."""
    return _loaded(private).sign(message)


@lru_cache(maxsize=4)
def _loaded(private: bytes) -> Ed25519PrivateKey:
    """Loading costs as much as signing: the public half is made of it each time."""
    return Ed25519PrivateKey.from_private_bytes(private)


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether that key made that bare signature over the message; False too for bytes that are no key."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def thumbprint(public: bytes) -> str:
    """Lower-case hex of SHA-256 over the raw public key."""
    return hashlib.sha256(public).hexdigest()


def content_digest(body: bytes) -> str:
    """The Content-Digest field of a body, SHA-256 (RFC 9530 section 2)."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


def sign_request(private: bytes, parts: RequestParts, *, keyid: str, nonce: str, created: datetime) -> dict[str, str]:
    """The headers to add: Signature-Input, Signature and, with a body, Content-Digest.

    Raises ValueError for a body without content type, and for parts that cannot stand in a signature.
    """
    digest = content_digest(parts.body) if parts.body else None
    if digest and not parts.content_type:
        raise ValueError("a body needs a content type to be signed")
    claims = SignatureClaims(keyid, nonce, created)
    headers = _signed(private, _request_components(parts, digest), claims, REQUEST_TAG)
    return headers | ({"Content-Digest": digest} if digest else {})


def read_request_claims(headers: Mapping[str, str]) -> SignatureClaims:
    """The claims of a request whose Signature-Input is exactly what the protocol fixes. Raises BadSignature.

    Exactly one signature, with the label, components, order, parameters, algorithm and tag of this module; which
    components depends on whether Content-Digest is present. `headers` has lower-case names; a header that occurred
    twice must be joined with ", " by the caller (so it is refused here).
    """
    return _read_claims(headers, _REQUEST + (_BODY if "content-digest" in headers else ()), REQUEST_TAG)


def verify_request(public: bytes, headers: Mapping[str, str], parts: RequestParts) -> SignatureClaims:
    """Verify signature, then body digest. Raises BadSignature.

    A body without covered content-type and content-digest is refused.
    """
    claims = read_request_claims(headers)
    digest = headers.get("content-digest")
    if parts.body and digest is None:
        raise BadSignature("digest missing")
    if digest is not None and not parts.content_type:
        raise BadSignature("content type missing")
    _check_signature((public,), headers, _request_components(parts, digest))
    if digest is not None:
        _check_digest(digest, parts.body)
    return claims


def sign_answer(
    private: bytes, *, status: int, body: bytes, etag: str | None, nonce: str, created: datetime, keyid: str
) -> dict[str, str]:
    """The headers to add to an answer: Signature-Input, Signature, Content-Digest."""
    digest = content_digest(body)
    components = _answer_components(status, digest, etag)
    return _signed(private, components, SignatureClaims(keyid, nonce, created), ANSWER_TAG) | {"Content-Digest": digest}


def verify_answer(
    public_keys: "tuple[bytes, ...]", headers: Mapping[str, str], *, status: int, body: bytes, nonce: str
) -> datetime:
    """The master's time, if one of the keys signed this answer to the request with that nonce. Raises BadSignature."""
    etag = headers.get("etag")
    claims = _read_claims(headers, _ANSWER + (("etag",) if etag is not None else ()), ANSWER_TAG)
    digest = headers.get("content-digest", "")
    _check_signature(public_keys, headers, _answer_components(status, digest, etag))
    _check_digest(digest, body)
    if not hmac.compare_digest(claims.nonce.encode(), nonce.encode()):
        raise BadSignature("answer to another request")
    return claims.created


def _request_components(parts: RequestParts, digest: str | None) -> Components:
    values = [parts.method, parts.authority, parts.path or "/", f"?{parts.query}"]  # RFC 9421 sections 2.2.6 and 2.2.7
    components = list(zip(_REQUEST, values, strict=True))
    if digest is not None:
        components += [("content-type", (parts.content_type or "").strip()), ("content-digest", digest)]
    return components


def _answer_components(status: int, digest: str, etag: str | None) -> Components:
    components = [("@status", str(status)), ("content-digest", digest)]
    return components if etag is None else [*components, ("etag", etag)]


def signature_base(components: Components, params: str) -> bytes:
    """RFC 9421 section 2.5: one line per component, the parameters last.

    Raises BadSignature for a value that could forge a line or is not ASCII.
    """
    lines = [f'"{name}": {value}' for name, value in [*components, ("@signature-params", params)]]
    text = "\n".join(lines)
    if text.count("\n") != len(components) or not text.isascii() or "\r" in text:
        raise BadSignature("malformed component")
    return text.encode("ascii")


def _covered(names: "tuple[str, ...]") -> str:
    return " ".join(f'"{name}"' for name in names)


def _signed(private: bytes, components: Components, claims: SignatureClaims, tag: str) -> dict[str, str]:
    for value in (claims.nonce, claims.keyid):
        if _TOKEN.fullmatch(value) is None:
            raise ValueError(f"{value[:80]!a} cannot be a nonce or a key id: 1 to 200 of letters, digits and ._~+/=:@-")
    params = (
        f"({_covered(tuple(name for name, _ in components))});created={int(claims.created.timestamp())}"
        f';nonce="{claims.nonce}";keyid="{claims.keyid}";alg="ed25519";tag="{tag}"'
    )
    signature = base64.b64encode(sign(private, signature_base(components, params))).decode("ascii")
    return {"Signature-Input": f"sig={params}", "Signature": f"sig=:{signature}:"}


def _read_claims(headers: Mapping[str, str], covered: "tuple[str, ...]", tag: str) -> SignatureClaims:
    """Every refusal has a reason of its own, for the audit record."""
    if "signature-input" not in headers:
        raise BadSignature("signature missing")
    found = _INPUT.fullmatch(headers["signature-input"])
    if found is None:
        raise BadSignature("malformed or more than one signature")
    if found[1] != "sig":
        raise BadSignature("other label")
    if found["covered"] != _covered(covered):
        raise BadSignature("other components")
    rest = _REST.fullmatch(found["rest"])
    created = found["created"]
    if rest is None or created != str(int(created)):
        raise BadSignature("other parameters")
    nonce, keyid, algorithm, given_tag = rest.groups()
    if algorithm != "ed25519":
        raise BadSignature("other algorithm")
    if given_tag != tag:
        raise BadSignature("other tag")
    if not (_TOKEN.fullmatch(nonce) and _TOKEN.fullmatch(keyid)):
        raise BadSignature("malformed nonce or key id")
    return SignatureClaims(keyid, nonce, datetime.fromtimestamp(int(created), UTC))


def _check_signature(public_keys: "tuple[bytes, ...]", headers: Mapping[str, str], components: Components) -> None:
    found = _SIGNATURE.fullmatch(headers.get("signature", ""))
    if found is None:
        raise BadSignature("signature header missing, malformed or doubled")
    try:
        signature = base64.b64decode(found[1], validate=True)
    except binascii.Error:
        raise BadSignature("signature header missing, malformed or doubled") from None
    base = signature_base(components, headers["signature-input"].removeprefix("sig="))
    if not any(verify(public, signature, base) for public in public_keys):
        raise BadSignature("signature does not hold")


def _check_digest(digest: str, body: bytes) -> None:
    if not hmac.compare_digest(digest.encode(), content_digest(body).encode()):
        raise BadSignature("body changed")
