"""What one follower is to hold: its lines, grants and versions, written down as a manifest."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.domain.model import (
    Certificate,
    Follower,
    GrantKind,
    Line,
    LineCsr,
    LineSnapshot,
    Owner,
    Version,
    VersionState,
)
from certline_shared.keys import KeyType
from certline_shared.manifest import CsrWanted, Manifest, ManifestFile, ManifestLine
from certline_shared.messages import time_text
from certline_shared.names import display

MANIFEST_LIFE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Trust:
    """What a follower has to know to believe the master: its signing keys (current first), TLS pins and epoch."""

    signing_keys: tuple[bytes, ...]
    tls_pins: tuple[str, ...]
    epoch: int


def manifest_of(follower: Follower, snapshots: Sequence[LineSnapshot], trust: Trust, *, now: datetime) -> Manifest:
    """The manifest of a follower with the serial it has in the store; the caller raises it when the content changed."""
    lines = {local_name(snapshot.line, follower): snapshot for snapshot in sorted(snapshots, key=_own_lines_first)}
    return Manifest(
        follower_id=follower.id,
        epoch=trust.epoch,
        serial=follower.manifest_serial,
        issued_at=time_text(now),
        expires_at=time_text(now + MANIFEST_LIFE),
        grants=tuple(sorted(granted_names(follower))),
        signing_keys=trust.signing_keys,
        tls_pins=trust.tls_pins,
        lines=tuple(_manifest_line(name, lines[name]) for name in sorted(lines)),
    )


def granted_names(follower: Follower) -> frozenset[str]:
    """The names it may ask certificates for, each exactly as granted: `*.x` is a name of its own."""
    return frozenset(grant.name for grant in follower.grants if grant.kind is GrantKind.REQUEST)


def own_line_name(local: str, follower: str) -> str:
    """How the master calls a line that a follower asked for."""
    return f"{local}@{follower}"


def local_name(line: Line, follower: Follower) -> str:
    """How the follower calls a line in its own file."""
    return line.name.removesuffix(f"@{follower.name}") if line.owner is Owner.FOLLOWER else line.name


def wanted_requests(line: Line, csrs: Sequence[LineCsr]) -> tuple[KeyType, ...]:
    """The key types for which no request is held that asks for exactly the line's names."""
    held = {csr.key_type for csr in csrs if set(csr.names) == set(line.names)}
    return tuple(key_type for key_type in line.key_types if key_type not in held)


def live_version(snapshot: LineSnapshot) -> Version | None:
    return next((version for version in snapshot.versions if version.state is VersionState.LIVE), None)


def offered_version(snapshot: LineSnapshot) -> Version | None:
    """What the follower is to have: the live version, but where a rollout keeps that from it."""
    return snapshot.offered or live_version(snapshot)


def names_without_grant(line: Line, follower: Follower) -> tuple[str, ...]:
    """Of a line that the follower asked for. What is withdrawn stops renewals too."""
    return tuple(name for name in line.names if line.owner is Owner.FOLLOWER and name not in granted_names(follower))


def file_name(certificate: Certificate) -> str:
    """The logical name under which a certificate's chain travels; never a path on a host."""
    return f"{certificate.key_type}/chain.pem"


def _own_lines_first(snapshot: LineSnapshot) -> bool:
    """Sorts a follower's own lines first, so that an operator's line of the same name takes the place."""
    return snapshot.line.owner is not Owner.FOLLOWER


def _manifest_line(name: str, snapshot: LineSnapshot) -> ManifestLine:
    line, offered = snapshot.line, offered_version(snapshot)
    certificates = offered.certificates if offered else ()
    ends = [certificate.not_after for certificate in certificates if certificate.not_after]
    return ManifestLine(
        name=name,
        names=line.names,
        key_types=tuple(line.key_types),
        csr_wanted=tuple(CsrWanted(key_type) for key_type in wanted_requests(line, snapshot.csrs)),
        version=offered.number if offered else None,
        files=tuple(_file(certificate) for certificate in certificates),
        spki_sha256={certificate.key_type: certificate.spki_sha256 for certificate in certificates},
        not_after=time_text(min(ends)) if ends else None,
        error=_what_holds_back(snapshot, live_version(snapshot)),
    )


def _file(certificate: Certificate) -> ManifestFile:
    content = (certificate.chain or "").encode()
    return ManifestFile(file_name(certificate), hashlib.sha256(content).hexdigest(), len(content))


def _what_holds_back(snapshot: LineSnapshot, live: Version | None) -> str | None:
    """A missing grant; else the failure of the newest version, if none became live after it."""
    missing = names_without_grant(snapshot.line, snapshot.follower) if snapshot.follower else ()
    if missing:
        return f"no grant for {', '.join(map(display, missing))}"
    if snapshot.line.paused:
        return f"not renewed: {snapshot.line.paused}"
    newest = max(snapshot.versions, key=lambda version: version.number, default=None)
    if newest is None or newest is live or newest.state is not VersionState.FAILED or newest.failure is None:
        return None
    return newest.failure.detail
