"""Which versions are installed, which wait for their window, and when one that is to blame is tried again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_follower.choosing import try_again_at
from certline_follower.planning import Found, Plan, Probe, plan
from certline_follower.reports import Report, probe_mark
from certline_follower.service_settings import Service, Target
from certline_follower.settings import Settings
from certline_follower.state import Debt, Probed, Retry, State, Wait
from certline_shared import windows
from certline_shared.messages import DeploymentReport, time_text
from tests.unit.follower.test_planning import PAST, WISH, asked, at_rest, manifest, offered, ref, steps

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
SATURDAY = datetime(2026, 11, 21, 2, tzinfo=UTC)
NIGHT = (windows.read("Sat 02:00-05:00 UTC"),)
LONG = {"shop": NOW + timedelta(days=30)}
TARGET = Target("127.0.0.1", 443)


def with_service(*, probes: tuple[Target, ...] = (), own: tuple[windows.Window, ...] = ()) -> Settings:
    service = Service("web", ("true",), None, 60, "rollback", probes, windows=own)
    return replace(WISH, services={"web": service})


def renewed() -> State:
    return at_rest().with_line("shop", replace(asked(), pulled=ref(2)))


def made(settings: Settings, state: State, found: Found, *, rollback: bool = False) -> Plan:
    return plan(settings, state, manifest(offered(version=2, rollback=rollback)), NOW, found=found)


@pytest.mark.parametrize(
    "settings", [replace(WISH, windows=NIGHT), with_service(own=NIGHT)], ids=["of the host", "of the service"]
)
def test_a_new_version_waits_for_its_window_and_nothing_failed(settings: Settings) -> None:
    waiting = made(settings, renewed(), Found(ends=LONG))
    assert "Install" not in steps(waiting)
    assert (waiting.next_look, waiting.held_back) == (SATURDAY, False)
    assert waiting.waits == {"shop": Wait(2, time_text(SATURDAY), "it waits for its window (Sat 02:00-05:00 UTC)")}
    (report,) = [step for step in waiting.steps if isinstance(step, Report)]
    assert report.deployments == (DeploymentReport("shop", 2, "pulled", goal="reloaded", retry_at=time_text(SATURDAY)),)


def test_a_services_window_goes_before_the_hosts() -> None:
    day = replace(with_service(own=(windows.read("Fri 11:00-13:00 UTC"),)), windows=NIGHT)
    assert steps(made(day, renewed(), Found(ends=LONG))) == ["Install"]


@pytest.mark.parametrize("left", [timedelta(0), timedelta(hours=10), timedelta(hours=37)])
def test_no_window_is_waited_for_when_the_certificate_would_end_before_it_or_soon_after(left: timedelta) -> None:
    forward = made(replace(WISH, windows=NIGHT), renewed(), Found(ends={"shop": NOW + left}))
    assert steps(forward) == ["Install"]
    assert any("does not wait for its window" in note and "by the master's time" in note for note in forward.notes)


def test_what_an_operator_forces_a_first_version_and_a_rollback_wait_for_no_window() -> None:
    night = replace(WISH, windows=NIGHT)
    assert steps(made(night, renewed(), Found(ends=LONG, forced=frozenset({"shop"})))) == ["Install"]
    assert steps(made(night, renewed(), Found(ends=LONG), rollback=True)) == ["Install"]
    first = State(lines={"shop": replace(asked(), pulled=ref(2))})
    assert steps(made(night, first, Found())) == ["Install"]


def test_an_owed_reload_waits_for_no_window() -> None:
    owing = replace(at_rest(2), debts={"web": Debt(1, ("shop",), retry=PAST)})
    assert steps(made(replace(WISH, windows=NIGHT), owing, Found(ends=LONG))) == ["Reload"]


def test_reloads_come_before_the_next_installation_so_that_each_is_blamed_for_its_own() -> None:
    owing = replace(renewed(), debts={"web": Debt(1, ("shop",))})
    assert steps(made(WISH, owing, Found()))[:2] == ["Reload", "Install"]


def test_what_is_installed_and_was_not_seen_at_its_place_is_looked_for() -> None:
    settings, state = with_service(probes=(TARGET,)), at_rest(2)
    (probe,) = made(settings, state, Found()).steps
    assert isinstance(probe, Probe)
    assert (probe.service, probe.lines) == ("web", ("shop",))
    mark = probe_mark(settings.services["web"], "shop", state)
    seen = state.with_line("shop", replace(state.line("shop"), probed={"web": Probed(mark, True, {"here": "ab"})}))
    (report,) = made(settings, seen, Found()).steps
    assert isinstance(report, Report)
    assert report.deployments == (DeploymentReport("shop", 2, "served", goal="served", seen={"here": "ab"}),)


def test_another_place_to_look_at_is_looked_at_anew() -> None:
    settings, state = with_service(probes=(TARGET,)), at_rest(2)
    mark = probe_mark(settings.services["web"], "shop", state)
    state = state.with_line("shop", replace(state.line("shop"), probed={"web": Probed(mark, True)}))
    other = with_service(probes=(TARGET, Target("::1", 443)))
    assert steps(made(other, state, Found())) == ["Probe"]


def test_a_probe_that_is_owed_is_reported_as_reloaded_with_its_error_and_the_next_try() -> None:
    retry = Retry(1, time_text(NOW + timedelta(minutes=1)), "its probe failed")
    owing = replace(at_rest(2), debts={"web": Debt(1, ("shop",), retry=retry, reloaded=True)})
    (report,) = made(with_service(probes=(TARGET,)), owing, Found()).steps
    assert isinstance(report, Report)
    told = DeploymentReport("shop", 2, "reloaded", "its probe failed", goal="served", retry_at=retry.due)
    assert report.deployments == (told,)


def test_a_clocks_error_is_told_first_and_when_it_changes() -> None:
    state = at_rest(2)
    told = [step.skew for step in made(WISH, state, Found(skew=0)).steps if isinstance(step, Report)]
    assert told == [0]
    assert made(WISH, replace(state, skew=0), Found(skew=30)).steps == ()
    told = [
        step.skew for step in made(WISH, replace(state, skew=0), Found(skew=-3600)).steps if isinstance(step, Report)
    ]
    assert told == [-3600]


def test_what_is_not_valid_by_this_hosts_clock_is_said() -> None:
    behind = made(WISH, at_rest(2), Found(starts={"shop": NOW - timedelta(hours=1)}, ends=LONG, skew=-7200))
    assert any("7200 s behind the master's" in note for note in behind.notes)
    assert any("not yet by this host's clock" in note for note in behind.notes)
    ahead = made(WISH, at_rest(2), Found(ends=LONG, skew=40 * 86_400))
    assert any("no more by this host's clock" in note for note in ahead.notes)


@given(st.integers(1, 400), st.floats(0, 1.2))
def test_a_blamed_version_is_tried_when_little_is_left_and_at_the_latest_at_the_end(days: int, passed: float) -> None:
    start, life = NOW, timedelta(days=days)
    now = start + life * passed
    end, due = start + life, try_again_at(start, start + life, now)
    assert due > now
    assert due <= max(end, now + timedelta(minutes=10))
    if now < end - min(timedelta(days=7), life / 10):
        assert due == end - min(timedelta(days=7), life / 10)


def test_a_blamed_version_is_not_due_before_its_time_however_far_that_is() -> None:
    retry = Retry(1, time_text(NOW + timedelta(days=80)), "x", blamed=True)
    assert not retry.is_due(NOW)
    assert replace(retry, blamed=False).is_due(NOW), "what a wrong clock wrote"
