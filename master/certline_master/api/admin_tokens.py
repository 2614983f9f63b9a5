"""Tokens of people and scripts: `certline_PREFIX_SECRET`, found by the prefix, stored as a hash."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from certline_master.domain.model import AdminToken
from certline_master.domain.networks import comes_from
from certline_shared.chance import Chance
from certline_shared.codec import base64url

USUAL_LIFE = timedelta(days=365)
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


_NOBODYS = bytes(32)  # to compare with where no token has the prefix, so that it takes as long


def matching(text: str, candidates: Sequence[tuple[AdminToken, bytes]]) -> AdminToken | None:
    """The one of those with this text's prefix whose secret it is."""
    given, found = fingerprint(text), None
    for token, sha256 in candidates or ((None, _NOBODYS),):
        if hmac.compare_digest(sha256, given):
            found = token
    return found


def lives(token: AdminToken, now: datetime) -> bool:
    return token.expires is None or token.expires > now


def why_not(token: AdminToken, address: str, now: datetime) -> str | None:
    """Why a token whose secret was shown is no good here and now; None when it is good."""
    if not lives(token, now):
        return "expired token"
    return None if comes_from(address, token.networks) else "token from another network"
