"""The ports: everything the master knows of the world outside its own decisions.

Store and Records are kept by `store`, CertificateAuthority by `ca`, Solver and DnsView by `challenges`. Every
repository method
takes the caller first; what is missing and what is not the caller's look the same (NotFound, or absent from a list).
A follower
sees only itself and its own lines; viewers read, operators and admins write, SYSTEM does everything.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from certline_master.domain.access import Caller
from certline_master.domain.audit import Seal
from certline_master.domain.custody import Key, KeyCopy, KeyMaterial, Revocation, SealedKey
from certline_master.domain.deployment import Behind, InUse, Receiver
from certline_master.domain.model import (
    AdminToken,
    Certificate,
    Challenge,
    Deployment,
    Event,
    Failure,
    Follower,
    Grant,
    Group,
    HttpName,
    Introduction,
    Issuer,
    Lease,
    Line,
    LineCsr,
    LineSnapshot,
    Order,
    OrderWork,
    Renewal,
    Version,
    VersionState,
    Zone,
)
from certline_master.domain.rollout import Progress, Wave
from certline_master.domain.survival import LiveUntil

T = TypeVar("T")


# --- store ----------------------------------------------------------------------------------------------------------


class IssuerRecords(Protocol):
    def all(self, caller: Caller) -> list[Issuer]: ...
    def get(self, caller: Caller, name: str) -> Issuer: ...
    def by_id(self, caller: Caller, issuer_id: str) -> Issuer: ...
    def save(self, caller: Caller, issuer: Issuer) -> None:
        """Insert or update by id. Raises Conflict when the name is another's. Account fields are kept as they are in
        the store
        unless the directory's host changed (then the account is forgotten and an event says so)."""
        ...

    def delete(self, caller: Caller, name: str) -> None:
        """Raises Conflict while a line uses it."""
        ...

    def set_account(self, caller: Caller, issuer_id: str, *, key: str | None, url: str | None) -> None: ...
    def set_profiles(self, caller: Caller, issuer_id: str, profiles: tuple[str, ...]) -> None: ...


class ZoneRecords(Protocol):
    def all(self, caller: Caller) -> list[Zone]: ...
    def get(self, caller: Caller, name: str) -> Zone: ...
    def save(self, caller: Caller, zone: Zone) -> None: ...
    def delete(self, caller: Caller, name: str) -> None: ...


class HttpRecords(Protocol):
    def all(self, caller: Caller) -> list[HttpName]: ...
    def save(self, caller: Caller, http: HttpName) -> None: ...
    def delete(self, caller: Caller, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    id: str
    follower_id: str
    mac_key: str  # id of the secret that holds enrolment.mac_key(secret)
    expires: datetime
    used: datetime | None = None
    used_by: str | None = None  # thumbprint of the identity key


class GroupRecords(Protocol):
    def all(self, caller: Caller) -> list[Group]: ...
    def get(self, caller: Caller, name: str) -> Group: ...
    def save(self, caller: Caller, group: Group) -> None:
        """Insert or update by id, with its grants. Raises Conflict when the name is another's."""
        ...

    def delete(self, caller: Caller, name: str) -> None:
        """Raises Conflict while a follower is in it."""
        ...


class FollowerRecords(Protocol):
    def all(self, caller: Caller) -> list[Follower]: ...
    def get(self, caller: Caller, name: str) -> Follower: ...
    def by_id(self, caller: Caller, follower_id: str) -> Follower: ...
    def save(self, caller: Caller, follower: Follower) -> None:
        """Insert or update name, owner, state and grants by id. Raises Conflict when the name is another's."""
        ...

    def delete(self, caller: Caller, name: str) -> None:
        """Raises Conflict while it has lines."""
        ...

    def set_grants(self, caller: Caller, follower_id: str, grants: Sequence[Grant]) -> None: ...
    def add_token(self, caller: Caller, token: EnrolmentToken) -> None: ...
    def token(self, caller: Caller, token_id: str) -> EnrolmentToken: ...
    def claim_token(
        self,
        caller: Caller,
        token_id: str,
        *,
        identity_key: bytes,
        sealing_key: bytes,
        thumbprint: str,
        agent: str,
        now: datetime,
    ) -> bool:
        """Use the token: one counted update `WHERE used IS NULL AND expires > now`, and the follower becomes active
        with these
        keys, in this transaction. False when it counted no row (used, expired, follower revoked); nothing is changed
        then."""
        ...

    def touch(self, caller: Caller, follower_id: str, *, now: datetime, agent: str | None = None) -> None:
        """Last seen; writes at most once a minute per follower."""
        ...

    def set_skew(self, caller: Caller, follower_id: str, seconds: int) -> None:
        """How far its clock is ahead of ours, as it says."""
        ...

    def set_manifest(self, caller: Caller, follower_id: str, *, tag: str) -> int:
        """Raise the manifest's serial by one for a new content tag; returns the serial. The same tag again changes
        nothing.
        """
        ...

    def use_nonce(self, caller: Caller, follower_id: str, nonce: str, now: datetime) -> bool:
        """Remember a nonce of a changing request; False when it was seen before. Rows older than 10 minutes are
        dropped.
        """
        ...

    def report(self, caller: Caller, deployment: Deployment) -> None:
        """Insert or update by (follower, line, version)."""
        ...

    def deployments(
        self, caller: Caller, *, line_id: str | None = None, follower_id: str | None = None
    ) -> list[Deployment]: ...
    def newest_deployments(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, Deployment]:
        """Of each line the newest version that its follower reported, by line id."""
        ...


@dataclass(frozen=True, slots=True)
class Counted:
    """What became of a changing request's sequence. Not `good`: it stands back behind `former`, another host's."""

    good: bool
    tell: bool = False  # the first in an hour
    former: int = 0
    former_address: str = ""
    locks: bool = False  # the follower is to be suspended for it


class IdentityRecords(Protocol):
    """A follower's own keys, and how its requests are counted."""

    def announce(
        self, caller: Caller, follower_id: str, *, identity_key: bytes, sealing_key: bytes, now: datetime
    ) -> bool:
        """Keep the keys that take over with the first request they sign, within a day. False when it changes nothing.
        """
        ...

    def take_over(self, caller: Caller, follower_id: str, *, identity_key: bytes, now: datetime) -> bool:
        """Make the announced keys the follower's, if this is the identity key among them and they have not lapsed."""
        ...

    def admit(
        self, caller: Caller, follower_id: str, *, identity_key: bytes, sealing_key: bytes, agent: str, now: datetime
    ) -> bool:
        """An invited follower becomes active with these keys; False, and nothing changed, in any other state."""
        ...

    def count(
        self, caller: Caller, follower_id: str, sequence: int, *, digest: str, address: str, now: datetime
    ) -> Counted:
        """Count a changing request. The same sequence again is good with the same digest; from a lower one it is
        counted on, so that a host put back to a snapshot is told of once, and two hosts again and again.
        """
        ...

    def use_protocol(self, caller: Caller, follower_id: str, version: int) -> bool:
        """Remember the highest version of the protocol that it used."""
        ...


class IntroductionRecords(Protocol):
    def all(self, caller: Caller, now: datetime) -> list[Introduction]: ...
    def get(self, caller: Caller, introduction_id: str, now: datetime) -> Introduction: ...
    def add(self, caller: Caller, introduction: Introduction, *, most: int, most_from_one: int) -> bool:
        """Drop what expired; False when there are `most` others, or `most_from_one` of that address."""
        ...

    def approve(
        self, caller: Caller, introduction_id: str, *, follower_id: str, proof: bytes, until: datetime, now: datetime
    ) -> bool: ...
    def drop(self, caller: Caller, introduction_id: str) -> bool: ...


class LineRecords(Protocol):
    def all(self, caller: Caller, *, after: str | None = None, limit: int = 1000) -> list[Line]:
        """By name; for a follower its own lines."""
        ...

    def get(self, caller: Caller, name: str) -> Line: ...
    def by_id(self, caller: Caller, line_id: str) -> Line: ...
    def save(self, caller: Caller, line: Line) -> None:
        """Insert or update by id (a follower: only lines of its own, owner `follower`). Sets next_look as given."""
        ...

    def delete(self, caller: Caller, name: str) -> None:
        """Removes the wish; running orders are failed ("the line was deleted") so that their challenges are swept;
        versions go
        with it, an event stays."""
        ...

    def csrs(self, caller: Caller, line_id: str) -> list[LineCsr]: ...
    def put_csr(self, caller: Caller, line_id: str, csr: LineCsr) -> None: ...
    def drop_csrs(self, caller: Caller, line_id: str) -> None:
        """All of them, at a change of custody or key."""
        ...

    def due(self, caller: Caller, now: datetime, limit: int) -> list[str]:
        """Ids of lines whose next_look has come, the most overdue first."""
        ...

    def snapshot(self, caller: Caller, line_id: str) -> LineSnapshot: ...
    def snapshots(self, caller: Caller, line_ids: Sequence[str]) -> list[LineSnapshot]: ...
    def set_next_look(self, caller: Caller, line_id: str, when: datetime | None) -> None: ...
    def pause(self, caller: Caller, line_id: str, reason: str) -> None:
        """Renew it no more; `reason` is for the operator."""
        ...

    def resume(self, caller: Caller, line_id: str, *, now: datetime) -> bool:
        """End a pause and look at the line now; False when it was not paused. A follower may for what it sees."""
        ...

    def looked(self, caller: Caller, line_id: str, *, was: datetime | None, then: datetime | None) -> bool:
        """Set next_look from `was` to `then`; False, and nothing set, when somebody has asked for another look
        meanwhile or the line is gone. The row stays locked for the transaction.
        """
        ...


class VersionRecords(Protocol):
    def ordered_since(self, caller: Caller, follower_id: str, since: datetime) -> list[datetime]:
        """When versions of the follower's lines were ordered, the oldest first."""
        ...

    def all(self, caller: Caller, line_id: str) -> list[Version]:
        """Newest first, with their certificates."""
        ...

    def get(self, caller: Caller, line_id: str, number: int) -> Version: ...
    def live(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, Version]: ...
    def live_since(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, datetime]:
        """When each line's live version became live, by line id."""
        ...

    def open(self, caller: Caller, version: Version, orders: Sequence[Order]) -> None:
        """Insert a version, its certificates and their orders. Raises Conflict when a live order for one of the
        (issuer, names,
        profile) exists already (the partial unique index); nothing is inserted then."""
        ...

    def drop_unopened(self, caller: Caller, line_id: str) -> int:
        """Forget versions whose orders no CA has heard of and no worker holds; how many."""
        ...

    def set_state(
        self, caller: Caller, version_id: str, state: VersionState, *, now: datetime, failure: "Any" = None
    ) -> None:
        """`live` also retires the version of the line that was live."""
        ...

    def set_renewal(self, caller: Caller, certificate_id: str, renewal: Renewal) -> None: ...
    def mark_replaced(self, caller: Caller, certificate_id: str) -> None: ...
    def certificate(self, caller: Caller, certificate_id: str) -> Certificate: ...


class StandingRecords(Protocol):
    """How far the followers are with their lines' versions. A follower sees nothing of it."""

    def receivers(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, tuple[Receiver, ...]]:
        """Who is to have each line, by name; by line id."""
        ...

    def lines_of(self, caller: Caller, follower_id: str) -> list[str]:
        """Ids of the lines that a follower is to have."""
        ...

    def reported(self, caller: Caller, line_ids: Sequence[str]) -> dict[tuple[str, str], dict[int, Deployment]]:
        """The newest versions' deployments, by line and follower, then by version."""
        ...

    def behind(self, caller: Caller, before: datetime) -> list[Behind]:
        """Active followers that have not reached their goal with a live version, and of which no alarm told; of a line
        for one follower only if it is live since before that moment.
        """
        ...

    def want(self, caller: Caller, follower_id: str, line_id: str, version: int, *, since: datetime) -> None:
        """Note that a follower was offered a version, unless it is known."""
        ...

    def alarm(self, caller: Caller, follower_id: str, line_id: str, version: int, *, now: datetime) -> bool:
        """Note that a deployment's lateness is told; False when it was before, or it arrived meanwhile."""
        ...

    def in_use(self, caller: Caller, follower_id: str | None = None) -> list[InUse]:
        """What each active follower, or this one, has installed, as it last reported."""
        ...

    def live_until(self, caller: Caller) -> list[LiveUntil]:
        """The live versions of the lines that an active follower is to have."""
        ...


class WaveRecords(Protocol):
    def of_lines(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, dict[int, Wave]]:
        """By line id and version."""
        ...

    def under_way(self, caller: Caller) -> list[Wave]:
        """Those of live versions that not all may have yet."""
        ...

    def progress(self, caller: Caller, wave: Wave, now: datetime) -> Progress | None:
        """How the wave's followers do; None where the line has no rollout (any more)."""
        ...

    def move(self, caller: Caller, progress: Progress, then: Wave, *, now: datetime) -> bool:
        """What becomes of a wave; who comes in with the step is noted as offered the version. False, and nothing
        changed, when it is not as it was any more: somebody else moved it.
        """
        ...


class OrderRecords(Protocol):
    def claim(
        self, caller: Caller, worker: str, *, now: datetime, lease: timedelta, limit: int, in_flight_most: int
    ) -> list[OrderWork]:
        """Take due orders whose lease is free or over, the most overdue first; their fence rises. At most
        `in_flight_most` orders
        are in a state from `keyed` with a URL to `finalized` at once: orders not yet opened are taken only while
        there is room. Postgres decides
        by the database's clock, SQLite by `now`. `due` of what is returned is as stored."""
        ...

    def renew(
        self, caller: Caller, worker: str, order_ids: Sequence[str], *, now: datetime, lease: timedelta
    ) -> list[str]:
        """Extend leases still ours; returns the ids that were."""
        ...

    def save(
        self, caller: Caller, lease: Lease, order: Order, *, challenges: Sequence[Challenge] = (), release: bool = False
    ) -> None:
        """Write all fields of the order, insert or update the challenges, and free the lease if asked. Raises
        LeaseLost when the
        fence is no longer ours; nothing is written then."""
        ...

    def issued(
        self, caller: Caller, lease: Lease, order: Order, certificate: Certificate, *, now: datetime
    ) -> Version | None:
        """Write an issued order (state `issued`, lease freed) with its certificate. When every certificate of the
        version is
        there, the version goes live, the former one is retired, the line's next_look becomes `now`, and the version
        is returned."""
        ...

    def failed(self, caller: Caller, lease: Lease, order: Order, *, now: datetime) -> None:
        """Write a failed order (state `failed` with its failure, lease freed), fail its version and the version's
        other live
        orders, and set the line's next_look to `now` so that the planner decides what is next."""
        ...

    def stop(self, caller: Caller, line_id: str, failure: Failure, *, now: datetime) -> bool:
        """End what runs for the line, whoever holds it: orders and version are failed. Tells whether something ran."""
        ...

    def get(self, caller: Caller, order_id: str) -> Order: ...
    def of_line(self, caller: Caller, line_id: str) -> list[Order]: ...
    def live(self, caller: Caller) -> list[Order]: ...
    def next_due(self, caller: Caller) -> datetime | None:
        """The earliest moment at which an order (lease over counts), a line or a removal is due."""
        ...

    def release_all(self, caller: Caller, worker: str) -> None:
        """Free every lease of this worker (clean stop)."""
        ...

    def challenge_values(self, caller: Caller, record: str) -> list[str]:
        """Values of dns-01 ledger rows at this record that are not removed: what a responder answers."""
        ...

    def http_answer(self, caller: Caller, token: str) -> str | None:
        """The key authorization of an http-01 ledger row that is not removed."""
        ...

    def to_remove(self, caller: Caller, *, now: datetime, limit: int) -> list[Challenge]:
        """Ledger rows that are not removed, whose order is past `answered` or failed, and that are due."""
        ...

    def save_challenges(self, caller: Caller, challenges: Sequence[Challenge]) -> None:
        """Update state and due, whoever holds the order."""
        ...

    def known_values(self, caller: Caller, records: Sequence[str]) -> set[tuple[str, str]]:
        """(record, value) of every ledger row ever written at these records: what a sweep may remove."""
        ...


class TokenRecords(Protocol):
    def all(self, caller: Caller) -> list[AdminToken]: ...
    def add(self, caller: Caller, token: AdminToken, sha256: bytes) -> None: ...
    def by_prefix(self, caller: Caller, prefix: str) -> list[tuple[AdminToken, bytes]]:
        """Only for SYSTEM: tokens that are not revoked, with their hashes; expired ones too."""
        ...

    def used(self, caller: Caller, token_id: str, now: datetime) -> None:
        """Only for SYSTEM. Written at most once a minute."""
        ...

    def supersede(self, caller: Caller, token_id: str, *, name: str, until: datetime, now: datetime) -> None:
        """It is good until then, or as long as before where that is sooner, under another name; what had that name is
        revoked."""
        ...

    def revoke(self, caller: Caller, token_id: str, now: datetime) -> None: ...


class EventRecords(Protocol):
    def add(
        self,
        caller: Caller,
        kind: str,
        subject: str,
        text: str,
        *,
        now: datetime,
        data: Mapping[str, Any] | None = None,
    ) -> None: ...
    def all(
        self, caller: Caller, *, subject: str | None = None, after: int = 0, limit: int = 100, newest_first: bool = True
    ) -> list[Event]: ...


    def in_chains(self, caller: Caller, *, after: tuple[str, int], limit: int) -> list[Event]:
        """A page of all events, chain by chain in the order of their links; `after`: chain and link of the last one
        (those in no chain come first, with chain "" and their id)."""
        ...


class SealRecords(Protocol):
    def all(self, caller: Caller) -> Sequence[Seal]:
        """The oldest first."""
        ...

    def last(self, caller: Caller) -> Seal | None: ...
    def heads(self, caller: Caller, *, after: int) -> tuple[int, dict[str, str]]:
        """The newest event's id, and the ends (LINK:HASH) of the chains that have events with an id above `after`."""
        ...

    def add(self, caller: Caller, seal: Seal) -> None:
        """Raises Conflict when another master has sealed meanwhile."""
        ...


class SecretRecords(Protocol):
    """The vault: secrets under the data key, bound to instance, kind, row and version. Only SYSTEM reads, except that
    admins write.
    """

    def add(self, caller: Caller, kind: str, secret: bytes) -> str:
        """Returns the new secret's id."""
        ...

    def read(self, caller: Caller, kind: str, secret_id: str) -> bytes:
        """Raises NotFound, or Unavailable naming the cause when it cannot be decrypted."""
        ...

    def delete(self, caller: Caller, secret_id: str) -> None: ...


class KeyRecords(Protocol):
    """Keys of custody `master`. Viewers see what there is; the private keys are in the vault."""

    def all(self, caller: Caller) -> list[Key]: ...
    def get(self, caller: Caller, name: str) -> Key: ...
    def save(self, caller: Caller, key: Key) -> None:
        """Raises Conflict when the name is another's."""
        ...

    def materials(self, caller: Caller, key_ids: Sequence[str]) -> dict[str, list[KeyMaterial]]:
        """By key id, the newest first; nothing for a follower."""
        ...

    def is_kept(self, caller: Caller, spki_sha256: str) -> bool:
        """Whether the master has, or had, this private key."""
        ...

    def add_material(self, caller: Caller, material: KeyMaterial) -> bool:
        """False, and nothing is added, when the slot `current` of that key type is taken already."""
        ...

    def demote(self, caller: Caller, key_id: str) -> int:
        """`current` becomes `previous`: a new key is to be made. Returns how many were."""
        ...

    def holders(self, caller: Caller, line: Line) -> list[str]:
        """Ids of all followers, whatever their state, that see the line: its own one, or those that may pull it."""
        ...

    def sealed(self, caller: Caller, follower_id: str) -> list[SealedKey]: ...
    def keep_sealed(self, caller: Caller, sealed: SealedKey) -> None:
        """In place of the one for the same version and key type; those of versions long gone are dropped."""
        ...

    def give(self, caller: Caller, copy: KeyCopy) -> bool:
        """Write down that the key is given away; False when this follower has it already, as far as is known."""
        ...

    def copies(self, caller: Caller, spki_sha256: Sequence[str]) -> list[KeyCopy]:
        """Of these keys, the oldest first; nothing for a follower."""
        ...

    def copies_at(self, caller: Caller, follower_id: str) -> list[KeyCopy]: ...
    def seen(self, caller: Caller, follower_id: str, spki_sha256: str, *, now: datetime) -> None: ...
    def deleted(self, caller: Caller, follower_id: str, spki_sha256: str, *, now: datetime) -> bool:
        """True the first time."""
        ...


class RevocationRecords(Protocol):
    """What is to be revoked at CAs. An operator intends, the engine carries out."""

    def intend(self, caller: Caller, revocation: Revocation) -> bool:
        """False when that certificate's revocation is on record already."""
        ...

    def all(self, caller: Caller, *, follower: str | None = None) -> list[Revocation]:
        """The oldest first; `follower`: those that its loss caused."""
        ...

    def due(self, caller: Caller, now: datetime, limit: int) -> Sequence[Revocation]: ...
    def save(self, caller: Caller, revocation: Revocation) -> bool:
        """State, times and error; False when it is over already."""
        ...

    def look(self, caller: Caller, line: str, *, now: datetime) -> bool:
        """Those of a line that wait for other hosts are looked at now; tells whether there are any."""
        ...

    def hasten(self, caller: Caller, follower: str, *, now: datetime) -> int:
        """Those that this follower's loss caused wait no longer; returns how many did."""
        ...


class InstanceRecords(Protocol):
    """Facts of this installation."""

    def get(self, caller: Caller, key: str) -> str | None: ...
    def set(self, caller: Caller, key: str, value: str) -> None: ...
    def swap(self, caller: Caller, key: str, was: str | None, then: str) -> bool:
        """Set it; False, and nothing set, when it is not what it was any more."""
        ...



class Records(Protocol):
    """All repositories, bound to one transaction."""

    @property
    def issuers(self) -> IssuerRecords: ...
    @property
    def zones(self) -> ZoneRecords: ...
    @property
    def http(self) -> HttpRecords: ...
    @property
    def followers(self) -> FollowerRecords: ...
    @property
    def groups(self) -> GroupRecords: ...
    @property
    def identities(self) -> IdentityRecords: ...
    @property
    def introductions(self) -> IntroductionRecords: ...
    @property
    def lines(self) -> LineRecords: ...
    @property
    def versions(self) -> VersionRecords: ...
    @property
    def standings(self) -> StandingRecords: ...
    @property
    def waves(self) -> WaveRecords: ...
    @property
    def orders(self) -> OrderRecords: ...
    @property
    def tokens(self) -> TokenRecords: ...
    @property
    def events(self) -> EventRecords: ...
    @property
    def seals(self) -> SealRecords: ...
    @property
    def secrets(self) -> SecretRecords: ...
    @property
    def instance(self) -> InstanceRecords: ...
    @property
    def keys(self) -> KeyRecords: ...
    @property
    def revocations(self) -> RevocationRecords: ...


class Store(Protocol):
    """Where the state is. Thread-safe."""

    def read(self) -> AbstractContextManager[Records]:
        """A consistent look. Writing through it is an error of ours."""
        ...

    def write(self, work: Callable[[Records], T]) -> T:
        """Run `work` in a transaction and return its result after it is durably committed. One writer thread runs
        works that wait
        together in one transaction, each in a savepoint of its own: what one raises is raised here and undoes only
        that one.
        `work` may run twice (serialization failure, lost connection before commit), so it must have no effect
        outside."""
        ...

    def close(self) -> None: ...


# --- CA -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Directory:
    """What a CA's directory says (RFC 8555 section 7.1.1, draft-ietf-acme-profiles)."""

    profiles: tuple[str, ...]
    terms_of_service: str | None
    external_account_required: bool
    has_renewal_info: bool
    caa_identities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the CA shows it."""

    url: str
    status: str  # pending | ready | processing | valid | invalid
    authorization_urls: tuple[str, ...]
    finalize_url: str
    certificate_url: str | None
    error: Exception | None  # a CaRefused, when it is invalid and says why
    retry_at: datetime | None  # Retry-After of this answer, clamped
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class ChallengeView:
    type: str
    url: str
    token: str | None  # checked: [A-Za-z0-9_-]{22,128}; None for challenges without one
    status: str
    error: Exception | None


@dataclass(frozen=True, slots=True)
class AuthorizationView:
    """An authorization (RFC 8555 section 7.1.4)."""

    url: str
    name: str
    wildcard: bool
    status: str  # pending | valid | invalid | ...
    expires: datetime | None
    challenges: tuple[ChallengeView, ...]
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RenewalWindow:
    """RFC 9773 section 4.2, checked: start before end."""

    start: datetime
    end: datetime
    explanation_url: str | None
    next_check: datetime  # from Retry-After, clamped to 1 minute .. 1 day; 6 h when there was none


class CertificateAuthority(Protocol):
    """One CA account. Each method is one ACME request (plus nonces, plus re-tries of bad nonces); none sleeps for the
    CA's work.
    Thread-safe. All raise CaUnreachable or CaRefused."""

    def directory(self) -> Directory:
        """Cached for an hour."""
        ...

    def register(self, contact: Sequence[str]) -> str:
        """Agree to the terms and make the account, or find it by its key; returns its URL (RFC 8555 section 7.3)."""
        ...

    def key_authorization(self, token: str) -> str:
        """RFC 8555 section 8.1."""
        ...

    def dns_value(self, token: str) -> str:
        """RFC 8555 section 8.4: base64url(SHA-256(key authorization))."""
        ...

    def open(self, names: Sequence[str], *, profile: str, replaces: str | None) -> OrderView: ...
    def look(self, order_url: str) -> OrderView: ...
    def authorization(self, url: str) -> AuthorizationView: ...
    def answer(self, challenge_url: str) -> None: ...
    def finalize(self, order: OrderView, csr: bytes) -> OrderView: ...
    def fetch(self, certificate_url: str, *, preferred_chain: str | None) -> str:
        """The PEM chain; an alternate (Link rel="alternate", RFC 8555 section 7.4.2) when its topmost issuer CN is the
        preferred one.
        """
        ...

    def revoke(self, chain: str, reason: int) -> None:
        """Revoke the leaf of this PEM chain, as the account that ordered it, for a reason of RFC 5280 section 5.3.1
        (RFC 8555 section 7.6). One that is revoked already counts as done."""
        ...

    def renewal_info(self, chain: str) -> RenewalWindow | None:
        """None when the CA has no renewal information. A window that is no window raises CaUnreachable (as if no
        answer came).
        """
        ...


class CertificateAuthorities(Protocol):
    """Makes the client of an issuer's account; keeps connections, nonces and directories between calls."""

    def of(self, issuer: Issuer, account_key: bytes) -> CertificateAuthority:
        """`account_key` is PKCS#8 PEM; the account URL is taken from the issuer when it has one."""
        ...

    def look_at_directory(self, issuer: Issuer) -> Directory:
        """Fetch the directory afresh, without an account. Raises CaUnreachable, with a text for the person who
        configured it.
        """
        ...

    def new_account_key(self) -> bytes:
        """PKCS#8 PEM, P-256."""
        ...


# --- challenges -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Visibility:
    """Whether all servers that the CA may ask show the answers; if not, who does not."""

    complete: bool
    detail: str = ""


class Solver(Protocol):
    """A way to answer challenges. Each method may be repeated without harm and gets all answers of one order that
    share a zone.
    """

    def present(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        """Raises SolverError."""
        ...

    def is_visible(self, zone: Zone | None, challenges: Sequence[Challenge]) -> Visibility:
        """One look, no waiting. Raises SolverError."""
        ...

    def clean_up(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        """Remove exactly these values, never another's. Raises SolverError."""
        ...

    def check(self, zone: Zone) -> tuple[str, ...]:
        """What is wrong with the zone's settings, one text each; () when they can be used. No network."""
        ...


class DnsView(Protocol):
    """DNS as a CA sees it."""

    def follow(self, name: str) -> str:
        """Where a look-up of this name ends after CNAMEs: at most 8, loops and dangling targets refused by
        SolverError. Normal form.
        """
        ...


class Bell(Protocol):
    """Who waits for news is told at once; polling stays as the fall-back. Topics: "work" (something may be due) and
    "follower:ID" (its manifest may have changed). Thread-safe."""

    def ring(self, topic: str) -> None: ...
    def listen(self, topic: str, heard: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` (from any thread, briefly) at each ring of the topic; returns what ends the listening."""
        ...
