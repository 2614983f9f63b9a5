"""What is shown of each object: never a secret, never what only the master's own workers need."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from certline_master.domain.model import (
    Certificate,
    Deployment,
    Failure,
    Follower,
    Grant,
    GrantKind,
    Group,
    HttpName,
    Issuer,
    Line,
    Order,
    Version,
    VersionState,
    Zone,
)
from certline_master.domain.reasons import renewal_of
from certline_shared.names import display


@dataclass(frozen=True, slots=True)
class IssuerView:
    name: str
    owner: str
    directory: str
    contact: tuple[str, ...]
    profile: str | None
    preferred_chain: str | None
    ca_certificates: str | None
    default: bool
    profiles: tuple[str, ...] | None  # what the directory lists; null: not known yet
    account: str | None
    test_of: str | None = None  # the issuer whose lines are rehearsed here

    @classmethod
    def of(cls, issuer: Issuer) -> "IssuerView":
        return cls(
            issuer.name, issuer.owner, issuer.directory_url, issuer.contact, issuer.profile, issuer.preferred_chain,
            issuer.ca_certificates, issuer.is_default, issuer.profiles, issuer.account_url,
            issuer.test_of,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ZoneView:
    name: str
    shown: str
    owner: str
    solver: str
    settings: dict[str, Any]
    has_secret: bool

    @classmethod
    def of(cls, zone: Zone) -> "ZoneView":
        return cls(zone.name, display(zone.name), zone.owner, zone.solver, zone.settings, zone.secret is not None)


@dataclass(frozen=True, slots=True)
class HttpView:
    name: str
    shown: str
    owner: str
    solver: str

    @classmethod
    def of(cls, http: HttpName) -> "HttpView":
        return cls(http.name, display(http.name), http.owner, http.solver)


@dataclass(frozen=True, slots=True)
class FollowerView:
    name: str
    id: str
    owner: str
    state: str
    state_reason: str | None  # why it is suspended or revoked
    grants: dict[str, list[str]]
    groups: tuple[str, ...]
    group_grants: dict[str, list[str]]  # what it has through its groups
    networks: tuple[str, ...]  # where its requests must come from; empty for anywhere
    lock_clones: bool  # suspended at the first sign of another host with its identity
    agent: str | None
    created: datetime | None
    enrolled: datetime | None
    last_seen: datetime | None
    manifest_serial: int

    @classmethod
    def of(cls, follower: Follower) -> "FollowerView":
        return cls(
            follower.name, follower.id, follower.owner, follower.state, follower.state_reason,
            _by_kind(follower.grants), follower.groups,
            _by_kind(follower.group_grants), follower.networks, follower.lock_clones, follower.agent, follower.created,
            follower.enrolled, follower.last_seen, follower.manifest_serial,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class GroupView:
    name: str
    owner: str
    grants: dict[str, list[str]]
    followers: tuple[str, ...]  # those that are in it

    @classmethod
    def of(cls, group: Group, followers: Iterable[Follower]) -> "GroupView":
        members = tuple(one.name for one in followers if group.name in one.groups)
        return cls(group.name, group.owner, _by_kind(group.grants), members)


def _by_kind(grants: Iterable[Grant]) -> dict[str, list[str]]:
    names = {str(kind): sorted({grant.name for grant in grants if grant.kind is kind}) for kind in GrantKind}
    return {kind: found for kind, found in names.items() if found}


@dataclass(frozen=True, slots=True)
class CertificateView:
    key_type: str
    names: tuple[str, ...]
    serial: str | None
    spki_sha256: str
    not_before: datetime | None
    not_after: datetime | None
    renews: datetime | None
    renewal: str | None
    explanation_url: str | None

    @classmethod
    def of(cls, one: Certificate, line: Line) -> "CertificateView":
        renewal = renewal_of(one, line)
        text = f"renews {renewal.at:%Y-%m-%d %H:%M} UTC: {renewal.reason}" if renewal else None
        return cls(
            one.key_type, one.names, one.serial, one.spki_sha256, one.not_before, one.not_after,
            renewal.at if renewal else None, text, renewal.explanation_url if renewal else None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class FailureView:
    failure: str
    detail: str
    retry_at: datetime | None

    @classmethod
    def of(cls, failure: Failure | None) -> "FailureView | None":
        return cls(failure.failure, failure.detail, failure.retry_at) if failure else None


@dataclass(frozen=True, slots=True)
class VersionView:
    number: int
    state: str
    created: datetime
    ended: datetime | None
    reason: str
    certificates: tuple[CertificateView, ...]
    failure: FailureView | None
    live_since: datetime | None
    activate_at: datetime | None  # of a staged one: when it goes live; null: not known yet
    held_by: str | None  # of a staged one: why it is not live yet

    @classmethod
    def of(cls, version: Version, line: Line) -> "VersionView":
        certificates = tuple(CertificateView.of(one, line) for one in version.certificates)
        return cls(
            version.number, version.state, version.created, version.ended, version.reason, certificates,
            FailureView.of(version.failure), version.live_since, *_waits(version),
        )  # fmt: skip


def _waits(version: Version) -> tuple[datetime | None, str | None]:
    return (version.activate_at, version.held_by) if version.state is VersionState.STAGED else (None, None)


@dataclass(frozen=True, slots=True)
class OrderView:
    id: str
    state: str
    names: tuple[str, ...]
    profile: str
    created: datetime
    due: datetime
    attempts: int
    waiting: str | None
    url: str | None
    failure: FailureView | None

    @classmethod
    def of(cls, order: Order) -> "OrderView":
        return cls(
            order.id, order.state, order.names, order.profile, order.created, order.due, order.attempts, order.waiting,
            order.url, FailureView.of(order.failure),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeploymentView:
    follower: str
    version: int
    state: str
    error: str | None
    updated: datetime
    goal: str | None  # the last step that the host has configured; null: it has not told
    retry_at: datetime | None
    seen: dict[str, str]  # what the host's probe was shown: target -> SHA-256 of the leaf
    alarmed: datetime | None  # when an event told that it is late

    @classmethod
    def of(cls, one: Deployment, followers: Mapping[str, str]) -> "DeploymentView":
        return cls(
            followers.get(one.follower_id, one.follower_id), one.version, one.state, one.error, one.updated, one.goal,
            one.retry_at, one.seen, one.alarmed,
        )  # fmt: skip
