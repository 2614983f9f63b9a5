"""Waves: who may have a new version, when the next step opens, what stops it, and what overrides it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.domain.deployment import Receiver
from certline_master.domain.model import Deployment, FollowerState, Rollout, Version
from certline_master.domain.rollout import Move, Offers, Progress, Wave, decide, opened, opening, steps
from tests.unit.master.deployments import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    PULLED,
    RELOADED,
    RETIRED,
    SERVED,
    host,
    told,
    version,
)

NAMES = ("web-1", "web-2", "web-3", "web-4", "web-5")
HOSTS = tuple(host(name) for name in NAMES)
TWO_AT_ONCE = Rollout(("web-3",), wave=2, after_seconds=1800)
BY_COMMAND = Rollout(("web-3",), wave=2)
OPENED = NOW - HOUR
FORMER = version(6, RETIRED, left=25)


def wave(step: int = 0, **fields: Any) -> Wave:
    return replace(Wave("l", 7, step, OPENED), **fields)


def served(*names: str, at: datetime = NOW - 40 * MINUTE) -> dict[str, Deployment]:
    return {f"id-{name}": told(7, SERVED, at=at, by=name, goal=SERVED) for name in names}


def failed(name: str, at: datetime = NOW - MINUTE) -> dict[str, Deployment]:
    return {f"id-{name}": told(7, PULLED, "its reload failed", at=at, by=name)}


def progress(
    *reported: dict[str, Deployment],
    at: Wave | None = None,
    rollout: Rollout = TWO_AT_ONCE,
    hosts: tuple[Receiver, ...] = HOSTS,
    former: Version | None = FORMER,
) -> Progress:
    known = {key: one for some in reported for key, one in some.items()}
    return Progress(at or wave(), rollout, hosts, known, former)


# --- the steps ------------------------------------------------------------------------------------------------------


def test_the_canaries_come_first_then_the_others_by_name_in_groups() -> None:
    assert steps(TWO_AT_ONCE, NAMES) == (("web-3",), ("web-1", "web-2"), ("web-4", "web-5"))
    assert steps(Rollout(("web-3",)), NAMES) == (("web-3",), ("web-1", "web-2", "web-4", "web-5"))
    assert steps(TWO_AT_ONCE, ["web-3"]) == (("web-3",),)
    assert opened(TWO_AT_ONCE, NAMES, 1) == {"web-1", "web-2", "web-3"}


@given(
    names=st.sets(st.sampled_from([f"h{number}" for number in range(12)])),
    canaries=st.sets(st.sampled_from([f"h{number}" for number in range(12)])),
    size=st.none() | st.integers(1, 5),
)
def test_each_follower_is_in_exactly_one_step(names: set[str], canaries: set[str], size: int | None) -> None:
    groups = steps(Rollout(tuple(canaries), size), names)
    every = [name for group in groups for name in group]
    assert sorted(every) == sorted(names)
    assert set(groups[0]) == names & canaries
    assert all(len(group) <= (size or len(names)) for group in groups[1:])


# --- going on -------------------------------------------------------------------------------------------------------


def test_a_step_waits_for_all_that_are_in_it() -> None:
    decided = decide(progress(), NOW)
    assert (decided.move, decided.text) == (Move.WAIT, "the canary step: waits for web-3")
    decided = decide(progress(served("web-3", "web-1"), at=wave(1)), NOW)
    assert (decided.move, decided.text) == (Move.WAIT, "wave 1: waits for web-2")


def test_the_next_wave_opens_the_set_time_after_the_last_one_was_well() -> None:
    decided = decide(progress(served("web-3")), NOW)
    assert (decided.move, decided.wave) == (Move.OPEN, wave(1, opened=NOW))
    assert decided.text == "wave 1 is open: web-1, web-2"
    decided = decide(progress(served("web-3", at=NOW - 29 * MINUTE)), NOW)
    assert decided.text == "the canary step is well; it goes on at 2026-11-20 12:01 UTC"


def test_without_a_time_it_goes_on_by_command() -> None:
    decided = decide(progress(served("web-3"), rollout=BY_COMMAND), NOW + 9 * DAY)
    assert (decided.move, decided.text) == (Move.WAIT, "the canary step is well; it goes on by command")
    assert opening(progress(rollout=BY_COMMAND), NOW).wave == wave(1, opened=NOW)


def test_nobody_waits_for_a_host_that_is_not_there() -> None:
    hosts = tuple(replace(one, state=FollowerState.SUSPENDED) if one.name == "web-2" else one for one in HOSTS)
    assert decide(progress(served("web-3", "web-1"), at=wave(1), hosts=hosts), NOW).move is Move.OPEN


def test_canaries_that_may_not_pull_the_line_hold_nothing_up() -> None:
    assert decide(progress(rollout=Rollout(("gone",), 2)), NOW).move is Move.OPEN


def test_when_the_last_wave_is_open_all_may_have_it() -> None:
    decided = decide(progress(at=wave(2)), NOW)
    assert (decided.move, decided.wave.finished) == (Move.FINISH, NOW)


# --- failures -------------------------------------------------------------------------------------------------------


def test_the_first_failure_stops_it_and_names_the_host_and_why() -> None:
    decided = decide(progress(served("web-3", "web-1"), failed("web-2"), at=wave(1)), NOW)
    why = "version 7 failed on web-2: its reload failed"
    assert (decided.move, decided.wave.stopped, decided.text) == (Move.STOP, why, f"stopped: {why}")
    assert decide(progress(served("web-3"), at=wave(1, stopped=why)), NOW + DAY).move is Move.WAIT


def test_a_failure_elsewhere_stops_nothing() -> None:
    assert decide(progress(served("web-3"), failed("web-5")), NOW).move is Move.OPEN


def test_a_failure_that_was_accepted_by_going_on_is_waited_for_no_more() -> None:
    accepted = failed("web-3", at=OPENED - MINUTE)
    assert decide(progress(accepted, at=wave(1)), NOW).text == "wave 1: waits for web-1, web-2"
    assert decide(progress(accepted, served("web-1", "web-2"), at=wave(1)), NOW).move is Move.OPEN
    again = failed("web-3", at=OPENED + MINUTE)
    assert decide(progress(again, served("web-1", "web-2"), at=wave(1)), NOW).move is Move.STOP


# --- overridden -----------------------------------------------------------------------------------------------------


def test_nobody_is_left_with_what_is_to_be_revoked() -> None:
    decided = decide(replace(progress(failed("web-3")), ending=True), NOW)
    assert (decided.move, decided.wave.finished) == (Move.OVERRIDE, NOW)


@pytest.mark.parametrize("stopped", [None, "by admin:ops"])
def test_expiry_overrides_also_a_rollout_that_was_stopped(stopped: str | None) -> None:
    just = version(6, RETIRED, days=90, left=15)
    decided = decide(progress(at=wave(stopped=stopped), former=just), NOW)
    assert (decided.move, decided.wave.finished, decided.wave.stopped) == (Move.OVERRIDE, NOW, None)
    assert decided.text == "version 6 ends 2026-12-05 12:00 UTC: all get the new one"
    assert decide(progress(former=version(6, RETIRED, days=90, left=15.1)), NOW).move is Move.WAIT
    assert decide(progress(former=version(6, RETIRED, days=6, left=3)), NOW).move is Move.WAIT


def test_where_the_others_have_nothing_they_get_it() -> None:
    assert decide(progress(former=None), NOW).move is Move.FINISH


# --- what is offered ------------------------------------------------------------------------------------------------

LIVE = version(7)


def offers(*former: Version, at: Wave | None = None, rollout: Rollout | None = TWO_AT_ONCE, **waves: Wave) -> Offers:
    return Offers(LIVE, former or (FORMER,), rollout, {7: at or wave(), **{int(k[1:]): v for k, v in waves.items()}})


def test_canaries_and_those_to_whom_it_was_offered_get_the_new_version_the_others_stay() -> None:
    assert offers().choose("web-3", {6}, NOW) is LIVE
    assert offers().choose("web-1", {6}, NOW) is FORMER
    assert offers().choose("web-1", {6, 7}, NOW) is LIVE


@pytest.mark.parametrize("given", [offers(at=wave(finished=NOW)), offers(rollout=None), Offers(LIVE, (), None, {})])
def test_without_a_rollout_under_way_all_get_the_new_version(given: Offers) -> None:
    assert given.choose("web-1", {6}, NOW) is LIVE


def test_a_host_that_has_none_gets_the_new_version() -> None:
    assert offers().choose("web-1", (), NOW) is LIVE


def test_a_host_whose_version_is_over_or_gone_gets_the_new_one() -> None:
    assert offers(version(6, RETIRED, left=-1)).choose("web-1", {6}, NOW) is LIVE
    assert Offers(LIVE, (), TWO_AT_ONCE, {7: wave()}).choose("web-1", {6}, NOW) is LIVE


def test_a_former_version_whose_rollout_was_never_finished_is_not_for_all() -> None:
    """Version 6 was stopped at its canary; 7 mends it: the others are still at 5."""
    five = version(5, RETIRED, left=20)
    found = offers(FORMER, five, v6=replace(wave(stopped="it failed"), version=6))
    assert found.choose("web-1", {5}, NOW) is five
    assert found.choose("web-3", {5, 6}, NOW) is LIVE
    assert found.choose("web-2", {5, 6}, NOW) is FORMER


NUMBERS = st.sets(st.integers(1, 6), max_size=4)


@given(
    offered=NUMBERS,
    retired=NUMBERS,
    ended=NUMBERS,
    waved=NUMBERS,
    name=st.sampled_from(NAMES),
    under_way=st.booleans(),
)
def test_no_version_is_offered_outside_its_open_steps_and_none_below_one_that_was(
    *, offered: set[int], retired: set[int], ended: set[int], waved: set[int], name: str, under_way: bool
) -> None:
    former = tuple(version(number, RETIRED, left=-1 if number in ended else 20) for number in retired)
    waves = {number: replace(wave(), version=number) for number in {*waved, *([7] if under_way else [])}}
    given_one = Offers(LIVE, former, TWO_AT_ONCE, waves)
    found = given_one.choose(name, offered, NOW)
    assert found.number >= max(offered, default=0)
    good = [number for number in retired - ended if number >= max(offered, default=7)]
    if not given_one.may_have(found.number, name, offered):
        assert found is LIVE
        assert not any(given_one.may_have(number, name, offered) for number in good)


@given(st.lists(st.sampled_from(["serve", "fail", "wait", "go on"]), max_size=25))
def test_whatever_happens_steps_only_open_and_only_after_the_former_one_is_over(deeds: list[str]) -> None:
    now, at, reported = NOW, wave(opened=NOW), dict[str, Deployment]()
    for deed in deeds:
        now += 10 * MINUTE
        inside = sorted(opened(TWO_AT_ONCE, NAMES, at.step))
        todo = [name for name in inside if f"id-{name}" not in reported or reported[f"id-{name}"].error]
        if deed in ("serve", "fail") and todo:
            error = "its reload failed" if deed == "fail" else None
            reported[f"id-{todo[0]}"] = told(7, PULLED if error else RELOADED, error, at=now, by=todo[0])
        seen = progress(reported, at=at)
        decided = opening(seen, now) if deed == "go on" else decide(seen, now)
        assert decided.wave.step in (at.step, at.step + 1)
        if decided.move is Move.OPEN and deed != "go on":
            assert not at.stopped
            assert not seen.missing()
            assert now - seen.served() >= timedelta(minutes=30)
        at = decided.wave
        if at.finished:
            assert at.step == 2
            return
