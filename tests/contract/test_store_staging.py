"""Staged versions and going back, on both databases: states, times, and what hosts count as using."""

from dataclasses import replace

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import NotFound
from certline_master.domain.model import (
    DeploymentState,
    Failure,
    FailureClass,
    FollowerState,
    Issuer,
    Line,
    OrderState,
    Rollout,
    Version,
    VersionState,
)
from tests.contract.store_bed import HOUR, StoreBed
from tests.contract.test_store_standings import PULL, behind, live, shared_line, tell

INSTALLED, PULLED, SERVED = DeploymentState.INSTALLED, DeploymentState.PULLED, DeploymentState.SERVED


def issued(bed: StoreBed, line: Line, issuer: Issuer, number: int, *, stage: bool) -> Version:
    bed.opened(line, issuer, number)
    (work,) = bed.claim()
    order = replace(work.order, state=OrderState.ISSUED, certificate_url="https://le.example/cert/1")
    ends = bed.now + 90 * 24 * HOUR
    certificate = replace(work.certificate, chain="PEM", serial="01", not_before=bed.now, not_after=ends)
    version = bed.write(
        lambda records: records.orders.issued(SYSTEM, work.lease, order, certificate, now=bed.now, stage=stage)
    )
    assert version is not None
    return version


def states(bed: StoreBed, line: Line) -> dict[int, VersionState]:
    return {one.number: one.state for one in bed.read(lambda records: records.versions.all(SYSTEM, line.id))}


def set_state(bed: StoreBed, version: Version, state: VersionState) -> None:
    bed.write(lambda records: records.versions.set_state(SYSTEM, version.id, state, now=bed.now))


def staged(bed: StoreBed, **fields: object) -> tuple[Line, Issuer, Version]:
    """A line with version 1 live and version 2 staged."""
    bed.follower("web-1", grants=PULL, state=FollowerState.ACTIVE)
    line, issuer = shared_line(bed, **fields), bed.issuer()
    live(bed, line, issuer)
    return line, issuer, issued(bed, line, issuer, 2, stage=True)


STAGED, LIVE, RETIRED = VersionState.STAGED, VersionState.LIVE, VersionState.RETIRED


def test_a_version_is_staged_beside_the_live_one_which_stays(bed: StoreBed) -> None:
    line, _, version = staged(bed)
    assert states(bed, line) == {1: LIVE, 2: STAGED}
    assert (version.state, version.staged_since, version.live_since, version.ended) == (STAGED, bed.now, None, None)
    assert bed.read(lambda records: records.versions.live(SYSTEM, [line.id]))[line.id].number == 1


def test_until_when_and_why_it_is_held_is_kept(bed: StoreBed) -> None:
    line, _, version = staged(bed)
    since, until = bed.now - HOUR, bed.now + HOUR
    bed.write(lambda records: records.versions.hold(SYSTEM, version.id, since=since, until=until, why="a new key"))
    found = bed.read(lambda records: records.versions.get(SYSTEM, line.id, 2))
    assert (found.staged_since, found.activate_at, found.held_by) == (since, until, "a new key")


@pytest.mark.parametrize("number", [1, 3])
def test_only_a_staged_version_is_held(bed: StoreBed, number: int) -> None:
    line, _, _ = staged(bed)
    every = {one.number: one.id for one in bed.read(lambda records: records.versions.all(SYSTEM, line.id))}
    with pytest.raises(NotFound):
        bed.write(
            lambda records: records.versions.hold(
                SYSTEM, every.get(number, "missing"), since=bed.now, until=None, why="it waits"
            )
        )


def test_going_live_it_retires_what_was_live_even_with_a_higher_number(bed: StoreBed) -> None:
    line, issuer, version = staged(bed)
    issued(bed, line, issuer, 3, stage=False)
    assert states(bed, line) == {1: RETIRED, 2: STAGED, 3: LIVE}
    set_state(bed, version, LIVE)
    assert states(bed, line) == {1: RETIRED, 2: LIVE, 3: RETIRED}


def test_its_waves_begin_when_it_goes_live(bed: StoreBed) -> None:
    line, _, version = staged(bed, rollout=Rollout(("web-1",)))
    assert 2 not in bed.read(lambda records: records.waves.of_lines(SYSTEM, [line.id])).get(line.id, {})
    bed.now += HOUR
    set_state(bed, version, LIVE)
    assert bed.read(lambda records: records.waves.of_lines(SYSTEM, [line.id]))[line.id][2].opened == bed.now


def test_the_planner_sees_the_staged_the_live_and_the_highest_that_ever_was(bed: StoreBed) -> None:
    """Failed orders after it do not hide it: hosts have seen its number."""
    line, issuer, version = staged(bed)
    issued(bed, line, issuer, 3, stage=False)
    set_state(bed, version, LIVE)
    bed.opened(line, issuer, 4)
    why = Failure(FailureClass.RETRY_SOON, "no")
    bed.write(lambda records: records.orders.stop(SYSTEM, line.id, why, now=bed.now))
    found = bed.read(lambda records: records.lines.snapshot(SYSTEM, line.id)).versions
    assert {one.number: one.state for one in found} == {4: VersionState.FAILED, 3: RETIRED, 2: LIVE}


def test_what_was_staged_and_dropped_was_never_live_and_nobody_had_to_pull_it(bed: StoreBed) -> None:
    line, _, version = staged(bed)
    set_state(bed, version, RETIRED)
    snapshot = bed.read(lambda records: records.lines.snapshot(SYSTEM, line.id))
    assert snapshot.unpulled == 1  # version 1


def test_who_has_it_staged_wants_it_once_it_is_offered(bed: StoreBed) -> None:
    line, _, version = staged(bed)
    (host,) = bed.read(lambda records: records.followers.all(SYSTEM))
    tell(bed, host, line, 2, DeploymentState.STAGED)
    set_state(bed, version, LIVE)
    assert behind(bed) == [("shared", "web-1", 2)]
    bed.now += HOUR
    bed.write(lambda records: records.standings.want(SYSTEM, host.id, line.id, 2, since=bed.now))
    (told,) = bed.read(lambda records: records.followers.deployments(SYSTEM, line_id=line.id))
    assert (told.state, told.wanted_since) == (DeploymentState.WANTED, bed.now)


def test_an_older_version_is_wanted_again_of_whoever_had_a_later_one(bed: StoreBed) -> None:
    line, _, _ = staged(bed)
    hosts = {name: bed.follower(name, grants=PULL, state=FollowerState.ACTIVE) for name in ("web-2", "web-3", "web-4")}
    for host in hosts.values():
        tell(bed, host, line, 1, SERVED)
    tell(bed, hosts["web-2"], line, 2, PULLED, error="its reload failed")
    tell(bed, hosts["web-3"], line, 2, DeploymentState.STAGED)
    bed.now += HOUR
    bed.write(lambda records: records.standings.want_again(SYSTEM, line.id, 1, [2], since=bed.now))
    reported = bed.read(lambda records: records.standings.reported(SYSTEM, [line.id]))
    found = {name: reported[line.id, host.id][1] for name, host in hosts.items()}
    assert {name: one.state for name, one in found.items()} == {
        "web-2": DeploymentState.WANTED, "web-3": SERVED, "web-4": SERVED,
    }  # fmt: skip
    assert found["web-2"].wanted_since == bed.now


def test_in_use_is_what_was_live_last_of_the_versions_that_a_host_installed(bed: StoreBed) -> None:
    line, issuer, version = staged(bed)
    (host,) = bed.read(lambda records: records.followers.all(SYSTEM))
    issued(bed, line, issuer, 3, stage=False)
    tell(bed, host, line, 3, INSTALLED)
    tell(bed, host, line, 2, DeploymentState.STAGED)
    assert [one.version for one in bed.read(lambda records: records.standings.in_use(SYSTEM))] == [3]
    bed.now += HOUR
    set_state(bed, version, LIVE)
    tell(bed, host, line, 2, INSTALLED)
    assert [one.version for one in bed.read(lambda records: records.standings.in_use(SYSTEM))] == [2]
