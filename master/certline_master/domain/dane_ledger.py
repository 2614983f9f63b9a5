"""What is to be done about the TLSA records at one owner name, after a look at all its name servers. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from certline_master.domain.dane import STANDING, Wanted, aged_at, former_ttl
from certline_master.domain.model import TlsaRecord, TlsaState

SENT_AGAIN = timedelta(minutes=5)
"""After that an update that some server does not show is sent once more."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What one server shows at the name: its values, how long caches may hold them, and the zone's serial there."""

    server: str
    rdatas: frozenset[str]
    ttl: int
    serial: str


@dataclass(frozen=True, slots=True)
class NamePlan:
    """`rows` are the ledger's rows as they are to be from now on; what is to be sent follows from them."""

    rows: tuple[TlsaRecord, ...] = ()
    add: tuple[Wanted, ...] = ()
    remove: tuple[Wanted, ...] = ()
    vanished: tuple[TlsaRecord, ...] = ()  # somebody else took these away

    @property
    def sends(self) -> bool:
        return bool(self.add or self.remove)


def wanted_again(row: TlsaRecord, now: datetime) -> TlsaRecord:
    """A row that is to be in DNS from now on; what caches may hold of its former life still counts."""
    over = row.visible_since is not None and (aged_at(row) or now) <= now
    former = None if over else row.former_ttl
    return replace(
        row,
        state=TlsaState.INTENDED,
        since=now,
        former_ttl=former,
        serials={},
        sent=None,
        sent_ttl=None,
        visible_since=None,
        error=None,
    )


def ending(row: TlsaRecord, now: datetime) -> TlsaRecord:
    """A row that nobody wants any more. As a change it begins when it is sent."""
    former = None if row.visible_since is not None and (aged_at(row) or now) <= now else row.former_ttl
    return replace(
        row,
        state=TlsaState.REMOVING,
        since=now,
        former_ttl=former,
        serials={},
        sent=None,
        visible_since=None,
        error=None,
    )


def is_over(row: TlsaRecord, now: datetime) -> bool:
    """No cache can have it any more."""
    return row.state is TlsaState.REMOVED and (aged_at(row) or now) <= now


def plan_name(rows: Sequence[TlsaRecord], shown: Sequence[Shown], now: datetime) -> NamePlan:
    """`rows`: all of the ledger at the name; `shown`: by at least one server."""
    ttl = _ttl(rows)
    sending = [row for row in rows if _sends(row, shown, ttl, now)]
    former, serials = former_ttl(max(one.ttl for one in shown), rows, now), {one.server: one.serial for one in shown}
    wanted = [row for row in sending if row.state in STANDING]
    return NamePlan(
        rows=tuple(_intended(row, former, serials, ttl, now) for row in sending),
        add=tuple(Wanted(row.name, row.rdata, ttl) for row in wanted),
        remove=tuple(Wanted(row.name, row.rdata, 0) for row in sending if row.state is TlsaState.REMOVING),
        vanished=tuple(row for row in wanted if row.state is TlsaState.VISIBLE and row.sent_ttl == ttl),
    )


def _ttl(rows: Iterable[TlsaRecord]) -> int:
    """A set has one: the shortest that somebody wants."""
    return min((row.ttl for row in rows if row.state in STANDING), default=0)


def _intended(row: TlsaRecord, former: int, serials: dict[str, str], ttl: int, now: datetime) -> TlsaRecord:
    """What is on record before the update is sent."""
    state = TlsaState.INTENDED if row.state in STANDING else TlsaState.REMOVING
    return replace(
        row,
        state=state,
        since=row.since if row.state is state else now,
        former_ttl=former,
        serials=serials,
        sent_ttl=ttl,
        sent=None,
        visible_since=None,
    )


def _sends(row: TlsaRecord, shown: Sequence[Shown], ttl: int, now: datetime) -> bool:
    everywhere = all(row.rdata in one.rdatas for one in shown)
    rested = row.sent is None or row.sent + SENT_AGAIN <= now
    if row.state is TlsaState.REMOVED:
        return False
    if row.state is TlsaState.REMOVING:
        return rested and any(row.rdata in one.rdatas for one in shown)
    if row.sent_ttl is None and everywhere:  # it was there before we came
        return any(one.ttl != ttl for one in shown)
    if row.sent_ttl != ttl:
        return True
    return not everywhere and (rested or row.state is TlsaState.VISIBLE)


def sent(rows: Iterable[TlsaRecord], now: datetime) -> list[TlsaRecord]:
    """The server took the update."""
    return [
        replace(row, sent=now, error=None)
        if row.state is TlsaState.REMOVING
        else replace(row, state=TlsaState.PRESENT, since=now, sent=now, error=None)
        for row in rows
    ]


def seen(rows: Sequence[TlsaRecord], shown: Sequence[Shown], faults: Sequence[str], now: datetime) -> list[TlsaRecord]:
    """The rows that a look lets move on: what every server shows is visible, what none shows is removed."""
    former = former_ttl(max((one.ttl for one in shown), default=0), rows, now)
    after = [(row, _seen(row, _lack(row, shown, faults), former, now)) for row in rows]
    return [then for row, then in after if then != row]


def _seen(row: TlsaRecord, lack: str | None, former: int, now: datetime) -> TlsaRecord:
    if row.state in (TlsaState.REMOVED, TlsaState.VISIBLE):
        return row
    if lack:
        return replace(row, error=lack)
    done = TlsaState.VISIBLE if row.state in STANDING else TlsaState.REMOVED
    known = row.former_ttl if row.former_ttl is not None else former
    ttl = row.ttl if row.sent_ttl is None else row.sent_ttl
    return replace(row, state=done, since=now, visible_since=now, former_ttl=known, sent_ttl=ttl, error=None)


def _lack(row: TlsaRecord, shown: Sequence[Shown], faults: Sequence[str]) -> str | None:
    """What keeps the change from being seen at every server."""
    wanted = row.state in STANDING
    for one in shown:
        if (row.rdata in one.rdatas) is not wanted:
            return f"{one.server} {'does not show it' if wanted else 'still shows it'}"
        if row.serials.get(one.server) == one.serial and any(_newer(other.serial, one.serial) for other in shown):
            return f"{one.server} still has the zone from before (serial {one.serial})"
    if faults:
        return faults[0]
    return None if shown else "no name server was asked"


def _newer(one: str, other: str) -> bool:
    """RFC 1982: serials are numbers that go round."""
    return 0 < (int(one) - int(other)) % 2**32 < 2**31
