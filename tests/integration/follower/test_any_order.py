"""Faults in any order: whatever happened, once it is over the host ends at the newest version, with its reload done."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import pytest

from certline_follower.failpoints import FAILPOINTS
from certline_shared.messages import DeploymentReport
from tests.fakes.chance import SeededChance
from tests.fakes.master import FakeMaster, Reply
from tests.integration.follower.host_bed import Bed, MovableClock
from tests.integration.follower.test_kills import follower

STEPS = 14
T = TypeVar("T")
PLACES = tuple(place for place in FAILPOINTS if not place.startswith("enrol."))


class Story:
    """A host, and what may happen to it."""

    def __init__(self, bed: Bed, master: FakeMaster, seed: int) -> None:
        self.bed, self.master = bed, master
        self._chance = SeededChance(str(seed))  # the same seed tells the same story
        master.clock = bed.clock = self.clock = MovableClock()

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self._chance.uniform(0, len(choices)))]

    def issue(self) -> None:
        self.master.issue("shop")

    def break_reload(self) -> None:
        self.bed.fail("web", "reload")

    def break_check(self) -> None:
        self.bed.fail("web", "check")

    def mend(self) -> None:
        for file in self.bed.folder.glob("fail-*"):
            file.unlink()

    def lose_the_master(self) -> None:
        self.master.ready_replies = [Reply(503)] * 2

    def lose_the_state(self) -> None:
        (self.bed.state_dir / "state.json").unlink(missing_ok=True)

    def later(self) -> None:
        self.clock.ahead += timedelta(minutes=self._chance.uniform(1, 31))

    def kill(self) -> None:
        follower(self.bed, "sync", "--timeout", "5", kill_at=self.one_of(PLACES))
        self.check()

    def turn(self) -> None:
        self.bed.turn()
        self.check()

    def check(self) -> None:
        """What is shown is one whole version that was issued."""
        if (self.bed.folder / "shop.pem").exists():
            chains = [files["ecdsa-p256/chain.pem"] for files in self.master.lines["shop"].versions.values()]
            assert sum(chain in self.bed.shown("shop") for chain in chains) == 1

    def any(self) -> Callable[[], None]:
        calm = [self.turn, self.turn, self.issue, self.kill, self.later, self.mend]
        return self.one_of([*calm, self.break_reload, self.break_check, self.lose_the_master, self.lose_the_state])


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happened_the_host_ends_at_the_newest_version(bed: Bed, master: FakeMaster, seed: int) -> None:
    story = Story(bed, master, seed)
    bed.settle()
    for _ in range(STEPS):
        story.any()()
    story.mend()
    master.ready_replies = []
    for _ in range(3):
        story.clock.ahead += timedelta(minutes=32)
        bed.settle()
    newest = master.lines["shop"].live
    assert newest
    assert master.lines["shop"].versions[newest]["ecdsa-p256/chain.pem"] in bed.shown("shop")
    assert master.last_report("shop") == DeploymentReport("shop", newest, "reloaded", goal="reloaded")
    assert bed.content() == bed.calls[-1].split()[2]
    calls = bed.calls
    bed.settle()
    assert bed.calls == calls
