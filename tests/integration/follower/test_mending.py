"""What an operator mended, on the master, in the settings or by a word, is taken up at once; the daemon is patient."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from certline_follower.choosing import Install
from certline_follower.deploying import deployed
from certline_follower.host import Host
from certline_follower.planning import Reload
from certline_follower.state import HeldBack, VersionRef
from certline_follower.syncing import Synced, sync
from certline_shared.messages import DeploymentReport
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed

GOOD, BAD = ("shop.example.org",), ("shop.example.org", "evil.example.org")


def synced(bed: Bed, timeout: float = 5) -> Synced:
    return sync(bed.host(), timeout)


# Wishes


def test_a_wish_that_goes_back_to_granted_names_is_refused_no_more(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    bed.configure(bed.line("shop", *BAD))
    assert synced(bed).exit_code == 3
    bed.configure(bed.line("shop", *GOOD))
    assert bed.host().state.line("shop").refusal is None
    assert synced(bed).exit_code == 0
    assert bed.host().state.line("shop").refusal is None
    assert len(master.asked("PUT")) == 2, "the master has this wish already"


def test_a_first_wish_is_put_again_when_the_file_goes_back_to_it(bed: Bed, master: FakeMaster) -> None:
    master.issue_at_once = False
    bed.turn()
    bed.configure(bed.line("shop", *BAD))
    bed.turn()
    bed.configure(bed.line("shop", *GOOD))
    bed.turn()
    assert len(master.asked("PUT")) == 3


def test_a_refused_wish_that_changes_is_asked_at_once(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("shop", *BAD))
    bed.turn()
    bed.configure(bed.line("shop", "shop.example.org", "mail.example.org"))
    assert not bed.settle().failures
    assert master.lines["shop"].names == ("shop.example.org", "mail.example.org")


def test_sync_puts_a_refused_wish_again_at_once_and_the_daemon_waits(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("shop", *BAD))
    host = bed.host()
    bed.turn(host)
    bed.turn(host)
    bed.turn()
    assert len(master.asked("PUT")) == 1
    assert synced(bed).exit_code == 3
    assert len(master.asked("PUT")) == 2


def test_any_news_from_the_master_ends_the_pause_of_a_refused_wish_once(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("shop", *BAD))
    host = bed.host()
    bed.turn(host)
    master.set_line("other", names=("other.example.org",))
    for _ in range(3):
        bed.turn(host)
    assert len(master.asked("PUT")) == 2


# Services


def owing(bed: Bed, master: FakeMaster) -> tuple[Host, Path]:
    """A host that owes web a reload and waits before it tries again; the file that makes it fail."""
    bed.configure(bed.line("shop", *GOOD), on_failure="warn")
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    failure = bed.fail("web", "reload")
    bed.turn(host)
    return host, failure


def reloaded(steps: list[object]) -> bool:
    return any(isinstance(step, Reload) for step in steps)


def test_sync_tries_an_owed_reload_at_once(bed: Bed, master: FakeMaster) -> None:
    _, failure = owing(bed, master)
    failure.unlink()
    done = synced(bed)
    assert reloaded([*done.done])
    assert done.exit_code == 10
    assert master.last_report("shop") == DeploymentReport("shop", 2, "reloaded", goal="reloaded")


def test_sync_tries_an_owed_reload_once_and_leaves_the_next_try_to_its_pause(bed: Bed, master: FakeMaster) -> None:
    owing(bed, master)
    calls = len(bed.calls)
    done = synced(bed)
    assert done.exit_code == 4
    assert len(bed.calls) == calls + 2  # check, reload
    assert not reloaded([*bed.turn().done])
    assert len(bed.calls) == calls + 2


def test_the_daemon_keeps_its_pause_when_it_starts_under_the_same_settings(bed: Bed, master: FakeMaster) -> None:
    _, failure = owing(bed, master)
    failure.unlink()
    assert not reloaded([*bed.turn().done])


def test_the_daemon_tries_at_once_when_the_service_changed_in_the_settings(bed: Bed, master: FakeMaster) -> None:
    owing(bed, master)
    before = bed.file.read_text()
    bed.file.write_text(before.replace('"reload", "web"', '"reload", "mended"'))
    assert reloaded([*bed.turn().done])
    assert master.last_report("shop") == DeploymentReport("shop", 2, "reloaded", goal="reloaded")


def test_sync_leaves_a_version_that_is_to_blame_and_deploy_tries_it_at_once(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    failure = bed.fail("web", "reload")
    bed.turn(host)
    failure.unlink()
    assert not any(isinstance(step, Install) for step in bed.turn().done)
    done = synced(bed)
    assert not any(isinstance(step, Install) for step in done.done)
    assert done.exit_code == 4
    assert deployed(bed.host(), ["shop"])["exit_code"] == 0
    assert master.last_report("shop") == DeploymentReport("shop", 2, "reloaded", goal="reloaded")


def test_a_version_that_was_held_back_and_is_offered_no_more_fails_no_sync(bed: Bed) -> None:
    bed.settle()
    host = bed.host()
    held_back = HeldBack(VersionRef(9), host.later(None, "it cannot be read"))
    host.save_line("shop", replace(host.state.line("shop"), held_back=held_back))
    assert synced(bed).exit_code == 0


# Outputs


def remove(path: Path) -> None:
    path.unlink()


def point_elsewhere(path: Path) -> None:
    target = path.readlink()
    path.unlink()
    path.symlink_to(target.with_name("other.pem"))


@pytest.mark.parametrize("spoil", [remove, point_elsewhere])
def test_an_output_that_was_spoilt_by_hand_is_put_back_and_its_service_reloaded(
    bed: Bed, spoil: Callable[[Path], None]
) -> None:
    bed.configure(
        bed.line("mail", "mail.example.org", services=["smtp"]), bed.line("shop", *GOOD), services=["web", "smtp"]
    )
    bed.settle()
    path = bed.folder / "shop.pem"
    shown, target = path.read_text(), path.readlink()
    spoil(path)
    done = synced(bed)
    assert done.exit_code == 10
    assert (path.read_text(), path.readlink()) == (shown, target)
    assert (bed.reloads("web"), bed.reloads("smtp")) == (2, 1)
    assert synced(bed).exit_code == 0


def test_a_copy_that_was_removed_or_cut_is_put_back(bed: Bed) -> None:
    bed.configure(bed.line("shop", *GOOD) + 'as = "copy"\n')
    bed.settle()
    path = bed.folder / "shop.pem"
    shown = path.read_text()
    for spoil in (remove, lambda path: path.write_text(shown[:-1])):
        spoil(path)
        assert synced(bed).exit_code == 10
        assert path.read_text() == shown
        assert path.stat().st_mode & 0o777 == 0o600
    assert bed.reloads() == 3


def test_what_an_output_shows_is_made_anew_when_it_was_removed_from_the_state(bed: Bed) -> None:
    bed.settle()
    path = bed.folder / "shop.pem"
    shown = path.read_text()
    path.resolve().unlink()
    assert synced(bed).exit_code == 10
    assert path.read_text() == shown


def test_the_daemon_puts_back_an_output_in_its_next_turn_and_without_the_master(bed: Bed) -> None:
    host = bed.host()
    bed.settle(host)
    (bed.folder / "shop.pem").unlink()
    bed.master_goes_away()
    outcome = bed.turn(host)
    assert outcome.away
    assert "BEGIN CERTIFICATE" in bed.shown("shop")
    assert bed.reloads() == 2


def test_an_output_that_cannot_be_put_back_is_told_and_waits_for_its_time(bed: Bed) -> None:
    bed.configure(bed.line("shop", *GOOD, output=str(bed.folder / "tls" / "shop.pem")))
    (bed.folder / "tls").mkdir()
    host = bed.host()
    bed.settle(host)
    (bed.folder / "tls" / "shop.pem").unlink()
    (bed.folder / "tls").rmdir()
    assert "tls is missing: create it" in bed.turn(host).failures[0]
    again = bed.turn(host)
    assert (again.failures, again.held_back) == ([], True)
    assert bed.reloads() == 1
    (bed.folder / "tls").mkdir()
    assert synced(bed).exit_code == 10
    assert bed.reloads() == 2


def test_a_file_of_somebody_else_in_the_place_of_a_link_is_left_and_told(bed: Bed) -> None:
    bed.settle()
    path = bed.folder / "shop.pem"
    path.unlink()
    path.write_text("mine")
    done = synced(bed)
    assert done.exit_code == 4
    assert "move it away" in done.failures[0]
    assert path.read_text() == "mine"


def test_a_failed_mend_does_not_put_back_a_former_version(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    master.issue("shop")
    bed.settle()
    shown = bed.shown("shop")
    (bed.folder / "shop.pem").unlink()
    bed.fail("web", "reload")
    assert synced(bed).exit_code == 4
    assert bed.shown("shop") == shown


def test_a_live_generation_that_is_damaged_is_told_and_keeps_nothing_else_back(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    (bed.state_dir / "live/shop/ecdsa-p256/fullchain.pem").write_bytes(b"")
    bed.file.write_text(bed.file.read_text() + '[[services.web.probe]]\nconnect = "127.0.0.1:9"\n')
    outcome = bed.turn()
    assert "it cannot be told what it should serve: generation 1 is damaged" in outcome.failures[0]
    told = master.last_report("shop")
    assert told
    assert "generation 1 is damaged" in (told.error or "")
