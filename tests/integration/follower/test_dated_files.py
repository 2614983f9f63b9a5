"""A host with dated files and a link to the newest, as scripts of one's own keep them, through good and bad turns."""

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed, MovableClock

LINE = '[[line]]\nname = "shop"\nnames = ["shop.example.org"]\nservices = ["web"]\npreset = "dated"\ndir = "tls"\n'


@dataclass
class DatedHost:
    """A host of that kind on which version 1 is installed."""

    bed: Bed
    master: FakeMaster
    clock: MovableClock

    def issue(self) -> None:
        """The next version, a month later."""
        self.clock.ahead += timedelta(days=30)
        self.master.issue("shop")

    def served(self) -> tuple[bytes, bytes]:
        """What a service finds by the link, and in the chain's file."""
        return tuple((self.bed.folder / "tls" / name).read_bytes() for name in ("shop.pem", "shop-chain.pem"))  # type: ignore[return-value] # of two

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.bed.folder / "tls").iterdir())


@pytest.fixture
def host(bed: Bed, master: FakeMaster) -> DatedHost:
    bed.configure(LINE)
    made = DatedHost(bed, master, MovableClock())
    master.clock = bed.clock = made.clock
    bed.settle()
    return made


def test_a_new_version_is_a_new_file_that_the_link_leads_to(host: DatedHost) -> None:
    """2.2 lines 4 and 8."""
    before, former = host.files(), host.served()
    host.issue()
    host.bed.settle()
    assert set(before) < set(host.files())
    assert len(host.files()) == len(before) + 1
    assert host.served()[0] != former[0]
    assert host.bed.reloads() == 2


@pytest.mark.parametrize("step", ["check", "reload"])
def test_a_failure_leaves_link_and_chain_on_the_former_certificate_and_is_told(host: DatedHost, step: str) -> None:
    """2.2 line 5: `sync` ends with 4 for each such failure."""
    former = host.served()
    host.issue()
    if step == "check":
        host.bed.fail_after_next_install("web", step)
    else:
        host.bed.fail("web", step)
    assert "the former generation is back" in host.bed.turn().failures[0]
    assert host.served() == former


def test_a_version_that_cannot_be_pulled_leaves_nothing_behind(host: DatedHost) -> None:
    """2.2 line 5, 2.3 line 13: the live files are unchanged, no temporary file stays."""
    before, former = host.files(), host.served()
    host.issue()
    host.master.tampering.content = lambda content: replace(content, files={})
    assert "version 2 is not taken" in host.bed.turn().failures[0]
    assert (host.files(), host.served()) == (before, former)
    assert not [path for path in host.bed.folder.rglob(".*") if path.name.endswith((".new", ".tmp"))]


def test_an_order_that_failed_changes_no_file(host: DatedHost) -> None:
    """2.3 line 13."""
    before, former = host.files(), host.served()
    host.master.lines["shop"].error = "the CA refuses the order"
    host.bed.settle()
    assert (host.files(), host.served()) == (before, former)
    assert host.bed.reloads() == 1
