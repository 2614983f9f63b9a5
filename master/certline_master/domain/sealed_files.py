"""Private keys among a version's files: which are to be sealed to a follower, and how a sealed one travels. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from certline_master.domain.custody import SealedKey
from certline_master.domain.model import Certificate, Follower, Line, LineSnapshot, Version
from certline_shared.codec import base64url


@dataclass(frozen=True, slots=True)
class SealWanted:
    """A key that has to be sealed to a follower before it may have this version."""

    line: Line
    version: int
    certificate: Certificate


def seals_wanted(
    follower: Follower, snapshot: LineSnapshot, version: Version | None, sealed: Iterable[SealedKey]
) -> list[SealWanted]:
    """What is missing so that this follower can be given this version."""
    if version is None:
        return []
    kept = [certificate for certificate in version.certificates if certificate.spki_sha256 in snapshot.kept_keys]
    return [
        SealWanted(snapshot.line, version.number, certificate)
        for certificate in kept
        if fitting_seal(follower, snapshot.line.id, version.number, certificate, sealed) is None
    ]


def fitting_seal(
    follower: Follower, line_id: str, version: int, certificate: Certificate, sealed: Iterable[SealedKey]
) -> SealedKey | None:
    """The one that this follower can open now: sealed to its present key."""
    place = follower.id, line_id, version, certificate.key_type, certificate.spki_sha256, sealed_to(follower)
    return next((one for one in sealed if _place(one) == place), None)


def sealed_to(follower: Follower) -> str:
    """What tells a follower's sealing key from its next one."""
    return hashlib.sha256(follower.sealing_key or b"").hexdigest()


def sealed_name(certificate: Certificate) -> str:
    """The logical name under which a sealed key travels."""
    return f"{certificate.key_type}/key.sealed"


def sealed_text(sealed: SealedKey) -> str:
    return base64url(sealed.data)


def kept_certificates(version: Version, snapshot: LineSnapshot) -> Sequence[Certificate]:
    """Those whose private keys the master has, and gives away with them."""
    return [certificate for certificate in version.certificates if certificate.spki_sha256 in snapshot.kept_keys]


def _place(one: SealedKey) -> tuple[object, ...]:
    return one.follower_id, one.line_id, one.version, one.key_type, one.spki_sha256, one.sealed_to
