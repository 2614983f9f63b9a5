"""Followers: their enrolment, grants, keys, and what they report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from certline_master.domain.access import Caller
from certline_master.domain.model import Deployment, Follower, Grant, Group, Introduction


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
    def asking(self, caller: Caller, follower_id: str) -> tuple[Follower, str] | None:
        """The same without its grants, with the MANIFESTS_MARK; or None. For every request, to see whose it is."""
        ...

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
        """Keep the keys that take over with the first request they sign, within a day. False: nothing changed."""
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
