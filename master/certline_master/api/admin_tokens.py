"""Tokens of people and scripts: `certline_PREFIX_SECRET`, found by the prefix, stored as a hash."""

import hashlib
import re
from dataclasses import dataclass, field

from certline_shared.chance import Chance
from certline_shared.codec import base64url

_FORM = re.compile(r"certline_(?P<prefix>[0-9a-f]{8})_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A fresh token: `text` is shown once, the others are stored."""

    text: str = field(repr=False)
    prefix: str
    sha256: bytes


def new_token(chance: Chance) -> NewToken:
    """A token with 256 bits of its own."""
    prefix = chance.token(4).hex()
    text = f"certline_{prefix}_{base64url(chance.token(32))}"
    return NewToken(text, prefix, fingerprint(text))


def fingerprint(text: str) -> bytes:
    """What is stored of a token: SHA-256 over all of it. (It has 256 random bits, so that a slow hash adds nothing.)"""
    return hashlib.sha256(text.encode()).digest()


def prefix_of(text: str) -> str | None:
    """The part to find a token by; None for a text that cannot be one."""
    found = _FORM.fullmatch(text)
    return found["prefix"] if found else None
