"""Strings that people carry from one machine to the other: a prefix, then checksum and JSON in base64url."""

import hashlib

from certline_shared import codec

MOST_CHARACTERS = 8_192
_CHECKSUM_BYTES = 4


class BadText(ValueError):
    """Not such a string, or a cut one; the text never quotes it."""


def to_text(prefix: str, body: bytes) -> str:
    """One line without spaces; by the first 4 bytes of the JSON's SHA-256 a cut copy is noticed."""
    return prefix + codec.base64url(_checksum(body) + body)


def body_of(prefix: str, text: str, what: str) -> bytes:
    """The JSON in it; `what` is the string's name in messages. Raises BadText."""
    text = text.strip()
    if not text.startswith(prefix):
        raise BadText(_why_not(prefix, text, what))
    try:
        data = codec.from_base64url(text.removeprefix(prefix)) if len(text) <= MOST_CHARACTERS else b""
    except ValueError:
        data = b""
    body = data[_CHECKSUM_BYTES:]
    if not body or data[:_CHECKSUM_BYTES] != _checksum(body):
        raise BadText(f"the {what} is cut or changed: copy the whole line once more")
    return body


def _why_not(prefix: str, text: str, what: str) -> str:
    if text.startswith(prefix.rstrip("0123456789.")):
        return f"the {what} is of another version: use the same release of certline on both sides"
    article = "an" if what[0] in "aeiou" else "a"
    return f"not {article} {what}: it begins with {prefix!r} (was the whole line copied?)"


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECKSUM_BYTES]
