"""TLSA records: the ledger of them, DNS as its authoritative servers show it, and solvers that can write them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

from certline_master.domain.access import Caller
from certline_master.domain.dane import Wanted
from certline_master.domain.dane_ledger import Shown
from certline_master.domain.model import TlsaRecord, Zone


@dataclass(frozen=True, slots=True)
class TlsaSight:
    """One look at all authoritative servers of a name's zone. `faults`: of those without a usable answer, in words."""

    shown: tuple[Shown, ...]
    faults: tuple[str, ...] = ()


class TlsaView(Protocol):
    """The authoritative servers, asked themselves, without a cache."""

    def look(self, name: str, zone: Zone | None) -> TlsaSight:
        """`zone`: where it is configured, with the servers that its settings may name. Raises SolverError."""
        ...


@runtime_checkable
class TlsaWriter(Protocol):
    """A solver that can change TLSA records, beside what every Solver can."""

    def change_tlsa(self, zone: Zone, secret: bytes | None, *, add: Sequence[Wanted], remove: Sequence[Wanted]) -> None:
        """All of one zone, in one update; may be repeated. Only these values are touched. Raises SolverError."""
        ...


class TlsaRecords(Protocol):
    """The ledger. People see it; a follower sees nothing of it."""

    def all(self, caller: Caller, *, line_id: str | None = None) -> list[TlsaRecord]:
        """By name and data; those that a line wants."""
        ...

    def at_names(self, caller: Caller, names: Collection[str]) -> list[TlsaRecord]: ...
    def of_lines(self, caller: Caller, line_ids: Sequence[str]) -> dict[str, list[TlsaRecord]]:
        """What each line wants, by line id."""
        ...

    def want(
        self,
        caller: Caller,
        line_id: str,
        wanted: Collection[Wanted],
        zones: Mapping[str, str | None],
        *,
        now: datetime,
    ) -> list[TlsaRecord]:
        """Make these the records that the line wants, and no others; `zones` by name. The ones that are new in the
        ledger, or wanted again.
        """
        ...

    def unwanted(self, caller: Caller) -> list[TlsaRecord]:
        """The records that no line wants; they are in the ledger until no cache can have them."""
        ...

    def save(self, caller: Caller, records: Sequence[TlsaRecord]) -> None:
        """What is known of each, but not who wants it."""
        ...

    def forget(self, caller: Caller, records: Sequence[TlsaRecord]) -> None:
        """Those that are out of DNS and wanted by nobody."""
        ...

    def look(self, caller: Caller, line_id: str, when: datetime | None) -> None:
        """When a line's records are looked at; None: never more."""
        ...

    def due(self, caller: Caller, now: datetime, limit: int) -> list[str]:
        """Ids of the lines whose records are to be looked at."""
        ...
