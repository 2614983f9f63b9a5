"""A host that was lost with the keys it had: what is exposed, and who has to move on first. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.domain.deployment import arrived
from certline_master.domain.model import Certificate, Deployment, Version, VersionState
from certline_master.domain.succession import last_live

KEY_COMPROMISE = 1
"""RFC 5280 section 5.3.1."""

PATIENCE = timedelta(hours=24)
"""How long an exposed certificate stays valid for the sake of hosts that have not moved on: the Baseline Requirements
(section 4.9.1.1) give a CA that long too."""

_OUT = (VersionState.LIVE, VersionState.STAGED, VersionState.RETIRED)


@dataclass(frozen=True, slots=True)
class Exposed:
    """A certificate that is still valid, and whose key the lost host had."""

    version: int
    certificate: Certificate


def exposed(versions: Iterable[Version], pins: Collection[str], now: datetime) -> list[Exposed]:
    """Of one line; the newest first."""
    return [
        Exposed(version.number, certificate)
        for version in sorted(versions, key=lambda version: -version.number)
        for certificate in version.certificates
        if version.state in _OUT and certificate.spki_sha256 in pins and _is_valid(certificate, now)
    ]


def newest_safe(versions: Iterable[Version], pins: Collection[str]) -> int | None:
    """The live version, when none of its keys is among these."""
    live = next((version for version in versions if version.state is VersionState.LIVE), None)
    return live.number if live and _is_safe(live, pins) else None


def has_moved_on(versions: Iterable[Version], reported: Sequence[Deployment], pins: Collection[str]) -> bool:
    """Whether a host uses a version with none of these keys: the newest one that it installed and kept."""
    known = list(versions)
    used = last_live(known, (one.version for one in reported if arrived(one)))
    return any(version.number == used and _is_safe(version, pins) for version in known)


def _is_safe(version: Version, pins: Collection[str]) -> bool:
    return not any(certificate.spki_sha256 in pins for certificate in version.certificates)


def _is_valid(certificate: Certificate, now: datetime) -> bool:
    return certificate.chain is not None and certificate.not_after is not None and certificate.not_after > now
