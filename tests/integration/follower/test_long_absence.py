"""A host that was unplugged for eight weeks, with an expired certificate and a clock that stood still (B10)."""

from datetime import UTC, datetime, timedelta

import pytest

from certline_shared import certificates
from certline_shared.clock import SystemClock
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed, MovableClock

WEEKS = timedelta(weeks=8)
TO_1970 = datetime(1970, 1, 2, tzinfo=UTC) - SystemClock().now()

CLOCKS = {
    "right": WEEKS,
    "stopped when it was unplugged": timedelta(0),
    "at its start, in 1970": TO_1970,
    "ten years ahead": timedelta(days=3650),
}


@pytest.fixture(params=["own key", "the master's key"])
def unplugged(request: pytest.FixtureRequest, bed: Bed, master: FakeMaster) -> Bed:
    """A host with a certificate for six weeks, off while the master issued two more and announced another API pin."""
    master.clock = MovableClock()
    master.issued_days = 42
    if request.param == "the master's key":
        master.share("shop", "shop.example.org")
        bed.configure(bed.line("shop"))
    bed.settle()
    master.clock = MovableClock(WEEKS)
    for _ in range(2):
        master.issue("shop")
    since = SystemClock().now() - timedelta(days=365)
    master.present(master.api_authority.server_chain(since=since, until=since + timedelta(days=90)))
    return bed


@pytest.mark.parametrize("clock", CLOCKS)
def test_it_comes_back_by_itself_and_installs_the_newest_version_at_its_first_poll(
    unplugged: Bed, master: FakeMaster, clock: str
) -> None:
    newest = max(master.lines["shop"].versions)
    expired = certificates.read_chain(unplugged.shown("shop").partition("END PRIVATE KEY-----\n")[2])
    assert expired.not_after < master.clock.now()
    reloads, asked = unplugged.reloads(), len(master.asked("GET /v1/follower/manifest"))
    unplugged.clock = MovableClock(CLOCKS[clock])
    outcome = unplugged.turn()
    assert (outcome.away, outcome.failures) == (None, [])
    assert all("clock" in note for note in outcome.notes)
    assert bool(outcome.notes) is (clock != "right"), "a wrong clock is told"
    assert master.lines["shop"].versions[newest]["ecdsa-p256/chain.pem"] in unplugged.shown("shop")
    assert unplugged.reloads() == reloads + 1
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state, report.error) == (newest, "reloaded", None)
    repeated = len(master.asked("GET /v1/follower/manifest")) - asked
    assert repeated == (1 if clock == "right" else 2), "a wrong clock costs one request more"
