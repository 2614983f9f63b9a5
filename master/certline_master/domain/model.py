"""The things certline deals with, as frozen dataclasses. Ids are UUID texts, times aware UTC, names in normal form."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from certline_shared.keys import KeyType


class Owner(StrEnum):
    """Who may change an object: `apply` touches only what the file owns."""

    FILE = "file"
    API = "api"
    FOLLOWER = "follower"


class Custody(StrEnum):
    FOLLOWER = "follower"
    MASTER = "master"


class VersionState(StrEnum):
    ORDERED = "ordered"
    STAGED = "staged"
    LIVE = "live"
    RETIRED = "retired"
    REVOKED = "revoked"
    FAILED = "failed"


class OrderState(StrEnum):
    """Where an order is in its journal; see issuance.MOVES."""

    PLANNED = "planned"
    KEYED = "keyed"
    OPENED = "opened"
    PUBLISHING = "publishing"
    VISIBLE = "visible"
    ANSWERED = "answered"
    READY = "ready"
    FINALIZED = "finalized"
    ISSUED = "issued"
    FAILED = "failed"


class FailureClass(StrEnum):
    """Who has to act before another try makes sense."""

    RETRY_SOON = "retry-soon"
    RETRY_AT = "retry-at"
    FIX_CONFIGURATION = "fix-configuration"
    NEEDS_PERSON = "needs-person"


class ChallengeState(StrEnum):
    INTENDED = "intended"
    PRESENT = "present"
    VISIBLE = "visible"
    ANSWERED = "answered"
    REMOVED = "removed"


class ChallengeType(StrEnum):
    DNS_01 = "dns-01"
    HTTP_01 = "http-01"


class FollowerState(StrEnum):
    INVITED = "invited"  # created, its token not used yet
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class DeploymentState(StrEnum):
    WANTED = "wanted"
    PULLED = "pulled"
    INSTALLED = "installed"
    RELOADED = "reloaded"
    SERVED = "served"


class GrantKind(StrEnum):
    REQUEST = "request"  # ask for certificates of exactly this name
    PULL = "pull"  # pull the line of this name, with its key where the master keeps that


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA's directory plus our account there."""

    id: str
    name: str
    owner: Owner
    directory_url: str
    contact: tuple[str, ...] = ()
    profile: str | None = None
    preferred_chain: str | None = None
    ca_certificates: str | None = None  # PEM: the only roots trusted for its API, None for the system's
    is_default: bool = False
    profiles: tuple[str, ...] | None = None  # what the directory last listed; None: never asked, () lists none
    account_url: str | None = None
    account_key: str | None = None  # id of the secret


ZONE_SECRET = "zone-secret"  # noqa: S105 the label of the vault's rows
"""The kind of secret under which a zone's credentials are kept: written by the API, read by the engine."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A DNS zone and the solver that may change it."""

    id: str
    name: str  # normal form
    owner: Owner
    solver: str  # "rfc2136" | "responder"
    settings: dict[str, Any] = field(default_factory=dict)  # checked by the solver; no secret in it
    secret: str | None = None  # id of the secret (a TSIG key)


@dataclass(frozen=True, slots=True)
class HttpName:
    """A name that is proven by http-01, and by which solver."""

    id: str
    name: str
    owner: Owner
    solver: str = "listener"


@dataclass(frozen=True, slots=True)
class Grant:
    kind: GrantKind
    name: str


@dataclass(frozen=True, slots=True)
class Follower:
    id: str
    name: str
    owner: Owner
    state: FollowerState
    grants: tuple[Grant, ...] = ()
    identity_key: bytes | None = None
    sealing_key: bytes | None = None
    agent: str | None = None
    created: datetime | None = None
    enrolled: datetime | None = None
    last_seen: datetime | None = None
    manifest_serial: int = 0
    manifest_tag: str | None = None
    groups: tuple[str, ...] = ()  # names of the groups whose grants it has too
    group_grants: tuple[Grant, ...] = ()  # what it has through them
    networks: tuple[str, ...] = ()  # CIDR: where its requests must come from; () for anywhere
    next_identity_key: bytes | None = None  # announced, in force with the first request it signs
    next_sealing_key: bytes | None = None
    next_keys_since: datetime | None = None
    sequence: int = 0  # the highest of its changing requests
    lock_clones: bool = False  # suspend it when its sequence goes back, instead of only telling
    protocol: int = 1  # the highest version it used
    skew_seconds: int | None = None  # its clock against the master's, as it last reported
    state_reason: str | None = None  # why it is suspended or revoked, in the operator's words

    @property
    def all_grants(self) -> tuple[Grant, ...]:
        """Its own and those of its groups, each once."""
        return tuple(dict.fromkeys((*self.grants, *self.group_grants)))


@dataclass(frozen=True, slots=True)
class Group:
    """Followers that share grants; a follower names its groups."""

    id: str
    name: str
    owner: Owner
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, slots=True)
class Introduction:
    """A host that showed its keys and waits for an operator to compare fingerprints and approve it."""

    id: str  # thumbprint of its identity key
    name: str  # how it would like to be called
    identity_key: bytes
    sealing_key: bytes
    agent: str
    address: str
    created: datetime
    expires: datetime
    follower_id: str | None = None  # set by approval
    proof: bytes | None = None  # of the approval, for the host


@dataclass(frozen=True, slots=True)
class Rollout:
    """How a line's new version reaches its followers: first the canaries, then the others in groups of `wave`."""

    canaries: tuple[str, ...]  # names of followers
    wave: int | None = None  # followers per wave after the canaries; None: all the others at once
    after_seconds: int | None = None  # the next wave opens by itself that long after the former one served; None: never


@dataclass(frozen=True, slots=True)
class Line:
    """The wish: what a certificate line should be."""

    id: str
    name: str  # "shop", or "blog@web-1" for one that follower web-1 asked for
    owner: Owner
    follower_id: str | None  # None where the master keeps the key: those with a grant to pull it
    names: tuple[str, ...]
    key_types: tuple[KeyType, ...] = (KeyType.ECDSA_P256,)
    issuer_id: str | None = None  # None: the default issuer
    profile: str | None = None
    custody: Custody = Custody.FOLLOWER
    next_look: datetime | None = None
    forced: bool = False  # `line issue --force`: issue again whatever the age
    key_id: str | None = None  # the master's key of the line, see custody.Key
    rollout: Rollout | None = None  # None: all followers at once
    paused: str | None = None  # why it is not renewed, in words for the operator


@dataclass(frozen=True, slots=True)
class LineCsr:
    """The request a follower last sent for a line, per key type."""

    key_type: KeyType
    csr: bytes
    spki_sha256: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a certificate is to be renewed, chosen once per window, and why."""

    at: datetime
    reason: str  # for people: "inside the CA's window"
    next_check: datetime | None  # when to ask the CA again; None: it has no renewal information
    window_start: datetime | None = None
    window_end: datetime | None = None
    explanation_url: str | None = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """One leaf with its chain, of one key type, in a version."""

    id: str
    version_id: str
    key_type: KeyType
    csr: bytes
    spki_sha256: str
    names: tuple[str, ...]
    chain: str | None = None  # PEM, leaf first; None before it is issued
    serial: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    renewal: Renewal | None = None
    replaced: bool = False  # an order named it in `replaces` and the CA took that, or said so


@dataclass(frozen=True, slots=True)
class Version:
    """One issuance in a line."""

    id: str
    line_id: str
    number: int
    state: VersionState
    created: datetime
    reason: str
    certificates: tuple[Certificate, ...] = ()
    failure: "Failure | None" = None
    ended: datetime | None = None  # when it failed, was retired or revoked
    live_since: datetime | None = None  # when it became live; None also where a former release made it so


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an order (and so a version) failed."""

    failure: FailureClass
    detail: str
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """One ACME order in its journal."""

    id: str
    certificate_id: str
    issuer_id: str
    names: tuple[str, ...]
    profile: str  # "" when the directory lists none
    state: OrderState
    created: datetime
    due: datetime
    url: str | None = None
    authorization_urls: tuple[str, ...] = ()
    finalize_url: str | None = None
    certificate_url: str | None = None
    replaces: str | None = None  # certificate id of RFC 9773
    attempts: int = 0  # failures in a row at the present step
    failure: Failure | None = None
    waiting: str | None = None  # what it waits for, in words for the operator
    since: datetime | None = None  # when it came into its present state


@dataclass(frozen=True, slots=True)
class Challenge:
    """One row of the ledger: an answer we mean to give, gave, or took away again."""

    id: str
    order_id: str
    name: str  # the identifier: never with "*."
    wildcard: bool
    type: ChallengeType
    authorization_url: str
    url: str
    token: str
    state: ChallengeState
    solver: str  # registry key: "rfc2136", "responder", "listener"
    zone: str | None  # for dns-01: the zone the record is in
    record: str  # dns-01: where the TXT stands after CNAMEs; http-01: the token
    value: str  # dns-01: the TXT value; http-01: the key authorization
    due: datetime | None = None  # when removal is tried (again)


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on an order until then; a write with an older fence is refused."""

    worker: str
    fence: int
    until: datetime


@dataclass(frozen=True, slots=True)
class OrderWork:
    """All that a worker needs to advance an order."""

    order: Order
    certificate: Certificate
    issuer: Issuer
    challenges: tuple[Challenge, ...]
    lease: Lease
    line_id: str
    line: str


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """All that the planner needs to decide on a line."""

    line: Line
    issuer: Issuer | None
    csrs: tuple[LineCsr, ...]
    versions: tuple[
        Version, ...
    ]  # newest first: those that are ordered, staged, live, and the newest failed ones since the last success
    follower: Follower | None  # None where the master keeps the key
    busy_until_order: datetime | None = None  # when another line's live order for the same names, there, is due
    unpulled: int = 0  # versions issued since the last one that a host pulled
    kept_keys: frozenset[str] = frozenset()  # SPKI pins of the line's private keys that the master has
    current_keys: frozenset[str] = frozenset()  # of these, the ones that new certificates are for
    offered: Version | None = None  # what one follower is to have instead, while a rollout keeps the live one from it
    held_until: datetime | None = None  # no new order before, for the database went back in time; see going_back.py


@dataclass(frozen=True, slots=True)
class Deployment:
    follower_id: str
    line_id: str
    version: int
    state: DeploymentState
    error: str | None  # what holds it back
    updated: datetime
    goal: DeploymentState | None = None  # the last step this host has configured; None: not told
    retry_at: datetime | None = None  # when the host tries again
    seen: dict[str, str] = field(default_factory=dict)  # probe target -> SHA-256 of the leaf that was served there
    wanted_since: datetime | None = None
    alarmed: datetime | None = None  # when an event told that it takes too long


@dataclass(frozen=True, slots=True)
class Event:
    """One audit record. `data` holds named values for machines, never a secret."""

    id: int
    at: datetime
    kind: str  # "order.issued", "follower.enrolled", ...
    actor: str  # "admin:NAME", "follower:NAME", "system"
    subject: str  # "line:shop", "follower:web-1"
    text: str  # one sentence for people
    data: dict[str, Any] = field(default_factory=dict)
    chain: str | None = None  # of the process that wrote it, see audit.py; None before release 0.2
    link: int | None = None  # its place there, from 1
    hash: str | None = None  # over it and the link before, hex


@dataclass(frozen=True, slots=True)
class AdminToken:
    id: str
    name: str
    role: str  # access.Role
    prefix: str
    created: datetime
    expires: datetime | None
    networks: tuple[str, ...] = ()  # CIDR: where it may be used from; () for anywhere
    last_used: datetime | None = None
