"""What one follower is to have of its lines while a rollout keeps a live version from it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Follower, LineSnapshot, Version, VersionState
from certline_master.domain.placement import live_version
from certline_master.domain.ports import Records
from certline_master.domain.rollout import Offers, Wave, offered_to
from certline_master.domain.succession import was_live


def with_offers(
    records: Records, follower: Follower, snapshots: Sequence[LineSnapshot], now: datetime
) -> list[LineSnapshot]:
    """The same, each with what this follower is to have of it."""
    waved = [snapshot.line.id for snapshot in snapshots if snapshot.line.rollout]
    waves = records.waves.of_lines(SYSTEM, waved) if waved else {}
    return [_offered(records, follower, one, waves.get(one.line.id, {}), now) for one in snapshots]


def offers_of(records: Records, snapshot: LineSnapshot, live: Version, waves: Mapping[int, Wave]) -> Offers:
    """Former versions are looked for only while there is a use for them."""
    held: list[Version] = []
    wave = waves.get(live.number)
    if snapshot.line.rollout and wave and not wave.finished:
        every = records.versions.all(SYSTEM, snapshot.line.id)
        held = [one for one in every if one.state is VersionState.RETIRED and was_live(one)]
    return Offers(live, tuple(held), snapshot.line.rollout, waves)


def _offered(
    records: Records, follower: Follower, snapshot: LineSnapshot, waves: Mapping[int, Wave], now: datetime
) -> LineSnapshot:
    live = live_version(snapshot)
    if live is None or not waves:
        return snapshot
    offers = offers_of(records, snapshot, live, waves)
    if not offers.former:
        return snapshot
    told = records.followers.deployments(SYSTEM, line_id=snapshot.line.id, follower_id=follower.id)
    chosen = offers.choose(follower.name, offered_to(told), now)
    if chosen is live:
        return snapshot
    kept = records.keys.by_pins(SYSTEM, [one.spki_sha256 for one in chosen.certificates])  # it may have had another key
    return replace(snapshot, offered=chosen, kept_keys=snapshot.kept_keys | {one.spki_sha256 for one in kept})
