"""Keys that the master keeps for several hosts, who was given a copy, and what is to be revoked."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from certline_master.domain.model import KeyOptions, Owner, Slot
from certline_shared.keys import KeyType

KEY_SECRET = "line-key"  # noqa: S105 the label of the vault's rows
"""The kind of secret under which a line's private key is kept: PKCS#8 in PEM."""


class RevocationState(StrEnum):
    INTENDED = "intended"
    REVOKED = "revoked"
    FAILED = "failed"  # the CA refuses for good


@dataclass(frozen=True, slots=True)
class Key:
    """A named private key (of each key type) that one line or several share."""

    id: str
    name: str
    owner: Owner
    options: KeyOptions = field(default_factory=KeyOptions)
    declared: bool = False  # an object of its own; False: made by the master for one line, and named as that


@dataclass(frozen=True, slots=True)
class KeyMaterial:
    """One private key of a Key; the key itself is in the vault."""

    id: str
    key_id: str
    key_type: KeyType
    slot: Slot
    spki_sha256: str
    secret: str  # id of the secret
    created: datetime
    moved: datetime | None = None  # when it came into its slot, if not when it was made


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A private key sealed to one follower for one version of a line; useless to anybody else."""

    follower_id: str
    line_id: str
    version: int
    key_type: KeyType
    spki_sha256: str
    sealed_to: str  # SHA-256 of the follower's public sealing key, hex
    data: bytes
    created: datetime


@dataclass(frozen=True, slots=True)
class KeyCopy:
    """A key that a follower was given: since when, and whether it still has it, as far as it told."""

    follower_id: str
    spki_sha256: str
    follower: str
    line: str
    key_type: KeyType
    released: datetime
    seen: datetime | None = None  # when it last reported to hold it
    deleted: datetime | None = None  # when it first reported not to hold it any more


@dataclass(frozen=True, slots=True)
class Revocation:
    """A certificate to be revoked at its CA (RFC 8555 section 7.6)."""

    id: str
    certificate_id: str
    line: str
    issuer_id: str
    version: int  # of the line: the one that the certificate is in
    serial: str
    spki_sha256: str
    not_after: datetime
    chain: str  # PEM, leaf first
    reason: int  # RFC 5280 section 5.3.1
    state: RevocationState
    created: datetime
    due: datetime | None
    follower: str | None = None  # the name of the host whose loss is the cause
    deadline: datetime | None = None  # until then it waits for the other hosts to have a newer version; None: for none
    attempts: int = 0
    error: str | None = None
    ended: datetime | None = None
