"""Waves on both databases: opened with a version that goes live, moved by whoever comes first."""

from dataclasses import replace

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Forbidden
from certline_master.domain.model import DeploymentState, FollowerState, Line, Rollout
from certline_master.domain.rollout import Progress, Wave
from tests.contract.store_bed import HOUR, OPERATOR, VIEWER, StoreBed, as_follower
from tests.contract.test_store_standings import PULL, live, shared_line, tell

ROLLOUT = Rollout(("web-1",), wave=1, after_seconds=1800)


def hosts(bed: StoreBed, count: int = 3) -> None:
    for number in range(1, count + 1):
        bed.follower(f"web-{number}", grants=PULL, state=FollowerState.ACTIVE)


def rolled_out(bed: StoreBed) -> Line:
    """A line whose second version has just gone live, while all have the first one."""
    hosts(bed)
    line, issuer = shared_line(bed), bed.issuer()
    live(bed, line, issuer)
    bed.write(lambda records: records.lines.save(SYSTEM, replace(line, rollout=ROLLOUT)))
    for one in bed.read(lambda records: records.followers.all(SYSTEM)):
        tell(bed, one, line, 1, DeploymentState.SERVED)
    live(bed, line, issuer, 2)
    return line


def under_way(bed: StoreBed) -> Wave:
    (found,) = bed.read(lambda records: records.waves.under_way(SYSTEM))
    return found


def progress(bed: StoreBed) -> Progress:
    found = bed.read(lambda records: records.waves.progress(SYSTEM, under_way(bed), bed.now))
    assert found is not None
    return found


def test_a_version_of_a_line_with_a_rollout_goes_live_for_its_canaries(bed: StoreBed) -> None:
    line = rolled_out(bed)
    assert under_way(bed) == Wave(line.id, 2, 0, bed.now)
    found = bed.read(lambda records: records.waves.of_lines(SYSTEM, [line.id]))
    assert found == {line.id: {2: under_way(bed)}}  # version 1 was there before: all may have it


def test_without_a_rollout_or_for_one_follower_there_is_no_wave(bed: StoreBed) -> None:
    own = bed.line(bed.follower("web-9"), "own", rollout=ROLLOUT)
    issuer = bed.issuer()
    for line in (own, shared_line(bed)):
        live(bed, line, issuer)
    assert bed.read(lambda records: records.waves.under_way(SYSTEM)) == []


def test_the_progress_tells_who_has_what_and_what_ends_first_of_it(bed: StoreBed) -> None:
    line = rolled_out(bed)
    web_1 = bed.read(lambda records: records.followers.get(SYSTEM, "web-1"))
    tell(bed, web_1, line, 2, DeploymentState.PULLED, error="it broke")
    found = progress(bed)
    assert found.names == ("web-1", "web-2", "web-3")
    assert [one.name for one in found.members()] == ["web-1"]
    assert found.reported[web_1.id].error == "it broke"
    assert found.former is not None
    assert found.former.number == 1


def test_a_step_is_moved_once_and_its_followers_are_offered_the_version(bed: StoreBed) -> None:
    line = rolled_out(bed)
    seen = progress(bed)
    then = replace(seen.wave, step=1, opened=bed.now + HOUR)
    other = bed.second_master()
    assert bed.write(lambda records: records.waves.move(SYSTEM, seen, then, now=bed.now + HOUR)) is True
    assert other.write(lambda records: records.waves.move(SYSTEM, seen, then, now=bed.now + HOUR)) is False
    assert under_way(bed) == then
    told = bed.read(lambda records: records.standings.reported(SYSTEM, [line.id]))
    ids = {one.name: one.id for one in bed.read(lambda records: records.followers.all(SYSTEM))}
    assert [2 in told[line.id, ids[name]] for name in ("web-1", "web-2", "web-3")] == [True, True, False]
    assert told[line.id, ids["web-2"]][2].wanted_since == bed.now + HOUR


def test_a_stop_keeps_the_step_and_an_end_is_for_good(bed: StoreBed) -> None:
    rolled_out(bed)
    for change in ({"stopped": "it broke"}, {"stopped": None, "finished": bed.now}):
        seen = progress(bed)
        then = replace(seen.wave, **change)
        assert bed.write(lambda records, seen=seen, then=then: records.waves.move(SYSTEM, seen, then, now=bed.now))  # type: ignore[misc]
    assert bed.read(lambda records: records.waves.under_way(SYSTEM)) == []
    again = replace(seen.wave, step=1)
    assert bed.write(lambda records: records.waves.move(SYSTEM, seen, again, now=bed.now)) is False


def test_the_wave_of_a_version_that_was_succeeded_is_not_under_way(bed: StoreBed) -> None:
    line = rolled_out(bed)
    live(bed, line, bed.read(lambda records: records.issuers.get(SYSTEM, "le")), 3)
    assert under_way(bed).version == 3


def test_where_the_rollout_was_taken_away_there_is_no_progress(bed: StoreBed) -> None:
    line = rolled_out(bed)
    bed.write(lambda records: records.lines.save(SYSTEM, line))
    assert bed.read(lambda records: records.waves.progress(SYSTEM, under_way(bed), bed.now)) is None


def test_a_follower_sees_the_waves_of_what_it_may_pull_and_moves_none(bed: StoreBed) -> None:
    line = rolled_out(bed)
    mine, stranger = (
        bed.read(lambda records: records.followers.get(SYSTEM, "web-1")),
        bed.follower("web-9", state=FollowerState.ACTIVE),
    )
    assert bed.read(lambda records: records.waves.of_lines(as_follower(mine), [line.id]))
    assert bed.read(lambda records: records.waves.of_lines(as_follower(stranger), [line.id])) == {}
    assert bed.read(lambda records: records.waves.under_way(as_follower(mine))) == []
    assert bed.read(lambda records: records.waves.progress(as_follower(mine), under_way(bed), bed.now)) is None
    seen = progress(bed)
    for caller in (as_follower(mine), VIEWER):
        with pytest.raises(Forbidden):
            bed.write(lambda records, caller=caller: records.waves.move(caller, seen, seen.wave, now=bed.now))  # type: ignore[misc]
    assert bed.write(lambda records: records.waves.move(OPERATOR, seen, seen.wave, now=bed.now))
