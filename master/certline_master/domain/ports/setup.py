"""What the operator sets up, the audit trail, the vault, and facts of the installation."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from certline_master.domain.access import Caller
from certline_master.domain.audit import Seal
from certline_master.domain.model import AdminToken, Event, HttpName, Issuer, Zone


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


class InstanceRecords(Protocol):
    """Facts of this installation."""

    def get(self, caller: Caller, key: str) -> str | None: ...
    def set(self, caller: Caller, key: str, value: str) -> None: ...
    def swap(self, caller: Caller, key: str, was: str | None, then: str) -> bool:
        """Set it; False, and nothing set, when it is not what it was any more."""
        ...
