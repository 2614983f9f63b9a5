"""A host whose clock is wrong works by the master's time, says so, and tells the master by how much (E1)."""

from datetime import UTC, datetime, timedelta

import pytest

from certline_follower.showing import status, status_text
from certline_shared.clock import SystemClock
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed, MovableClock

SHOP = "shop.example.org"
TEN_YEARS = timedelta(days=3652)
HOUR = timedelta(hours=1)


def since_1970() -> timedelta:
    return datetime(1970, 1, 1, tzinfo=UTC) - SystemClock().now()


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, TEN_YEARS, since_1970()], ids=["+1 h", "-1 h", "+10 years", "1970"])
def test_a_host_with_a_wrong_clock_enrols_gets_its_certificate_and_its_renewal(
    fresh_bed: Bed, master: FakeMaster, ahead: timedelta
) -> None:
    bed = fresh_bed
    bed.clock = MovableClock(ahead)
    bed.enrol()
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    bed.settle(host)
    told = master.last_report("shop")
    assert told
    assert (told.version, told.state, told.error) == (2, "reloaded", None)
    (skew,) = [report.skew for report in master.reports if report.skew is not None]
    assert abs(skew - ahead.total_seconds()) < 30
    assert any(f"s {'ahead of' if skew > 0 else 'behind'} the master's" in line for line in shown(bed))


def shown(bed: Bed) -> list[str]:
    return list(status_text(status(bed.host(read_only=True).settings)))


def test_expiry_is_judged_by_the_masters_time_and_that_is_said(bed: Bed, master: FakeMaster) -> None:
    bed.configure('[[line]]\nname = "shop"\nnames = ["shop.example.org"]\nservices = ["web"]\n')
    text = bed.file.read_text()
    bed.file.write_text('windows = ["Sat 02:00-02:01 UTC", "Wed 02:00-02:01 UTC"]\n' + text)
    bed.clock = clock = MovableClock(timedelta(days=89))
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    outcome = bed.turn(host)
    assert any("waits for its window" in note for note in outcome.notes), "by this clock it ends within a day"
    clock.ahead = TEN_YEARS
    notes = bed.turn(host).notes
    assert any("certificates are judged by the master's time" in note for note in notes)
    assert any("no more by this host's clock" in note for note in notes)
    master.clock = MovableClock(timedelta(days=89, hours=12))
    bed.settle(host)
    told = master.last_report("shop")
    assert told
    assert (told.version, told.state) == (2, "reloaded")


def test_a_clock_that_is_mended_is_told_again(bed: Bed, master: FakeMaster) -> None:
    bed.clock = clock = MovableClock(HOUR)
    host = bed.host()
    bed.settle(host)
    clock.ahead = timedelta(0)
    bed.settle(host)
    told = [report.skew for report in master.reports if report.skew is not None]
    assert [round(skew / 3600) for skew in told] == [1, 0]


def test_a_report_names_the_epoch_that_is_followed(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    assert {report.epoch for report in master.reports} == {master.epoch}
