"""TLSA records as people see them: what the ledger says, how a line's rollover stands, and what DNS shows now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from certline_master.domain.access import Caller
from certline_master.domain.dane import STANDING, Wanted, aged_at, by_name
from certline_master.domain.dane_looking import story, wanted_of
from certline_master.domain.model import Line, TlsaRecord, Zone
from certline_master.domain.ports import Records, TlsaSight


@dataclass(frozen=True, slots=True)
class TlsaRecordView:
    """`visible_since`: since when each name server shows it (of one that is removed: no longer); `cached_until`: from
    then on no cache holds a set from before. `zone`: null where certline cannot change it.
    """

    name: str
    rdata: str
    ttl: int
    zone: str | None
    state: str
    lines: tuple[str, ...]  # that want it
    since: datetime
    visible_since: datetime | None
    cached_until: datetime | None
    former_ttl: int | None  # in seconds, of what stood before
    error: str | None

    @classmethod
    def of(cls, row: TlsaRecord, names: Mapping[str, str]) -> "TlsaRecordView":
        return cls(
            name=row.name,
            rdata=row.rdata,
            ttl=row.ttl,
            zone=row.zone,
            state=row.state,
            lines=tuple(sorted(names.get(line_id, line_id) for line_id in row.lines)),
            since=row.since,
            visible_since=row.visible_since,
            cached_until=aged_at(row),
            former_ttl=row.former_ttl,
            error=row.error,
        )


@dataclass(frozen=True, slots=True)
class LineTlsaView:
    """`standing`: how far its records and its rollover are, and what they wait for, in sentences."""

    line: str
    records: tuple[TlsaRecordView, ...]
    kept: tuple[str, ...]  # data of records that only hosts need that have not moved on
    waits_for: tuple[str, ...]
    left_out: tuple[str, ...]
    standing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerView:
    """What one name server shows at the name: `lacks` of what should be there, `foreign` beside it."""

    server: str
    serial: str
    ttl: int
    lacks: tuple[str, ...]
    foreign: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NameCheckView:
    name: str
    ok: bool
    servers: tuple[ServerView, ...]
    faults: tuple[str, ...]  # of servers that gave no usable answer


@dataclass(frozen=True, slots=True)
class LineCheckView:
    line: str
    ok: bool
    names: tuple[NameCheckView, ...]


def every_record(records: Records, caller: Caller) -> tuple[TlsaRecordView, ...]:
    return views(records.tlsa.all(caller), records, caller)


def views(rows: Iterable[TlsaRecord], records: Records, caller: Caller) -> tuple[TlsaRecordView, ...]:
    found = list(rows)
    wanted = sorted({line_id for row in found for line_id in row.lines})
    names = {line_id: records.lines.by_id(caller, line_id).name for line_id in wanted}
    return tuple(TlsaRecordView.of(row, names) for row in found)


def line_view(records: Records, caller: Caller, line: Line, now: datetime) -> LineTlsaView:
    wanted = wanted_of(records, caller, line)
    return LineTlsaView(
        line=line.name,
        records=views(records.tlsa.all(caller, line_id=line.id), records, caller),
        kept=tuple(sorted({one.rdata for one in wanted.kept})),
        waits_for=wanted.in_use.waits_for,
        left_out=wanted.in_use.left_out,
        standing=story(records.lines.snapshot(caller, line.id), wanted, now),
    )


def line_story(records: Records, caller: Caller, line: Line, now: datetime) -> tuple[str, ...]:
    """Empty where the line wishes for no records."""
    if not line.options.tlsa:
        return ()
    return story(records.lines.snapshot(caller, line.id), wanted_of(records, caller, line), now)


@dataclass(frozen=True, slots=True)
class NameToCheck:
    """An owner name with what is to be there, and what is in the ledger beside it."""

    name: str
    zone: Zone | None
    wanted: frozenset[str]
    known: frozenset[str]


def to_check(
    wanted: Iterable[Wanted], rows: Iterable[TlsaRecord], zones: Mapping[str, Zone | None]
) -> list[NameToCheck]:
    """By name; what other lines want there is expected too."""
    ledger = by_name(rows)
    data: dict[str, set[str]] = {}
    for one in wanted:
        data.setdefault(one.name, set()).add(one.rdata)
    for name, found in ledger.items():
        data.setdefault(name, set()).update(row.rdata for row in found if row.state in STANDING)
    return [
        NameToCheck(name, zones.get(name), frozenset(said), frozenset(row.rdata for row in ledger.get(name, ())))
        for name, said in sorted(data.items())
    ]


def checked(one: NameToCheck, sight: TlsaSight) -> NameCheckView:
    servers = tuple(
        ServerView(
            shown.server,
            shown.serial,
            shown.ttl,
            tuple(sorted(one.wanted - shown.rdatas)),
            tuple(sorted(shown.rdatas - one.wanted - one.known)),
        )
        for shown in sight.shown
    )
    ok = bool(servers) and not sight.faults and not any(server.lacks for server in servers)
    return NameCheckView(one.name, ok, servers, sight.faults)
