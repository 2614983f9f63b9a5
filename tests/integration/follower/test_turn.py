"""A whole follower against a small real master: what a host does to get, install, renew and report."""

from certline_follower.choosing import Install
from certline_follower.planning import Reload
from certline_follower.pulling import Pull
from certline_shared.messages import DeploymentReport
from tests.fakes.master import FakeMaster, Reply
from tests.integration.follower.host_bed import Bed


def test_a_host_asks_pulls_installs_reloads_and_reports(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    outcome = bed.settle(host)
    assert not outcome.failures
    assert "BEGIN CERTIFICATE" in bed.shown("shop")
    assert bed.reloads() == 1
    assert master.last_report("shop") == DeploymentReport("shop", 1, "reloaded", goal="reloaded")


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
    assert master.last_report("shop") == DeploymentReport("shop", 2, "reloaded", goal="reloaded")


def test_a_line_that_the_operator_made_gets_its_names_from_the_master(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("house"))
    master.set_line("house", names=("house.example.org",))
    outcome = bed.settle()
    assert not outcome.failures
    assert "BEGIN CERTIFICATE" in bed.shown("house")


def test_a_line_without_names_that_the_master_lacks_is_told_and_nothing_is_asked(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("house"))
    outcome = bed.turn()
    assert outcome.refused == ("house",)
    assert "line house is not on the master for this host" in outcome.notes[0]
    assert not master.asked("PUT")


def test_a_refusal_names_the_name_without_a_grant_and_is_not_asked_again(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("shop", "shop.example.org", "evil.example.org"))
    host = bed.host()
    first = bed.turn(host)
    assert "line shop is refused: no grant for evil.example.org" in first.notes[0]
    second = bed.turn(host)
    assert second.refused == ("shop",)
    assert "no grant for evil.example.org" in second.notes[0]
    assert len(master.asked("PUT")) == 1


def test_a_refused_wish_is_put_again_when_the_grants_change(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("shop", "shop.example.org", "new.example.org"))
    host = bed.host()
    bed.turn(host)
    master.grant("shop.example.org", "new.example.org")
    assert not bed.settle(host).failures
    assert "BEGIN CERTIFICATE" in bed.shown("shop")


def test_one_refused_line_blocks_no_other(bed: Bed) -> None:
    bed.configure(bed.line("evil", "evil.example.org"), bed.line("shop", "shop.example.org"))
    bed.settle()
    assert "BEGIN CERTIFICATE" in bed.shown("shop")
    assert not (bed.folder / "evil.pem").exists()


def test_a_service_of_two_changed_lines_is_reloaded_once_after_the_last_file(bed: Bed) -> None:
    bed.configure(bed.line("mail", "mail.example.org"), bed.line("shop", "shop.example.org"))
    bed.settle()
    assert bed.reloads() == 1
    both = bed.calls[-1]
    assert both.startswith("reload web")
    assert len(bed.shown("mail")) > 0 < len(bed.shown("shop"))


def test_a_service_of_an_unchanged_line_is_not_reloaded(bed: Bed, master: FakeMaster) -> None:
    bed.configure(
        bed.line("mail", "mail.example.org", services=["smtp"]),
        bed.line("shop", "shop.example.org"),
        services=["web", "smtp"],
    )
    bed.settle()
    master.issue("shop")
    bed.settle()
    assert (bed.reloads("web"), bed.reloads("smtp")) == (2, 1)


def test_changed_names_in_the_file_are_asked_with_the_same_key(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    key = bed.shown("shop").partition("-----BEGIN CERTIFICATE")[0]
    bed.configure(bed.line("shop", "shop.example.org", "mail.example.org"))
    bed.settle()
    assert master.lines["shop"].names == ("shop.example.org", "mail.example.org")
    assert bed.shown("shop").startswith(key)
    assert bed.reloads() == 2


def test_another_key_type_in_the_file_makes_another_key_and_version(bed: Bed) -> None:
    bed.settle()
    bed.configure(bed.line("shop", "shop.example.org", key_type="rsa-2048"))
    bed.settle()
    assert sorted(path.name for path in (bed.state_dir / "keys" / "shop").iterdir()) == [
        "ecdsa-p256.pem",
        "rsa-2048.pem",
    ]
    assert bed.reloads() == 2


def test_a_moved_output_is_installed_without_asking_anything(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    bed.configure(bed.line("shop", "shop.example.org", output=str(bed.folder / "elsewhere.pem")))
    outcome = bed.settle()
    assert not outcome.failures
    assert "BEGIN CERTIFICATE" in bed.shown("elsewhere")
    assert len(master.asked("PUT")) == 1
    assert bed.reloads() == 2


def test_a_line_that_vanished_from_the_master_stays_installed(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("house"))
    master.set_line("house", names=("house.example.org",))
    bed.settle()
    master.remove_line("house")
    outcome = bed.turn()
    assert "BEGIN CERTIFICATE" in bed.shown("house")
    assert any("what is installed stays" in note for note in outcome.notes) or outcome.refused == ("house",)
    assert bed.reloads() == 1


def test_a_marked_rollback_is_followed_and_an_unmarked_one_refused(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    first = bed.shown("shop")
    master.issue("shop")
    bed.settle(host)
    second = bed.shown("shop")
    master.set_line("shop", live=1)
    outcome = bed.turn(host)
    assert "unmarked" in str(outcome.away)
    assert bed.shown("shop") == second
    master.set_line("shop", live=1, rollback=True)
    bed.settle(host)
    assert bed.shown("shop") == first


def test_a_master_restored_from_a_backup_is_followed_by_its_higher_epoch(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    bed.settle(host)
    restored = master.lines["shop"]
    master.epoch, master.serial = 2, 0
    other = master.lines["shop"].versions[1]
    master.set_line("shop", versions={2: other}, live=2)
    bed.settle(host)
    assert restored.live == 2
    assert other["ecdsa-p256/chain.pem"] in bed.shown("shop")
    master.epoch = 1
    assert "epoch" in str(bed.turn(host).away)


def test_a_host_back_after_months_gets_the_newest_version_at_its_first_turn(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    for _ in range(4):
        newest = master.issue("shop")
    bed.turn()
    assert master.last_report("shop") == DeploymentReport("shop", newest, "reloaded", goal="reloaded")
    assert len(master.asked("GET /v1/follower/lines")) == 2


def test_what_the_master_says_of_a_line_is_told(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    master.set_line("shop", error="the CA refuses shop.example.org")
    assert "line shop: the master says: the CA refuses shop.example.org" in bed.turn().notes


def test_a_failure_of_the_master_at_one_line_blocks_no_other(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("mail", "mail.example.org"), bed.line("shop", "shop.example.org"))

    def fail_at_mail(path: str, reply: Reply) -> Reply:
        return Reply(500, b"{}") if path.endswith("/lines/mail") else reply

    master.tampering.before_signing = fail_at_mail
    outcome = bed.turn()
    assert len(outcome.failures) == 1
    bed.turn()
    assert "BEGIN CERTIFICATE" in bed.shown("shop")
    master.tampering.before_signing = None
    bed.settle()
    assert "BEGIN CERTIFICATE" in bed.shown("mail")
