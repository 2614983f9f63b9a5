"""Parameters for key exchange as PEM: the groups of RFC 7919, and curves by their name (RFC 5480)."""

import base64
from functools import cache
from typing import Literal, get_args

Group = Literal["ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"]
Curve = Literal["prime256v1", "secp384r1", "secp521r1"]

GROUPS: tuple[Group, ...] = get_args(Group)
CURVES: tuple[Curve, ...] = get_args(Curve)

# RFC 7919, Appendix A: p = 2^b - 2^(b-64) + ([2^(b-130) e] + X) 2^64 - 1, by this X; the generator is 2.
_X: dict[Group, int] = {
    "ffdhe2048": 560_316,
    "ffdhe3072": 2_625_351,
    "ffdhe4096": 5_736_041,
    "ffdhe6144": 15_705_020,
    "ffdhe8192": 10_965_728,
}
_OBJECT_IDENTIFIERS: dict[Curve, bytes] = {
    "prime256v1": bytes.fromhex("06082a8648ce3d030107"),
    "secp384r1": bytes.fromhex("06052b81040022"),
    "secp521r1": bytes.fromhex("06052b81040023"),
}
_INTEGER, _SEQUENCE = 0x02, 0x30


@cache
def dh(group: Group) -> bytes:
    """DHParameter of PKCS #3."""
    prime = _prime(int(group.removeprefix("ffdhe")), _X[group])
    return _pem("DH PARAMETERS", _element(_SEQUENCE, _integer(prime) + _integer(2)))


@cache
def ec(curve: Curve) -> bytes:
    """ECParameters, a named curve."""
    return _pem("EC PARAMETERS", _OBJECT_IDENTIFIERS[curve])


def _prime(bits: int, x: int) -> int:
    return (1 << bits) - (1 << (bits - 64)) + ((_floor_of_e_times(bits - 130) + x) << 64) - 1


def _floor_of_e_times(bits: int) -> int:
    """The whole part of 2^bits e, by its series; the spare bits hold what rounding takes away."""
    spare = 64
    term, total, n = 1 << (bits + spare), 0, 0
    while term:
        total, n = total + term, n + 1
        term //= n
    return total >> spare


def _integer(value: int) -> bytes:
    return _element(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _element(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _pem(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode("ascii")
    lines = (text[start : start + 64] for start in range(0, len(text), 64))
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", "")).encode("ascii")
