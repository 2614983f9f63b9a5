"""Who is to have a line, how far each follower is with it, and who is late, on both databases."""

from datetime import timedelta
from typing import Any

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.deployment import Behind
from certline_master.domain.errors import Forbidden
from certline_master.domain.model import (
    Custody,
    Deployment,
    DeploymentState,
    Follower,
    FollowerState,
    Grant,
    GrantKind,
    Group,
    Issuer,
    Line,
    Owner,
    Version,
)
from certline_master.domain.survival import LiveUntil
from tests.contract.store_bed import HOUR, OPERATOR, VIEWER, StoreBed, as_follower

ACTIVE = FollowerState.ACTIVE
PULL = (Grant(GrantKind.PULL, "shared"),)
DAYS = timedelta(days=90)


def shared_line(bed: StoreBed, **fields: Any) -> Line:
    made = Line(bed.chance.uuid(), "shared", Owner.FILE, None, ("shared.example.test",), custody=Custody.MASTER)
    made = made if not fields else Line(**{name: getattr(made, name) for name in made.__slots__} | fields)
    bed.write(lambda records: records.lines.save(SYSTEM, made))
    return made


def live(bed: StoreBed, line: Line, issuer: Issuer, number: int = 1) -> Version:
    bed.opened(line, issuer, number)
    (work,) = bed.claim()
    version = bed.issue(work)
    assert version is not None
    return version


def tell(bed: StoreBed, follower: Follower, line: Line, number: int, state: DeploymentState, **fields: Any) -> None:
    one = Deployment(follower.id, line.id, number, state, fields.pop("error", None), bed.now, **fields)
    bed.write(lambda records: records.followers.report(SYSTEM, one))


def names(bed: StoreBed, *lines: Line) -> dict[str, list[str]]:
    found = bed.read(lambda records: records.standings.receivers(SYSTEM, [line.id for line in lines]))
    by_id = {line.id: line.name for line in lines}
    return {by_id[line_id]: [one.name for one in receivers] for line_id, receivers in found.items()}


def behind(bed: StoreBed, *, after: timedelta = timedelta(0)) -> list[tuple[str, str, int]]:
    found: list[Behind] = bed.read(lambda records: records.standings.behind(SYSTEM, bed.now - after))
    return sorted((one.line, one.receiver.name, one.version) for one in found)


# --- who ------------------------------------------------------------------------------------------------------------


def test_a_line_is_for_its_follower_and_a_shared_one_for_all_that_were_granted_it(bed: StoreBed) -> None:
    own = bed.line(bed.follower("web-1"), "own")
    bed.follower("web-3", grants=PULL)
    bed.follower("web-2", grants=(*PULL, Grant(GrantKind.REQUEST, "own")))
    bed.follower("web-4", grants=(Grant(GrantKind.PULL, "another"), Grant(GrantKind.PULL, "own")))
    shared = shared_line(bed)
    assert names(bed, own, shared) == {"own": ["web-1"], "shared": ["web-2", "web-3"]}


def test_a_group_gives_its_followers_the_line_and_a_name_that_only_looks_alike_does_not(bed: StoreBed) -> None:
    for name in ("edge_a", "edgexa"):
        group = Group(bed.chance.uuid(), name, Owner.FILE, PULL if name == "edge_a" else ())
        bed.write(lambda records, group=group: records.groups.save(SYSTEM, group))  # type: ignore[misc]
    bed.follower("web-1", groups=("edge_a",), grants=PULL)
    bed.follower("web-2", groups=("edgexa", "edge_a"))
    bed.follower("web-3", groups=("edgexa",))
    assert names(bed, shared_line(bed)) == {"shared": ["web-1", "web-2"]}


def test_the_lines_of_a_follower_are_found_the_other_way_round(bed: StoreBed) -> None:
    follower = bed.follower("web-1", grants=PULL)
    own, shared = bed.line(follower), shared_line(bed)
    bed.line(bed.follower("web-2"), "theirs")
    found = bed.read(lambda records: records.standings.lines_of(SYSTEM, follower.id))
    assert sorted(found) == sorted([own.id, shared.id])


# --- how far --------------------------------------------------------------------------------------------------------


def test_what_each_follower_reported_of_the_newest_versions_is_found(bed: StoreBed) -> None:
    one, other = bed.follower("web-1", grants=PULL), bed.follower("web-2", grants=PULL)
    line = shared_line(bed)
    for number in range(1, 8):
        tell(bed, one, line, number, DeploymentState.SERVED)
    tell(bed, other, line, 2, DeploymentState.PULLED, seen={"127.0.0.1:443": "ab" * 32}, retry_at=bed.now)
    found = bed.read(lambda records: records.standings.reported(SYSTEM, [line.id]))
    assert sorted(found[line.id, one.id]) == [3, 4, 5, 6, 7]
    (told,) = found[line.id, other.id].values()
    assert (told.seen, told.retry_at) == ({"127.0.0.1:443": "ab" * 32}, bed.now)


@pytest.mark.parametrize(
    ("fields", "there"),
    [
        ({"state": DeploymentState.PULLED}, False),
        ({"state": DeploymentState.INSTALLED}, True),
        ({"state": DeploymentState.INSTALLED, "goal": DeploymentState.SERVED}, False),
        ({"state": DeploymentState.SERVED, "goal": DeploymentState.SERVED}, True),
        ({"state": DeploymentState.SERVED, "goal": DeploymentState.SERVED, "error": "it broke"}, False),
        ({"state": DeploymentState.PULLED, "alarmed": None, "error": "held"}, False),
    ],
)
def test_a_follower_is_behind_until_it_reached_its_goal_with_the_live_version(
    bed: StoreBed, fields: dict[str, Any], there: bool
) -> None:
    follower = bed.follower("web-1", state=ACTIVE)
    line = bed.line(follower)
    live(bed, line, bed.issuer())
    assert behind(bed) == [("shop", "web-1", 1)]
    tell(bed, follower, line, 1, **fields)
    assert behind(bed) == ([] if there else [("shop", "web-1", 1)])


def test_of_a_line_for_one_follower_only_what_is_live_long_enough_counts(bed: StoreBed) -> None:
    line = bed.line(bed.follower("web-1", state=ACTIVE))
    bed.follower("web-2", grants=PULL, state=ACTIVE)
    shared, issuer = shared_line(bed), bed.issuer()
    for one in (line, shared):
        live(bed, one, issuer)
    assert behind(bed, after=HOUR) == [("shared", "web-2", 1)]  # its offer is put on record at once
    assert behind(bed) == [("shared", "web-2", 1), ("shop", "web-1", 1)]


@pytest.mark.parametrize("state", [one for one in FollowerState if one is not ACTIVE])
def test_a_host_that_is_not_there_is_not_behind(bed: StoreBed, state: FollowerState) -> None:
    live(bed, bed.line(bed.follower("web-1", state=state)), bed.issuer())
    assert behind(bed) == []


# --- alarms ---------------------------------------------------------------------------------------------------------


def test_lateness_is_told_once_by_whichever_master_comes_first(bed: StoreBed) -> None:
    follower = bed.follower("web-1", state=ACTIVE)
    line = bed.line(follower)
    live(bed, line, bed.issuer())
    key = follower.id, line.id, 1

    def alarm(records: Any) -> bool:
        records.standings.want(SYSTEM, *key, since=bed.now - HOUR)
        return bool(records.standings.alarm(SYSTEM, *key, now=bed.now))

    assert bed.write(alarm) is True
    assert bed.second_master().write(alarm) is False
    (told,) = bed.read(lambda records: records.followers.deployments(SYSTEM, line_id=line.id))
    assert (told.state, told.wanted_since, told.alarmed) == (DeploymentState.WANTED, bed.now - HOUR, bed.now)
    assert behind(bed) == []


def test_what_arrived_meanwhile_is_not_told(bed: StoreBed) -> None:
    follower = bed.follower("web-1", state=ACTIVE)
    line = bed.line(follower)
    tell(bed, follower, line, 1, DeploymentState.INSTALLED)
    assert bed.write(lambda records: records.standings.alarm(SYSTEM, follower.id, line.id, 1, now=bed.now)) is False


def test_an_offer_that_is_known_stays_as_it_is(bed: StoreBed) -> None:
    follower = bed.follower("web-1")
    line = bed.line(follower)
    tell(bed, follower, line, 1, DeploymentState.PULLED)
    bed.write(lambda records: records.standings.want(SYSTEM, follower.id, line.id, 1, since=bed.now))
    (told,) = bed.read(lambda records: records.followers.deployments(SYSTEM, line_id=line.id))
    assert told.state is DeploymentState.PULLED


# --- how long it lasts ----------------------------------------------------------------------------------------------


def test_what_is_in_use_is_the_newest_version_that_was_installed(bed: StoreBed) -> None:
    follower = bed.follower("web-1", state=ACTIVE)
    line, issuer = bed.line(follower), bed.issuer()
    for number in (1, 2):
        live(bed, line, issuer, number)
    tell(bed, follower, line, 1, DeploymentState.RELOADED)
    tell(bed, follower, line, 2, DeploymentState.PULLED, error="its reload failed")
    (found,) = bed.read(lambda records: records.standings.in_use(SYSTEM))
    assert (found.line, found.receiver.name, found.version) == ("shop", "web-1", 1)
    assert (found.not_before, found.not_after) == (bed.now, bed.now + DAYS)
    assert bed.read(lambda records: records.standings.in_use(SYSTEM, follower.id)) == [found]
    assert bed.read(lambda records: records.standings.in_use(SYSTEM, "other")) == []


def test_what_a_host_holds_without_a_grant_any_more_is_its_own_affair(bed: StoreBed) -> None:
    follower = bed.follower("web-1", state=ACTIVE, grants=PULL)
    line = shared_line(bed)
    live(bed, line, bed.issuer())
    tell(bed, follower, line, 1, DeploymentState.SERVED)
    assert len(bed.read(lambda records: records.standings.in_use(SYSTEM))) == 1
    bed.write(lambda records: records.followers.set_grants(SYSTEM, follower.id, ()))
    assert bed.read(lambda records: records.standings.in_use(SYSTEM)) == []


def test_live_versions_count_while_a_host_is_there_and_the_line_is_not_paused(bed: StoreBed) -> None:
    follower = bed.follower("web-1", state=ACTIVE)
    line, issuer = bed.line(follower), bed.issuer()
    for one in (line, bed.line(bed.follower("web-2", state=FollowerState.REVOKED), "theirs")):
        live(bed, one, issuer)
    assert bed.read(lambda records: records.standings.live_until(SYSTEM)) == [
        LiveUntil("shop", ("shop.example.test",), bed.now, bed.now + DAYS)
    ]
    bed.write(lambda records: records.lines.pause(SYSTEM, line.id, "nobody pulls it"))
    assert bed.read(lambda records: records.standings.live_until(SYSTEM)) == []


def test_a_fact_of_the_installation_is_exchanged_only_for_the_one_that_was_seen(bed: StoreBed) -> None:
    def swap(was: str | None, then: str) -> bool:
        return bed.write(lambda records: records.instance.swap(SYSTEM, "told", was, then))

    assert [swap(None, "a"), swap(None, "b"), swap("b", "c"), swap("a", "c")] == [True, False, False, True]
    assert bed.read(lambda records: records.instance.get(SYSTEM, "told")) == "c"


# --- who may --------------------------------------------------------------------------------------------------------


def test_a_follower_sees_nothing_of_it_and_a_viewer_changes_nothing(bed: StoreBed) -> None:
    follower = bed.follower("web-1", state=ACTIVE)
    line = bed.line(follower)
    live(bed, line, bed.issuer())
    me = as_follower(follower)
    looks: list[Any] = [
        lambda records, who: records.standings.receivers(who, [line.id]),
        lambda records, who: records.standings.lines_of(who, follower.id),
        lambda records, who: records.standings.behind(who, bed.now),
        lambda records, who: records.standings.live_until(who),
    ]
    for look in looks:
        assert not bed.read(lambda records, look=look: look(records, me))  # type: ignore[misc]
        assert bed.read(lambda records, look=look: look(records, VIEWER))  # type: ignore[misc]
    assert bed.read(lambda records: (records.standings.reported(me, [line.id]), records.standings.in_use(me))) == (
        {},
        [],
    )
    for caller in (me, VIEWER):
        with pytest.raises(Forbidden):
            bed.write(lambda records, caller=caller: records.standings.want(caller, "f", line.id, 1, since=bed.now))  # type: ignore[misc]
        with pytest.raises(Forbidden):
            bed.write(lambda records, caller=caller: records.standings.alarm(caller, "f", line.id, 1, now=bed.now))  # type: ignore[misc]
        with pytest.raises(Forbidden):
            bed.write(lambda records, caller=caller: records.instance.swap(caller, "told", None, "x"))  # type: ignore[misc]
    bed.write(lambda records: records.standings.want(OPERATOR, follower.id, line.id, 1, since=bed.now))
