"""An installation that is killed, or whose disk fails, ends as all old or all new, and then converges (B1, I1)."""

import itertools
import re
import shutil
import signal
from pathlib import Path

import pytest

from certline_follower.disk import FAILPOINTS
from certline_follower.faults import InstallFault
from certline_follower.kept import PRUNE_FAILPOINTS
from certline_follower.swapping import UNDO_FAILPOINTS
from tests.integration.installing import SETTINGS, Host, reader
from tests.testbed.parts import require

RENAMES = "?rename,renameat,?renameat2"


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host on which version 1 is installed."""
    made = Host.make(tmp_path)
    made.install(1)
    return made


def check_recovered(host: Host, *versions: int) -> None:
    """After a restart everything is of one version, nothing is left over, and the next installation converges."""
    host.installer().recover()
    shown = {host.live_version(), host.copied_version(), host.linked_version()}
    assert len(shown) == 1
    assert shown <= set(versions)
    assert host.leftovers() == []
    host.install(versions[-1])
    assert (host.live_version(), host.copied_version(), host.linked_version()) == (versions[-1],) * 3
    assert host.leftovers() == []


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_kill_at_every_passing_of_every_step_leaves_old_or_new(failpoint: str, tmp_path: Path) -> None:
    for nth in itertools.count(1):
        (tmp_path / str(nth)).mkdir()
        host = Host.make(tmp_path / str(nth))
        host.install(1)
        displaced = host.folder / "copies" / "new.pem"  # an output that displaces a file of somebody else
        displaced.write_text("the admin's own")
        host.write_settings(SETTINGS + '[[line.output]]\nkind = "chain"\npath = "copies/new.pem"\nas = "copy"\n')
        command = host.command(2)
        with reader(host, [1, 2]) as seen:
            killed = host.run(command, f"{failpoint}:{nth}")
            if killed.returncode == -signal.SIGKILL:
                check_recovered(host, 1, 2)
        assert seen
        if killed.returncode == 0:
            assert nth > 1, "the step was never reached"
            return
        assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_kill_at_any_step_of_the_very_first_installation_is_mended(failpoint: str, tmp_path: Path) -> None:
    host = Host.make(tmp_path)
    killed = host.run(host.command(1), failpoint)
    if failpoint == "install.after_each_backup":  # nothing is displaced here
        assert killed.returncode == 0
        return
    assert killed.returncode == -signal.SIGKILL
    host.installer().recover()
    assert {host.live_version(), host.copied_version(), host.linked_version()} in ({None}, {1})
    host.install(1)
    assert (host.live_version(), host.copied_version(), host.linked_version(), host.leftovers()) == (1, 1, 1, [])


@pytest.mark.parametrize("failpoint", [name for name in FAILPOINTS if "each_o" in name or "swap" in name])
def test_a_kill_during_a_rollback_is_mended(failpoint: str, host: Host) -> None:
    host.install(2)
    killed = host.run(host.command(2, 1), failpoint)
    assert killed.returncode == -signal.SIGKILL
    host.installer().recover()
    assert (host.live_version(), host.copied_version(), host.linked_version(), host.leftovers()) == (1, 1, 1, [])
    assert host.installer().numbers() == [1, 2]


@pytest.mark.parametrize("failpoint", PRUNE_FAILPOINTS)
def test_a_kill_during_pruning_leaves_no_half_generation(failpoint: str, host: Host) -> None:
    host.write_settings("keep = 1\n" + SETTINGS)
    killed = host.run(host.command(2), failpoint)
    assert killed.returncode == -signal.SIGKILL
    host.installer().recover()
    host.installer().prune()
    assert (host.installer().numbers(), host.live_version(), host.leftovers()) == ([2], 2, [])


def test_a_recovery_that_is_killed_is_recovered_from(host: Host) -> None:
    for failpoint in ("install.after_journal", "install.after_each_staged:2", "install.after_each_output"):
        killed = host.run(host.command(2), failpoint)
        assert killed.returncode == -signal.SIGKILL
    check_recovered(host, 1, 2)


def test_a_destination_whose_directory_went_while_the_follower_was_down_stops_nothing(host: Host) -> None:
    killed = host.run(host.command(2), "install.after_each_staged:2")
    assert killed.returncode == -signal.SIGKILL
    shutil.rmtree(host.folder / "copies")
    host.installer().recover()
    assert (host.live_version(), host.linked_version(), host.leftovers()) == (1, 1, [])
    with pytest.raises(InstallFault, match="copies is missing: create it"):
        host.install(2)
    (host.folder / "copies").mkdir()
    assert host.install(2)
    assert (host.live_version(), host.copied_version()) == (2, 2)


def injected(host: Host, calls: str, fault: str, version: int = 2) -> tuple[list[str], Path]:
    """The command that installs with a fault in one of its system calls, and where strace writes what it did."""
    require("strace")
    log = host.folder / "strace.log"
    trace = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}"]
    return trace + host.command(version), log


def test_a_disk_that_fails_any_one_sync_leaves_the_former_version_or_the_next_run_ends_it(tmp_path: Path) -> None:
    for nth in itertools.count(1):
        (tmp_path / str(nth)).mkdir()
        host = Host.make(tmp_path / str(nth))
        host.install(1)
        command, log = injected(host, "fsync", f"error=EIO:when={nth}")
        with reader(host, [1, 2]):
            ended = host.run(command)
        if "INJECTED" not in log.read_text():
            assert (ended.returncode, nth > 20) == (0, True)
            return
        assert ended.returncode == 3, ended.stdout + ended.stderr
        assert "the disk reported an error: check the disk" in ended.stdout
        if host.live_version() == 1:
            assert (host.copied_version(), host.linked_version()) == (1, 1)
        log.unlink()
        check_recovered(host, 1, 2)


def test_a_rename_that_fails_is_undone_at_once(tmp_path: Path) -> None:
    for nth in itertools.count(1):
        (tmp_path / str(nth)).mkdir()
        host = Host.make(tmp_path / str(nth))
        host.install(1)
        command, log = injected(host, RENAMES, f"error=EROFS:when={nth}")
        ended = host.run(command)
        if "INJECTED" not in log.read_text():
            assert (ended.returncode, nth > 4) == (0, True)
            return
        assert (ended.returncode, "read-only" in ended.stdout) == (3, True)
        log.unlink()
        (host.folder / "materials-2.json").unlink()
        assert (host.live_version(), host.copied_version(), host.linked_version()) == (1, 1, 1)
        assert (host.installer().numbers(), host.leftovers()) == ([1], [])
        check_recovered(host, 1, 2)


def test_a_kill_in_any_rename_leaves_old_or_new(tmp_path: Path) -> None:
    for nth in itertools.count(1):
        (tmp_path / str(nth)).mkdir()
        host = Host.make(tmp_path / str(nth))
        host.install(1)
        command, log = injected(host, RENAMES, f"signal=KILL:when={nth}")
        with reader(host, [1, 2]):
            ended = host.run(command)
        log.unlink()
        if ended.returncode == 0:
            assert nth > 4
            return
        assert ended.returncode == -signal.SIGKILL
        check_recovered(host, 1, 2)


@pytest.mark.parametrize("failpoint", UNDO_FAILPOINTS)
def test_a_kill_while_undoing_is_mended_too(failpoint: str, host: Host) -> None:
    command, log = injected(host, RENAMES, "error=EROFS:when=3")  # the first output that is shown
    killed = host.run(command, failpoint)
    assert killed.returncode == -signal.SIGKILL
    assert "INJECTED" in log.read_text()
    log.unlink()
    check_recovered(host, 1, 2)


def test_an_undoing_that_fails_says_so_and_the_next_run_ends_it(host: Host) -> None:
    command, log = injected(host, RENAMES, "error=EROFS:when=4+")  # the second output, and putting the first back
    ended = host.run(command)
    assert ended.returncode == 3
    assert "nor can it be undone now" in ended.stdout
    assert "the next run tries again" in ended.stdout
    log.unlink()
    check_recovered(host, 1, 2)


def test_owner_and_mode_come_before_content_and_every_file_is_synced(host: Host) -> None:
    require("strace")
    log = host.folder / "strace.log"
    trace = ["strace", "-f", "-qq", "-y", "-o", str(log), "-e", "trace=openat,fchmod,write,fsync"]
    assert host.run(trace + host.command(2)).returncode == 0
    calls = re.findall(r"(fchmod|write|fsync)\(\d+<([^>]*)>", log.read_text())
    made = {path for call, path in calls if call == "fchmod" and ("/.new-" in path or "/.certline-" in path)}
    files = {path for path in made if path.endswith((".pem", ".key", ".json", ".new"))}
    assert len(files) == 1 + 2 * 2 * 5 + 4 + 2  # the record, both lines, four outputs, two copies
    for file in files:
        assert [call for call, path in calls if path == file] == ["fchmod", "write", "fsync"]
