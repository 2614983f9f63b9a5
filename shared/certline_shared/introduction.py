"""Enrolment without a token: the strings of a host that made its keys first, and the fingerprint that people compare.

A host that is not registered yet shows a fingerprint over its own keys and the master's signing key as it sees that,
and after it a code that never travels. The operator types both on the master: that the fingerprint fits proves the keys
both ways, and an approval that knows the code proves to the host that it was this comparison which approved it.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TypeVar

from certline_shared import carried, codec, sealing, signing
from certline_shared.enrolment import ORIGIN
from certline_shared.messages import BadMessage

KEYS_PREFIX = "certline-follower-1."
JOIN_PREFIX = "certline-join-1."
CODE_BYTES = 7  # of which 50 bits are shown

_FINGERPRINT_BYTES, _GROUP = 25, 5  # 200 bits: whoever is in between may choose keys on both sides (a birthday's odds)
_FINGERPRINT_SIGNS, _CODE_SIGNS = 40, 10
_WHOLE = _FINGERPRINT_SIGNS + _CODE_SIGNS
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")

T = TypeVar("T")


class BadString(ValueError):
    """A string or key that cannot be used; the text says why, `member` which one of a message's it is."""

    def __init__(self, text: str, member: str = "") -> None:
        super().__init__(text)
        self.member = member


@dataclass(frozen=True, slots=True)
class HostKeys:
    """The public halves of a host's two keys."""

    identity_key: bytes
    sealing_key: bytes
    sealing_suite: str = sealing.SUITE


@dataclass(frozen=True, slots=True)
class JoinString:
    """What a master tells a host that it knows by its keys. No secret is in it, but it must come unchanged."""

    origin: str
    follower_id: str
    follower: str
    identity_thumbprint: str  # whose it is
    trust: str  # "pin" | "chain"
    tls_pins: tuple[str, ...]
    signing_keys: tuple[bytes, ...]
    epoch: int


def keys_text(keys: HostKeys) -> str:
    """What `certline-follower keygen` prints."""
    return carried.to_text(KEYS_PREFIX, codec.write(_Keys(keys.identity_key, keys.sealing_key, keys.sealing_suite)))


def keys_of(text: str) -> HostKeys:
    """Raises BadString."""
    read = _read(_Keys, KEYS_PREFIX, text, "key string of certline-follower keygen")
    keys = HostKeys(read.identity_key, read.sealing_key, read.sealing_suite)
    check_keys(keys)
    return keys


def check_keys(keys: HostKeys) -> None:
    """Raises BadString."""
    if keys.sealing_suite != sealing.SUITE:
        text = f"the keys are for {keys.sealing_suite[:80]!a}, here is {sealing.SUITE}: use fitting releases"
        raise BadString(text, "sealing_suite")
    if len(keys.identity_key) != 32:
        raise BadString("the identity key has not 32 bytes", "identity_key")
    try:
        sealing.check_public(keys.sealing_key)
    except ValueError as error:
        raise BadString(str(error), "sealing_key") from None


def join_text(join: JoinString) -> str:
    """What `certline follower create --keys` prints."""
    return carried.to_text(JOIN_PREFIX, codec.write(join))


def join_of(text: str) -> JoinString:
    """Raises BadString."""
    join = _read(JoinString, JOIN_PREFIX, text, "join string")
    pins_fit = join.trust == "chain" or (join.trust == "pin" and join.tls_pins)
    rules = (
        (ORIGIN.fullmatch(join.origin), "the origin is not https://NAME or https://NAME:PORT"),
        (pins_fit, "the trust is neither 'chain' nor 'pin' with at least one pin"),
        (all(map(_HEX_SHA256.fullmatch, join.tls_pins)), "a TLS pin is not 64 hex digits"),
        (join.signing_keys and all(len(key) == 32 for key in join.signing_keys), "a signing key is malformed"),
    )
    for holds, wrong in rules:
        if not holds:
            raise BadString(f"the join string cannot be used: {wrong}")
    return join


def fingerprint(identity_key: bytes, sealing_key: bytes, signing_key: bytes) -> str:
    """Of a host's keys and the master's signing key: 8 groups of 5 letters and digits."""
    said = b"certline-fingerprint/1\n" + identity_key + sealing_key + signing_key
    return _grouped(_base32(hashlib.sha256(said).digest()[:_FINGERPRINT_BYTES]))


def own_fingerprint(keys: HostKeys) -> str:
    """Of a host's keys alone."""
    return fingerprint(keys.identity_key, keys.sealing_key, b"")


def shown(print_: str, code: bytes) -> str:
    """What the host shows: the fingerprint, and its code as two groups more."""
    return f"{print_}-{_grouped(_base32(code)[:_CODE_SIGNS])}"


def typed(text: str) -> tuple[str, str]:
    """The fingerprint and the code in what a person typed; spaces and small letters do not matter. Raises BadString."""
    signs = re.sub(r"[\s-]", "", text).upper()
    if not re.fullmatch(r"[A-Z2-7]+", signs) or len(signs) not in (_FINGERPRINT_SIGNS, _WHOLE):
        raise BadString("not a fingerprint: type all ten groups that certline-follower enroll --introduce shows")
    if len(signs) == _FINGERPRINT_SIGNS:
        raise BadString("the last two groups are missing: only the host shows them, so look there")
    return _grouped(signs[:_FINGERPRINT_SIGNS]), signs[_FINGERPRINT_SIGNS:]


def approval(code: str, print_: str, follower_id: str) -> bytes:
    """Proves that who approved was told the host's code; `code` as `typed` or `code_text` gives it."""
    return hmac.digest(code.encode(), f"certline-approval/1\n{print_}\n{follower_id}".encode(), "sha256")


def code_text(code: bytes) -> str:
    return _base32(code)[:_CODE_SIGNS]


def thumbprint(keys: HostKeys) -> str:
    return signing.thumbprint(keys.identity_key)


@dataclass(frozen=True, slots=True)
class _Keys:
    """HostKeys as they stand in the string; the suite is never left out."""

    identity_key: bytes
    sealing_key: bytes
    sealing_suite: str


def _read(kind: type[T], prefix: str, text: str, what: str) -> T:
    try:
        return codec.read(kind, carried.body_of(prefix, text, what), most_bytes=carried.MOST_CHARACTERS)
    except carried.BadText as error:
        raise BadString(str(error)) from None
    except BadMessage:
        raise BadString(f"the {what} holds something else: have a new one made") from None


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode("ascii").rstrip("=")


def _grouped(signs: str) -> str:
    return "-".join(signs[start : start + _GROUP] for start in range(0, len(signs), _GROUP))
