"""How far each follower is with the lines it is to have, put together from what is on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from certline_master.api.offers import offers_of
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.alarms import Alarms
from certline_master.domain.deployment import Receiver, Standing, Wanted, standing, wanted_since
from certline_master.domain.model import Deployment, LineSnapshot, Version
from certline_master.domain.placement import live_version
from certline_master.domain.ports import Records
from certline_master.domain.rollout import Offers, Wave, offered_to

Reported = Mapping[tuple[str, str], Mapping[int, Deployment]]


@dataclass(frozen=True, slots=True)
class Standings:
    """Of some lines: who is to have each (by line id), and how far they are (by line id too)."""

    receivers: Mapping[str, tuple[Receiver, ...]]
    found: Mapping[str, tuple[Standing, ...]]


def standings(
    records: Records, caller: Caller, snapshots: Sequence[LineSnapshot], now: datetime, alarms: Alarms
) -> Standings:
    """In a fixed number of queries, but for rollouts that are under way."""
    line_ids = [snapshot.line.id for snapshot in snapshots]
    waves = records.waves.of_lines(caller, [one.line.id for one in snapshots if one.line.rollout])
    receivers = records.standings.receivers(caller, line_ids)
    look = _Look(records, records.standings.reported(caller, line_ids), now, alarms)
    found = {
        snapshot.line.id: look.of_line(snapshot, receivers.get(snapshot.line.id, ()), waves.get(snapshot.line.id, {}))
        for snapshot in snapshots
    }
    return Standings(receivers, found)


@dataclass(frozen=True, slots=True)
class _Look:
    records: Records
    reported: Reported
    now: datetime
    alarms: Alarms

    def of_line(
        self, snapshot: LineSnapshot, receivers: Sequence[Receiver], waves: Mapping[int, Wave]
    ) -> tuple[Standing, ...]:
        live = live_version(snapshot)
        if live is None:
            return ()
        offers = offers_of(self.records, snapshot, live, waves)
        return tuple(self._one(snapshot.line.name, one, offers) for one in receivers)

    def _one(self, line: str, receiver: Receiver, offers: Offers) -> Standing:
        told = self.reported.get((offers.live.line_id, receiver.id), {})
        version = offers.choose(receiver.name, offered_to(told.values()), self.now)
        since = wanted_since(told.get(version.number), _live_since(version), receiver.enrolled)
        newer = offers.live.number if version is not offers.live else None
        wanted = Wanted(line, receiver, version, since, told, newer)
        return standing(wanted, self.now, self.alarms.deployed_within)


def _live_since(version: Version) -> datetime:
    return version.live_since or version.created


def of_follower(
    records: Records, caller: Caller, follower_id: str, now: datetime, alarms: Alarms
) -> tuple[Standing, ...]:
    """How far one follower is with all its lines, by the line's name."""
    line_ids = records.standings.lines_of(caller, follower_id)
    snapshots = records.lines.snapshots(SYSTEM, line_ids)
    every = standings(records, caller, snapshots, now, alarms)
    names = {receiver.name for group in every.receivers.values() for receiver in group if receiver.id == follower_id}
    found = (one for group in every.found.values() for one in group if one.follower in names)
    return tuple(sorted(found, key=lambda one: one.line))
