"""The manifest: what one follower is to install, signed by the master; and when a newer one may replace an older."""

from dataclasses import dataclass
from datetime import datetime


class BadManifest(ValueError):
    """A manifest that must not be followed; the text says why."""


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


@dataclass(frozen=True, slots=True)
class SignedManifest:
    """The wire form: the canonical bytes of the manifest and the master's Ed25519 signature over
    b"certline-manifest/1\\n" + those bytes."""

    manifest: bytes
    signature: bytes
    keyid: str  # thumbprint of the signing key


def encode(manifest: Manifest) -> bytes:
    """Canonical JSON bytes."""
    raise NotImplementedError


def content_tag(manifest: Manifest) -> str:
    """An entity tag over what matters (all but serial, issued_at, expires_at): quoted, strong (RFC 9110 section 8.8.3)."""
    raise NotImplementedError


def sign(manifest: Manifest, private: bytes) -> SignedManifest:
    raise NotImplementedError


def to_wire(signed: SignedManifest) -> bytes:
    raise NotImplementedError


def from_wire(body: bytes) -> SignedManifest:
    """Raises BadManifest."""
    raise NotImplementedError


def open_signed(
    signed: SignedManifest, *, keys: tuple[bytes, ...], follower_id: str, epoch: int, serial: int, now: datetime | None
) -> Manifest:
    """The manifest, if one of the keys signed it, it is for this follower, its epoch is not lower, its serial not lower within the
    epoch, and it has not expired at `now` (None: not asked; online the answer's signature gives freshness). Logical file
    names must match `[a-z0-9-]+/[a-z0-9.-]+` without `..`. Raises BadManifest naming the rule (TUF's rollback, freeze, mix and match)."""
    raise NotImplementedError
