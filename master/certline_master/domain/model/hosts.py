"""Followers, their groups and grants, and hosts that wait to become followers."""

from dataclasses import dataclass, field
from datetime import datetime

from certline_master.domain.model.words import DeploymentState, FollowerState, GrantKind, Owner


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
