"""A power loss after any step of an installation leaves the old or the new version whole, and is mended (B2)."""

from pathlib import Path

import pytest

from tests.integration.installing import Host
from tests.integration.power_loss import Disk, calls, recording
from tests.testbed.parts import require


@pytest.mark.parametrize("names_last", [False, True], ids=["names are lost too", "only content is lost"])
@pytest.mark.parametrize("back", [False, True], ids=["installing", "going back"])
def test_old_or_new_whatever_was_not_synced_is_lost(tmp_path: Path, names_last: bool, back: bool) -> None:
    require("strace")
    folder, log = tmp_path / "host", tmp_path / "strace.log"
    folder.mkdir()
    host = Host.make(folder)
    host.install(1)
    if back:
        host.install(2)
    command = host.command(2, *([1] if back else []))
    disk = Disk(folder)
    assert host.run([*recording(log), *command]).returncode == 0
    old, new = (2, 1) if back else (1, 2)
    seen, steps = set(), 0
    for call in calls(log):
        if not disk.apply(call):
            continue
        steps += 1
        disk.lose_power(names_last=names_last)
        assert host.live_version() in (old, new), call
        assert host.linked_version() in (old, new), call
        host.installer().recover()
        shown = {host.live_version(), host.linked_version(), host.copied_version()}
        assert len(shown) == 1, call
        assert host.leftovers() == [str(folder / "materials-2.json")] or host.leftovers() == [], call
        seen |= shown
    assert seen == {old, new}
    assert steps > 20
    assert shown == {new}, "once it has ended it lasts"
