"""What one follower is to hold: its lines, grants and versions, written down as a manifest."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from certline_master.domain.custody import SealedKey
from certline_master.domain.model import (
    Certificate,
    Custody,
    Follower,
    GrantKind,
    Line,
    LineCsr,
    LineSnapshot,
    Owner,
    Slot,
    Version,
    VersionState,
)
from certline_master.domain.naming import common_name_of
from certline_master.domain.rehearsal import is_rehearsal, rehearsed_name
from certline_master.domain.sealed_files import fitting_seal, sealed_name, sealed_text, seals_wanted
from certline_master.domain.staging import staged_version
from certline_master.domain.succession import went_down
from certline_master.domain.wish import asks_fit, fitting_next
from certline_shared.keys import KeyType
from certline_shared.manifest import CsrWanted, Manifest, ManifestFile, ManifestLine, StagedVersion
from certline_shared.messages import time_text
from certline_shared.names import display

MANIFEST_LIFE = timedelta(days=30)

MANIFESTS_MARK = "manifests.mark"
"""The fact of the installation that is another one after each change of anything that manifests are made of."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What a follower has to know to believe the master: its signing keys (current first), TLS pins and epoch."""

    signing_keys: tuple[bytes, ...]
    tls_pins: tuple[str, ...]
    epoch: int


def manifest_of(
    follower: Follower,
    snapshots: Sequence[LineSnapshot],
    trust: Trust,
    *,
    now: datetime,
    sealed: Sequence[SealedKey] = (),
) -> Manifest:
    """The manifest of a follower with the serial it has in the store; the caller raises it when the content changed."""
    lines = {local_name(snapshot.line, follower): snapshot for snapshot in sorted(snapshots, key=_own_lines_first)}
    shown = {name: _manifest_line(name, lines[name], follower, sealed) for name in sorted(lines)}
    rehearsed = {name: line for name, line in shown.items() if is_rehearsal(lines[name].line)}
    return Manifest(
        follower_id=follower.id,
        epoch=trust.epoch,
        serial=follower.manifest_serial,
        issued_at=time_text(now),
        expires_at=time_text(now + MANIFEST_LIFE),
        grants=tuple(sorted(granted_names(follower))),
        signing_keys=trust.signing_keys,
        tls_pins=trust.tls_pins,
        lines=tuple(line for name, line in shown.items() if name not in rehearsed),
        rehearsals=tuple(replace(line, name=rehearsed_name(name)) for name, line in rehearsed.items()),
    )


def granted_names(follower: Follower) -> frozenset[str]:
    """The names it may ask certificates for, each exactly as granted: `*.x` is a name of its own."""
    return frozenset(grant.name for grant in follower.all_grants if grant.kind is GrantKind.REQUEST)


def own_line_name(local: str, follower: str) -> str:
    """How the master calls a line that a follower asked for."""
    return f"{local}@{follower}"


def local_name(line: Line, follower: Follower) -> str:
    """How the follower calls a line in its own file."""
    return line.name.removesuffix(f"@{follower.name}") if line.owner is Owner.FOLLOWER else line.name


def wanted_requests(line: Line, csrs: Sequence[LineCsr]) -> tuple[KeyType, ...]:
    """The key types for which the host has sent no request that asks for exactly the line's names."""
    if line.custody is Custody.MASTER:
        return ()
    held = {csr.key_type for csr in csrs if set(csr.names) == set(line.names) and asks_fit(csr.asks, line)}
    return tuple(key_type for key_type in line.key_types if key_type not in held)


def wanted_next_requests(snapshot: LineSnapshot) -> tuple[KeyType, ...]:
    """The key types whose next key the master wants to know, once it knows the current one."""
    line = snapshot.line
    if line.custody is Custody.MASTER or line.options.requests or is_rehearsal(line):
        return ()
    known = {csr.key_type for csr in fitting_next(snapshot) if asks_fit(csr.asks, line)}
    first = wanted_requests(line, snapshot.csrs)
    return tuple(key_type for key_type in line.key_types if key_type not in known and key_type not in first)


def live_version(snapshot: LineSnapshot) -> Version | None:
    return next((version for version in snapshot.versions if version.state is VersionState.LIVE), None)


def offered_version(snapshot: LineSnapshot) -> Version | None:
    """What the follower is to have: the live version, but where a rollout keeps that from it."""
    return snapshot.offered or live_version(snapshot)


def names_without_grant(line: Line, follower: Follower) -> tuple[str, ...]:
    """Of a line that the follower asked for. What is withdrawn stops renewals too; a rehearsal has none."""
    if is_rehearsal(line):
        return ()
    return tuple(name for name in line.names if line.owner is Owner.FOLLOWER and name not in granted_names(follower))


def file_name(certificate: Certificate) -> str:
    """The logical name under which a certificate's chain travels; never a path on a host."""
    return f"{certificate.key_type}/chain.pem"


def _own_lines_first(snapshot: LineSnapshot) -> bool:
    """Sorts a follower's own lines first, so that an operator's line of the same name takes the place."""
    return snapshot.line.owner is not Owner.FOLLOWER


def _manifest_line(name: str, snapshot: LineSnapshot, follower: Follower, sealed: Sequence[SealedKey]) -> ManifestLine:
    line, offered = snapshot.line, offered_version(snapshot)
    unsealed = bool(seals_wanted(follower, snapshot, offered, sealed))
    offered = None if unsealed else offered  # a version without its keys is of no use
    certificates = offered.certificates if offered else ()
    ends = [certificate.not_after for certificate in certificates if certificate.not_after]
    return ManifestLine(
        name=name,
        names=line.names,
        key_types=tuple(line.key_types),
        csr_wanted=tuple(_csrs_wanted(snapshot)),
        version=offered.number if offered else None,
        files=tuple(_file(*one) for one in version_files(follower, snapshot, offered, sealed).items()),
        spki_sha256={certificate.key_type: certificate.spki_sha256 for certificate in certificates},
        not_after=time_text(min(ends)) if ends else None,
        error=_NOT_SEALED if unsealed else _what_holds_back(snapshot, live_version(snapshot)),
        custody="master" if line.custody is Custody.MASTER else None,
        rollback=offered is not None and offered is live_version(snapshot) and went_down(offered, snapshot.versions),
        staged=_staged(snapshot, follower, sealed),
        common_name=common_name_of(line) if line.custody is Custody.FOLLOWER else None,
        must_staple=line.options.must_staple,
        request_given=bool(line.options.requests),
    )


def _csrs_wanted(snapshot: LineSnapshot) -> Iterator[CsrWanted]:
    yield from (CsrWanted(key_type) for key_type in wanted_requests(snapshot.line, snapshot.csrs))
    yield from (CsrWanted(key_type, Slot.NEXT) for key_type in wanted_next_requests(snapshot))


_NOT_SEALED = "its key cannot be sealed to this host: enrol the host anew, so that it has a sealing key"


def version_to_stage(snapshot: LineSnapshot) -> Version | None:
    """What the follower is to pull ahead of its time: also what is live already, but not for this follower yet."""
    live = live_version(snapshot)
    if snapshot.offered and live and live.staged_since:
        return live
    return staged_version(snapshot)


def _staged(snapshot: LineSnapshot, follower: Follower, sealed: Sequence[SealedKey]) -> StagedVersion | None:
    version = version_to_stage(snapshot)
    if version is None or seals_wanted(follower, snapshot, version, sealed):
        return None
    rollout = snapshot.line.rollout
    waits = version.state is VersionState.LIVE or (rollout is not None and follower.name not in rollout.canaries)
    at = None if waits else version.activate_at
    return StagedVersion(
        number=version.number,
        files=tuple(_file(*one) for one in version_files(follower, snapshot, version, sealed).items()),
        spki_sha256={certificate.key_type: certificate.spki_sha256 for certificate in version.certificates},
        not_before=time_text(max(one.not_before for one in version.certificates if one.not_before)),
        not_after=time_text(min(one.not_after for one in version.certificates if one.not_after)),
        activate_at=time_text(at) if at else None,
    )


def version_files(
    follower: Follower, snapshot: LineSnapshot, version: Version | None, sealed: Sequence[SealedKey]
) -> dict[str, str]:
    """A version's content by logical name; without the keys that are not sealed to this follower."""
    files: dict[str, str] = {}
    for certificate in version.certificates if version else ():
        files[file_name(certificate)] = certificate.chain or ""
        found = fitting_seal(follower, snapshot.line.id, version.number if version else 0, certificate, sealed)
        if found is not None and certificate.spki_sha256 in snapshot.kept_keys:
            files[sealed_name(certificate)] = sealed_text(found)
    return files


def _file(name: str, text: str) -> ManifestFile:
    content = text.encode()
    return ManifestFile(name, hashlib.sha256(content).hexdigest(), len(content))


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
