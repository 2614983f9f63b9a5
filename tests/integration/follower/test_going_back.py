"""A master that went back in time, as a host sees it: refused until it says so by its epoch, then followed once."""

import logging

import pytest

from certline_shared.messages import Report
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed, killed_at


@pytest.fixture
def settled(bed: Bed, master: FakeMaster) -> Bed:
    """A host with version 2 of its line."""
    bed.settle()
    master.issue("shop")
    bed.settle()
    return bed


def go_back(master: FakeMaster) -> None:
    """It knows version 1 only, and counts from there."""
    with master.lock:
        del master.lines["shop"].versions[2]
        master.lines["shop"].live = 1
        master.serial = 0


def handed_back(master: FakeMaster) -> list[str]:
    return [asked for asked in master.asked("PUT") if "versions" in asked]


def test_it_is_refused_and_told_what_this_host_has_seen(settled: Bed, master: FakeMaster) -> None:
    seen, before = settled.host().state.serial, settled.shown("shop")
    go_back(master)

    outcome = settled.turn()

    assert "rollback: the manifest's serial" in str(outcome.away)
    last: Report = master.reports[-1]
    assert (last.manifest_serial, last.epoch, last.deployments) == (seen, 1, ())
    assert settled.shown("shop") == before
    assert handed_back(master) == []


def test_at_a_higher_epoch_it_is_shown_what_it_lost_and_then_followed(
    settled: Bed, master: FakeMaster, caplog: pytest.LogCaptureFixture
) -> None:
    before = settled.shown("shop")
    go_back(master)
    master.epoch, master.takes_back = 2, True
    with caplog.at_level(logging.WARNING, "certline.follower"):
        outcome = settled.settle()

    assert not outcome.failures
    assert settled.shown("shop") == before
    assert handed_back(master) == ["PUT /v1/follower/lines/shop/versions/2"]
    assert "the master was restored from a backup" in caplog.messages
    assert settled.host().state.epoch == 2


def test_a_master_of_a_release_that_takes_nothing_back_is_followed_all_the_same(
    settled: Bed, master: FakeMaster, caplog: pytest.LogCaptureFixture
) -> None:
    """The fake one answers 404."""
    go_back(master)
    master.epoch = 2
    with caplog.at_level(logging.WARNING, "certline.follower"):
        settled.settle()
        settled.turn()

    assert "the master does not take back a version" in caplog.messages
    assert settled.host().state.installed("shop") == settled.host().state.line("shop").pulled
    assert len(handed_back(master)) == 1


def test_what_it_knows_as_well_is_not_handed_back(settled: Bed, master: FakeMaster) -> None:
    master.epoch = 2
    settled.settle()
    assert handed_back(master) == []


def test_what_it_was_told_before_it_lost_that_is_told_again(settled: Bed, master: FakeMaster) -> None:
    go_back(master)
    master.epoch, master.takes_back = 2, True
    before = len(master.reports)
    settled.settle()
    (told,) = master.reports[before:]
    assert [(one.version, one.state) for one in told.deployments] == [(2, "reloaded")]
    assert told.keys == {}


def test_an_enrolment_at_a_restored_master_hands_nothing_back(settled: Bed, master: FakeMaster) -> None:
    go_back(master)
    master.epoch = 2
    settled.enrol(replace=True)
    settled.settle()
    assert handed_back(master) == []


def test_killed_after_it_handed_back_it_follows_what_the_master_took(settled: Bed, master: FakeMaster) -> None:
    before = settled.shown("shop")
    go_back(master)
    master.epoch = 2
    master.takes_back = True
    with killed_at("version.handed-back"):
        settled.turn()
    settled.settle()
    assert len(handed_back(master)) == 1
    assert settled.shown("shop") == before
    assert settled.host().state.epoch == 2
