"""A whole follower against a small real master: what a host does to get, install, renew and report."""

from certline_follower.planning import Install, Pull, Reload
from certline_shared.messages import DeploymentReport
from tests.fakes.master import FakeMaster
from tests.unit.follower.host_bed import Bed


def test_a_host_asks_pulls_installs_reloads_and_reports(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    outcome = bed.settle(host)
    assert not outcome.failures
    assert "BEGIN CERTIFICATE" in bed.shown("shop")
    assert bed.reloads() == 1
    assert master.last_report("shop") == DeploymentReport("shop", 1, "reloaded")


def test_a_turn_with_nothing_new_does_nothing(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    calls, asked = bed.calls, len(master.asked(""))
    state = host.keeper.path.stat().st_mtime_ns
    outcome = bed.turn()
    assert not outcome.done
    assert bed.calls == calls
    assert len(master.asked("")) == asked + 1
    assert host.keeper.path.stat().st_mtime_ns == state


def test_a_new_version_is_pulled_installed_and_reloaded_once(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    before = bed.shown("shop")
    master.issue("shop")
    outcome = bed.turn(host)
    assert [type(step) for step in outcome.done][:3] == [Pull, Install, Reload]
    assert bed.shown("shop") != before
    assert bed.reloads() == 2
    assert master.last_report("shop") == DeploymentReport("shop", 2, "reloaded")
