"""How far a follower is with a version: its standing, when it is late, and what a new report makes of an old one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.domain.deployment import (
    IN_TIME,
    LONGEST_WAIT,
    NotDeployed,
    Receiver,
    Standing,
    Wanted,
    arrived,
    late_at,
    merged,
    not_deployed,
    standing,
    wanted_since,
)
from certline_master.domain.model import Deployment, DeploymentState, FollowerState
from tests.unit.master.deployments import (
    HOUR,
    INSTALLED,
    MINUTE,
    NOW,
    PULLED,
    RELOADED,
    SERVED,
    WANTED,
    host,
    told,
    version,
)

AGO = NOW - 2 * HOUR
RELOAD = "service nginx: its reload failed"


def stands(
    *reported: Deployment, since: datetime = AGO, receiver: Receiver | None = None, newer: int | None = None
) -> Standing:
    """Of web-1, which is to have version 3."""
    known = {one.version: one for one in reported}
    return standing(Wanted("shop", receiver or host(), version(3), since, known, newer), NOW)


# --- how far --------------------------------------------------------------------------------------------------------


def test_each_step_names_the_newest_version_that_got_that_far() -> None:
    found = stands(told(1, SERVED), told(2, RELOADED), told(3, PULLED))
    assert (found.wanted, found.pulled, found.installed, found.reloaded, found.served) == (3, 3, 2, 2, 1)
    nothing = stands()
    assert (nothing.wanted, nothing.pulled, nothing.served) == (3, None, None)


@pytest.mark.parametrize(
    ("state", "goal", "there"),
    [
        (PULLED, None, False),
        (INSTALLED, None, True),  # a host of a former release tells no goal
        (INSTALLED, INSTALLED, True),
        (INSTALLED, RELOADED, False),
        (RELOADED, RELOADED, True),
        (RELOADED, SERVED, False),
        (SERVED, SERVED, True),
        (SERVED, INSTALLED, True),
    ],
)
def test_a_version_has_arrived_with_the_last_step_that_the_host_has_configured(
    state: DeploymentState, goal: DeploymentState | None, there: bool
) -> None:
    assert arrived(told(3, state, goal=goal)) is there
    assert arrived(told(3, state, RELOAD, goal=goal)) is False
    assert stands(told(3, state, goal=goal)).arrived is there


def test_what_has_arrived_is_said_in_a_word() -> None:
    assert stands(told(3, SERVED, goal=SERVED)).text == "version 3 is served on web-1"
    assert stands(told(3, RELOADED), newer=4).text == "version 3 is reloaded on web-1; version 4 waits for its wave"


# --- held back ------------------------------------------------------------------------------------------------------


def test_what_holds_a_version_back_is_told_with_since_when_and_the_next_try() -> None:
    found = stands(told(2, SERVED), told(3, PULLED, RELOAD, at=AGO, retry_at=NOW + HOUR))
    assert not_deployed(found) == NotDeployed(
        "shop", "web-1", 3, AGO, RELOAD,
        f"version 3 is held back on web-1 since 2026-11-20 10:00 UTC: {RELOAD}; tried again at 2026-11-20 13:00 UTC",
    )  # fmt: skip
    assert (found.retry_at, found.installed) == (NOW + HOUR, 2)


def test_a_former_versions_trouble_lasts_until_the_wanted_one_is_pulled() -> None:
    former = told(2, PULLED, RELOAD)
    assert not_deployed(stands(former, since=NOW)) is not None
    assert not_deployed(stands(former, told(3, WANTED), since=NOW)) is not None  # it was offered, no more
    assert not_deployed(stands(former, told(3, PULLED), since=NOW)) is None


@pytest.mark.parametrize("state", [FollowerState.REVOKED, FollowerState.SUSPENDED, FollowerState.INVITED])
def test_of_a_host_that_is_not_there_nothing_is_expected(state: FollowerState) -> None:
    found = stands(told(3, PULLED, RELOAD), receiver=host(state=state))
    assert (found.late, not_deployed(found)) == (False, None)
    assert stands(receiver=host(state=state)).text == f"web-1 is {state}: nothing is expected of it"


# --- late -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reported", "missing"),
    [((), "pulled"), ((told(2, SERVED),), "pulled"), ((told(3, PULLED),), "installed")]
    + [((told(3, state, goal=SERVED),), missing) for state, missing in ((INSTALLED, "reloaded"), (RELOADED, "served"))],
)
def test_a_version_that_did_not_reach_the_goal_in_time_is_late(reported: tuple[Deployment, ...], missing: str) -> None:
    just = NOW - IN_TIME + timedelta(seconds=1)
    assert stands(*reported, since=NOW - IN_TIME).late
    assert not stands(*reported, since=just).late
    text = f"web-1 has not {missing} version 3 yet (last seen 2026-11-20 11:55 UTC)"
    assert stands(*reported).text == text
    assert "last seen never" in stands(receiver=host(last_seen=None)).text


def test_a_host_that_waits_for_its_window_is_late_only_some_time_after_it_opened() -> None:
    waits = told(3, PULLED, at=AGO, retry_at=NOW + HOUR)
    assert late_at(AGO, waits) == NOW + HOUR + IN_TIME
    found = stands(waits)
    assert (found.late, not_deployed(found)) == (False, None)
    assert found.text == "web-1 has not installed version 3 yet: it waits until 2026-11-20 13:00 UTC"
    over = standing(Wanted("shop", host(), version(3), AGO, {3: waits}), NOW + HOUR + IN_TIME)
    assert over.late


def test_no_host_can_put_its_alarm_off_for_good() -> None:
    never = told(3, PULLED, at=AGO, retry_at=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
    assert late_at(AGO, never) == AGO + LONGEST_WAIT + IN_TIME
    assert "it waits until 9999-12-31" in stands(never).text


def test_a_next_try_after_a_failure_moves_no_deadline() -> None:
    assert late_at(AGO, told(3, PULLED, RELOAD, retry_at=NOW + 9 * HOUR)) == AGO + IN_TIME
    assert late_at(AGO, None, MINUTE) == AGO + MINUTE


def test_a_version_is_wanted_since_the_host_could_have_it() -> None:
    live = NOW - HOUR
    assert wanted_since(None, live, AGO) == live
    assert wanted_since(None, live, NOW) == NOW  # it enrolled after that
    assert wanted_since(told(3, PULLED), live, None) == live
    assert wanted_since(told(3, WANTED, wanted_since=AGO), live, NOW) == AGO


# --- reports --------------------------------------------------------------------------------------------------------


def test_an_error_in_other_words_is_the_same_trouble() -> None:
    first = told(3, PULLED, "try 1", at=AGO)
    second = merged(first, told(3, PULLED, "try 2", retry_at=NOW + HOUR))
    assert (second.updated, second.error, second.retry_at) == (AGO, "try 2", NOW + HOUR)
    assert merged(second, told(3, INSTALLED, "try 3")).updated == NOW
    assert merged(second, told(3, PULLED)).updated == NOW


def test_a_report_that_says_the_same_again_changes_nothing() -> None:
    known = told(3, RELOADED, at=AGO, goal=SERVED, seen={"127.0.0.1:443": "ab" * 32})
    assert merged(known, replace(known, updated=NOW)) == known


def test_what_had_arrived_and_has_not_any_more_is_wanted_anew() -> None:
    well = told(3, SERVED, at=AGO, goal=SERVED, wanted_since=AGO)
    assert merged(well, told(3, PULLED, RELOAD, goal=SERVED)).wanted_since == NOW
    assert merged(well, told(3, SERVED, goal=SERVED)).wanted_since == AGO


def test_an_alarm_is_over_when_the_version_arrives_and_only_then() -> None:
    late = told(3, PULLED, at=AGO, alarmed=AGO, wanted_since=AGO)
    assert merged(late, told(3, PULLED, RELOAD)).alarmed == AGO
    assert merged(late, told(3, INSTALLED)).alarmed is None


_STATES = st.sampled_from(DeploymentState)
_REPORTS = st.builds(
    told, st.integers(1, 4), _STATES, st.none() | st.just(RELOAD), goal=st.none() | st.sampled_from([RELOADED, SERVED])
)


@given(st.lists(_REPORTS, max_size=5), st.timedeltas(timedelta(0), 9 * HOUR))
def test_each_standing_says_what_it_means(reported: list[Deployment], ago: timedelta) -> None:
    found = stands(*reported, since=NOW - ago)
    assert found.text
    assert not (found.arrived and found.late)
    if found.arrived and not found.error:
        assert not_deployed(found) is None
    steps = [found.pulled, found.installed, found.reloaded, found.served]
    reached = [number or 0 for number in steps]
    assert reached == sorted(reached, reverse=True)
