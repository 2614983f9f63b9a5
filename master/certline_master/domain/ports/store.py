"""All repositories bound to one transaction, the store that makes them, and the bell that tells of news."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from certline_master.domain.ports.dane import TlsaRecords
from certline_master.domain.ports.hosts import FollowerRecords, GroupRecords, IdentityRecords, IntroductionRecords
from certline_master.domain.ports.keys import KeyRecords, RevocationRecords
from certline_master.domain.ports.lines import LineRecords, StandingRecords, VersionRecords, WaveRecords
from certline_master.domain.ports.orders import OrderRecords
from certline_master.domain.ports.setup import (
    EventRecords,
    HttpRecords,
    InstanceRecords,
    IssuerRecords,
    SealRecords,
    SecretRecords,
    TokenRecords,
    ZoneRecords,
)

T = TypeVar("T")


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
    @property
    def tlsa(self) -> TlsaRecords: ...


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


class Bell(Protocol):
    """Who waits for news is told at once; polling stays as the fall-back. Topics: "work" (something may be due) and
    "follower:ID" (its manifest may have changed). Thread-safe."""

    def ring(self, topic: str) -> None: ...
    def listen(self, topic: str, heard: Callable[[], None]) -> Callable[[], None]:
        """Call `heard` (from any thread, briefly) at each ring of the topic; returns what ends the listening."""
        ...
