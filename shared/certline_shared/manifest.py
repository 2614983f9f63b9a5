"""The manifest: what one follower is to install, signed by the master; and when a newer one may replace an older."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from certline_shared import codec, names, signing
from certline_shared.messages import PROTOCOL, BadMessage, read_time

MOST_MANIFEST_BYTES = 4_194_304
MOST_FILE_BYTES = 1_048_576

_SIGNED_PREFIX = b"certline-manifest/1\n"
_FILE_NAME = re.compile(r"[a-z0-9-]{1,40}/[a-z0-9.-]{1,60}")
_HEX_SHA256 = re.compile(r"[0-9a-f]{64}")


class BadManifest(ValueError):
    """A manifest that must not be followed; the text says why."""


class Rollback(BadManifest):
    """It is older than what was followed before: the master's, if its signature holds, went back in time."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    name: str  # logical, e.g. "ecdsa-p256/chain.pem"
    sha256: str
    length: int


@dataclass(frozen=True, slots=True)
class CsrWanted:
    key_type: str
    slot: str = "current"  # "current" | "next"


@dataclass(frozen=True, slots=True)
class StagedVersion:
    """A version to pull ahead of time: it takes the live one's place at its moment, or when the manifest says so."""

    number: int
    files: tuple[ManifestFile, ...]
    spki_sha256: dict[str, str]  # key type -> the key it was issued for
    not_before: str
    not_after: str
    activate_at: str | None = None  # None: not known yet, or not for this host to decide


@dataclass(frozen=True, slots=True)
class ManifestLine:
    """One line as its follower sees it; `name` is the name in the follower's own file."""

    name: str
    names: tuple[str, ...]
    key_types: tuple[str, ...]
    csr_wanted: tuple[CsrWanted, ...]
    version: int | None  # the live version, None before the first
    files: tuple[ManifestFile, ...]
    spki_sha256: dict[str, str]  # key type -> the key the live version was issued for
    not_after: str | None
    rollback: bool = False
    error: str | None = None  # what holds the next version back, in words for the operator
    custody: str | None = None  # "master" where the private keys come sealed among the files, as TYPE/key.sealed
    common_name: str | None = None  # to put in the subject of a new request; None: leave the subject empty
    must_staple: bool = False  # whether a new request asks for it (RFC 7633)
    request_given: bool = False  # the operator gave the request, so the host has its key already and sends none
    staged: StagedVersion | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    follower_id: str
    epoch: int
    serial: int
    issued_at: str
    expires_at: str
    grants: tuple[str, ...]  # names this follower may ask for
    signing_keys: tuple[bytes, ...]
    tls_pins: tuple[str, ...]
    lines: tuple[ManifestLine, ...]
    protocol: int = 1
    rehearsals: tuple[ManifestLine, ...] = ()  # lines of which a rehearsal is under way, as that is to see them


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """The wire form: the canonical bytes of the manifest and the master's Ed25519 signature over
    b"certline-manifest/1\\n" + those bytes."""

    manifest: bytes
    signature: bytes
    keyid: str  # thumbprint of the signing key


def encode(manifest: Manifest) -> bytes:
    """Canonical JSON bytes."""
    return codec.write(manifest)


def content_tag(manifest: Manifest) -> str:
    """A strong entity tag, quoted (RFC 9110 section 8.8.3), over all but serial, issued_at and expires_at."""
    content = codec.write(manifest, without=("serial", "issued_at", "expires_at"))
    return f'"{hashlib.sha256(content).hexdigest()}"'


def sign(manifest: Manifest, private: bytes) -> SignedManifest:
    """Sign with the master's raw Ed25519 key."""
    body = encode(manifest)
    keyid = signing.thumbprint(signing.identity_public(private))
    return SignedManifest(body, signing.sign(private, _SIGNED_PREFIX + body), keyid)


def to_wire(signed: SignedManifest) -> bytes:
    """The JSON body that carries a signed manifest."""
    return codec.write(signed)


def from_wire(body: bytes) -> SignedManifest:
    """Raises BadManifest."""
    try:
        return codec.read(SignedManifest, body, most_bytes=2 * MOST_MANIFEST_BYTES)
    except BadMessage as error:
        raise BadManifest(f"not a signed manifest: {error}") from None


def open_signed(
    signed: SignedManifest, *, keys: tuple[bytes, ...], follower_id: str, epoch: int, serial: int, now: datetime | None
) -> Manifest:
    """The manifest, if it may be followed: it replaces one of that epoch and serial on the follower of that id.

    One of the keys signed it, it is for this follower, its epoch is not lower, its serial not lower within the epoch,
    and it has not expired at `now` (None: not asked; online the answer's signature gives freshness). Logical file names
    must match `[a-z0-9-]+/[a-z0-9.-]+` without `..`. Raises BadManifest naming the rule (TUF specification, section 5).
    """
    _check_signature(signed, keys)
    manifest = _read(signed.manifest)
    if manifest.protocol != PROTOCOL:
        raise BadManifest(f"the manifest is written for protocol {manifest.protocol}, this side knows {PROTOCOL}")
    if manifest.follower_id != follower_id:
        raise BadManifest("the manifest is for another follower")
    if manifest.epoch < epoch:
        raise Rollback(f"rollback: the manifest's epoch {manifest.epoch} is lower than {epoch}, seen before")
    if manifest.epoch == epoch and manifest.serial < serial:
        raise Rollback(f"rollback: the manifest's serial {manifest.serial} is lower than {serial}, seen before")
    _check_times(manifest, now)
    _check_lines(manifest.lines)
    _check_lines(manifest.rehearsals)
    return manifest


def check_versions(manifest: Manifest, seen: Mapping[str, int]) -> None:
    """Refuse a line whose version went down unmarked; `seen`: line to version, from a manifest of the same epoch.

    Raises Rollback.
    """
    for line in manifest.lines:
        before = seen.get(line.name)
        if before is not None and line.version is not None and line.version < before and not line.rollback:
            raise Rollback(f"rollback: line {line.name!r} goes from version {before} to {line.version} unmarked")


def check_files(listed: tuple[ManifestFile, ...], contents: Mapping[str, str]) -> None:
    """All files of one manifest, and nothing else (TUF's mix and match). Raises BadManifest."""
    known = {file.name: file for file in listed}
    if set(contents) != set(known):
        raise BadManifest("what came is not what the manifest lists")
    for name, text in contents.items():
        data = text.encode()
        if len(data) != known[name].length or hashlib.sha256(data).hexdigest() != known[name].sha256:
            raise BadManifest(f"{name} is not the file that the manifest lists (its hash differs)")


def _check_signature(signed: SignedManifest, keys: tuple[bytes, ...]) -> None:
    signer = next((key for key in keys if signing.thumbprint(key) == signed.keyid), None)
    if signer is None:
        raise BadManifest("the manifest is signed by a key that is not the master's")
    if not signing.verify(signer, signed.signature, _SIGNED_PREFIX + signed.manifest):
        raise BadManifest("the manifest's signature does not hold")


def _read(body: bytes) -> Manifest:
    try:
        return codec.read(Manifest, body, most_bytes=MOST_MANIFEST_BYTES)
    except BadMessage as error:
        raise BadManifest(f"the manifest cannot be read: {error}") from None


def _check_times(manifest: Manifest, now: datetime | None) -> None:
    try:
        read_time(manifest.issued_at)
        expires_at = read_time(manifest.expires_at)
    except BadMessage as error:
        raise BadManifest(f"the manifest's times: {error}") from None
    if now is not None and expires_at <= now:
        raise BadManifest(f"freeze: the manifest expired at {manifest.expires_at}")


def _check_lines(lines: tuple[ManifestLine, ...]) -> None:
    if len({line.name for line in lines}) < len(lines):
        raise BadManifest("mix and match: the manifest has one line twice")
    for line in lines:
        try:
            names.check_object_name(line.name, "line")
        except names.BadName as error:
            raise BadManifest(f"the manifest: {error}") from None
        _check_files(line.name, line.files)
        if line.staged is not None:
            _check_staged(line.name, line.staged)


def _check_staged(line: str, staged: StagedVersion) -> None:
    _check_files(line, staged.files)
    try:
        for moment in (staged.not_before, staged.not_after, staged.activate_at):
            if moment is not None:
                read_time(moment)
    except BadMessage as error:
        raise BadManifest(f"line {line!r}: the staged version's times: {error}") from None


def _check_files(line: str, files: tuple[ManifestFile, ...]) -> None:
    if len({file.name for file in files}) < len(files):
        raise BadManifest(f"mix and match: line {line!r} has one file twice")
    for file in files:
        if _FILE_NAME.fullmatch(file.name) is None or ".." in file.name or file.name.endswith("/."):
            raise BadManifest(f"line {line!r} has the file name {file.name[:80]!a}, which may lead elsewhere")
        if _HEX_SHA256.fullmatch(file.sha256) is None or not 0 <= file.length <= MOST_FILE_BYTES:
            raise BadManifest(f"line {line!r}: hash or length of {file.name} cannot be right")
