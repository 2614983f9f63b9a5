"""dns-01: the TXT records that an order wishes to stand, checked before anything uses them."""

import re
from collections.abc import Iterable

from certline_master.domain.errors import SolverError
from certline_master.domain.model import Challenge, FailureClass

# A CA's token and all that is made of it: base64url without padding (RFC 8555 section 8.1), so that neither a zone
# file, a path nor a terminal can take it for something else.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{20,128}")
_RECORD = re.compile(r"(?:[a-z0-9_*-]{1,63}\.)+[a-z0-9_-]{1,63}")


def is_plain(text: str) -> bool:
    """Whether a token or TXT value may be used at all."""
    return _PLAIN.fullmatch(text) is not None


def is_record(name: str) -> bool:
    """Whether a name may hold a TXT record of ours: plain labels, normal form, at most 253 octets."""
    return len(name) <= 253 and _RECORD.fullmatch(name) is not None


def wished(challenges: Iterable[Challenge]) -> dict[str, list[str]]:
    """Record name → values, each once, in order. Raises SolverError for a token, value or record that is not plain."""
    challenges = tuple(challenges)
    refuse_odd_tokens(challenges)
    found: dict[str, list[str]] = {}
    for challenge in challenges:
        _check(challenge)
        values = found.setdefault(challenge.record, [])
        if challenge.value not in values:
            values.append(challenge.value)
    return found


def refuse_odd_tokens(challenges: Iterable[Challenge]) -> None:
    """Raises SolverError for a token that is not plain."""
    for challenge in challenges:
        if not is_plain(challenge.token):
            raise SolverError(
                f"the CA's token for {challenge.name} is not 20 to 128 letters, digits, - and _: it is not used",
                FailureClass.NEEDS_PERSON,
            )


def _check(challenge: Challenge) -> None:
    if not is_plain(challenge.value):
        raise SolverError(f"the TXT value for {challenge.name} is no digest in base64url", FailureClass.NEEDS_PERSON)
    if not is_record(challenge.record):
        raise SolverError(
            f"the TXT record for {challenge.name} would stand at {challenge.record[:260]!r}: that is no plain DNS name",
            FailureClass.FIX_CONFIGURATION,
        )
