"""A staged version on its host: pulled ahead, shown where that is wished, live at its moment and not before."""

from datetime import timedelta

import pytest

from certline_shared import keys
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed, MovableClock

EC = "ecdsa-p256"
STAGE = '[[line.output]]\nkind = "combined"\npath = "{folder}/staging.pem"\nstage = true\n'


def chain(master: FakeMaster, version: int) -> str:
    return master.lines["shop"].versions[version][f"{EC}/chain.pem"]


def staging(bed: Bed) -> str | None:
    path = bed.folder / "staging.pem"
    return path.read_text() if path.exists() else None


@pytest.fixture
def ready(bed: Bed, master: FakeMaster) -> Bed:
    """A host with a live version, an output for staged ones, and a clock that can be moved with the master's."""
    bed.clock = master.clock = MovableClock()
    bed.configure(bed.line("shop", "shop.example.org") + STAGE.format(folder=bed.folder))
    master.set_line("shop", wants_next=True, names=("shop.example.org",))
    bed.settle()
    return bed


def pass_time(bed: Bed, hours: float) -> None:
    assert isinstance(bed.clock, MovableClock)
    bed.clock.ahead += timedelta(hours=hours)


def test_a_staged_version_is_pulled_shown_and_reported_and_what_is_live_is_untouched(
    ready: Bed, master: FakeMaster
) -> None:
    """peers.md 2.3, line 6: a new key and certificate appear under the staging names."""
    calls, live = ready.calls, ready.shown("shop")
    number = master.stage("shop", roll=True)
    outcome = ready.settle()
    assert not outcome.failures
    assert chain(master, number) in (staging(ready) or "")
    assert ready.shown("shop") == live
    assert ready.calls == calls, "its services are not concerned"
    told = {(one.version, one.state) for one in master.deployments if one.line == "shop"}
    assert {(number, "staged"), (1, "reloaded")} <= told
    assert not ready.turn().done


def test_it_goes_live_at_its_time_and_not_before(ready: Bed, master: FakeMaster) -> None:
    """peers.md 2.3, line 8: 24 h old it is left alone; at 25 h it takes the live one's place."""
    number = master.stage("shop", ready.clock.now() + timedelta(hours=25), roll=True)
    host = ready.host()
    live = ready.shown("shop")
    ready.settle(host)
    pass_time(ready, 24)
    outcome = ready.turn(host)
    assert ready.shown("shop") == live
    assert outcome.next_look is not None
    assert timedelta(0) < outcome.next_look - host.now() <= timedelta(hours=1)
    pass_time(ready, 1.1)
    ready.settle(host)
    assert chain(master, number) in ready.shown("shop")
    assert staging(ready) is None
    assert ready.reloads() == 2


def test_it_goes_live_at_its_time_with_the_master_away_and_after_a_restart(ready: Bed, master: FakeMaster) -> None:
    number = master.stage("shop", ready.clock.now() + timedelta(hours=25), roll=True)
    ready.settle()
    master.go_live("shop")
    ready.master_goes_away()
    pass_time(ready, 26)
    ready.settle()
    assert chain(master, number) in ready.shown("shop")
    master.ready_replies.clear()
    ready.settle()
    assert chain(master, number) in ready.shown("shop")
    report = master.last_report("shop")
    assert report is not None
    assert (report.version, report.state) == (number, "reloaded")
    assert ready.reloads() == 2


def test_it_goes_live_when_the_master_says_so_without_being_fetched_again(ready: Bed, master: FakeMaster) -> None:
    number = master.stage("shop", roll=True)
    ready.settle()
    fetched = len(master.asked("GET /v1/follower/lines"))
    master.go_live("shop")
    ready.settle()
    assert chain(master, number) in ready.shown("shop")
    assert len(master.asked("GET /v1/follower/lines")) == fetched


def test_the_live_version_is_renewed_meanwhile(ready: Bed, master: FakeMaster) -> None:
    """peers.md 2.3, line 11: a staged pair does not keep the live certificate from being renewed."""
    csrs = dict(master.lines["shop"].csrs)
    staged = master.stage("shop", ready.clock.now() + timedelta(hours=25), roll=True)
    ready.settle()
    master.set_line("shop", csrs=csrs)
    renewed = master.issue("shop")
    outcome = ready.settle()
    assert not outcome.failures
    assert chain(master, renewed) in ready.shown("shop")
    assert chain(master, staged) in (staging(ready) or "")
    pass_time(ready, 26)
    assert not ready.settle().failures
    assert chain(master, staged) in ready.shown("shop"), "its key is the newer one, whatever its number"


def test_the_next_key_moves_on_only_when_its_version_is_live(ready: Bed, master: FakeMaster) -> None:
    folder = ready.state_dir / "keys" / "shop"

    def pin(path: str) -> str:
        return keys.spki_sha256(keys.from_pem((folder / path).read_bytes()))

    before = (pin(f"{EC}.pem"), pin(f"next/{EC}.pem"))
    master.stage("shop", roll=True)
    ready.settle()
    assert (pin(f"{EC}.pem"), pin(f"next/{EC}.pem")) == before
    master.go_live("shop")
    ready.settle()
    assert (pin(f"previous/{EC}.pem"), pin(f"{EC}.pem")) == before


def test_one_that_is_called_off_is_shown_no_more(ready: Bed, master: FakeMaster) -> None:
    master.stage("shop", roll=True)
    ready.settle()
    live = ready.shown("shop")
    master.set_line("shop", staged=None)
    outcome = ready.settle()
    assert not outcome.failures
    assert staging(ready) is None
    assert ready.shown("shop") == live


def test_without_hours_to_wait_it_is_live_in_the_same_run(ready: Bed, master: FakeMaster) -> None:
    """peers.md 2.3, line 7: the new pair becomes live in the same run."""
    number = master.stage("shop", ready.clock.now() - timedelta(seconds=1), roll=True)
    ready.turn()
    assert chain(master, number) in ready.shown("shop")


def test_one_that_does_not_fit_the_manifest_is_not_kept(ready: Bed, master: FakeMaster) -> None:
    """peers.md 2.3, line 12: with half of a pair nothing goes live."""
    number = master.stage("shop", ready.clock.now() + timedelta(hours=25), roll=True)
    good = master.lines["shop"].versions[number]
    master.tampering.content = lambda content: type(content)(content.line, content.version, {})
    ready.turn()
    assert staging(ready) is None
    live = ready.shown("shop")
    pass_time(ready, 26)
    ready.turn()
    assert ready.shown("shop") == live
    master.tampering.content = None
    pass_time(ready, 1)
    ready.settle()
    assert good[f"{EC}/chain.pem"] in ready.shown("shop")
