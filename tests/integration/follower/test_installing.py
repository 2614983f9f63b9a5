"""What happens on a host when a check, a reload or an installation fails."""

from datetime import timedelta

from certline_follower.choosing import Install
from certline_follower.deploying import deployed
from certline_shared.messages import DeploymentReport
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed, MovableClock


def test_a_version_whose_check_fails_is_put_back_reported_and_held_back(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    good = bed.shown("shop")
    master.issue("shop")
    bed.fail_after_next_install("web", "check")
    outcome = bed.turn(host)
    assert "the former generation is back" in outcome.failures[0]
    assert bed.shown("shop") == good
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state) == (2, "pulled")
    assert "its check failed" in str(report.error)
    assert not any(isinstance(step, Install) for step in bed.turn(host).done)


def test_after_going_back_the_service_is_reloaded_with_the_former_generation(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    at_first = bed.calls[-1]
    master.issue("shop")
    bed.fail("web", "reload")
    bed.turn(host)
    assert bed.calls[-1] == at_first
    assert bed.reloads() == 3


def test_a_held_back_version_is_tried_again_only_when_the_installed_one_runs_short(
    bed: Bed, master: FakeMaster
) -> None:
    master.clock = bed.clock = clock = MovableClock()
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    failure = bed.fail("web", "reload")
    bed.turn(host)
    failure.unlink()
    for hours in (1, 24, 24 * 60):
        clock.ahead += timedelta(hours=hours)
        assert not any(isinstance(step, Install) for step in bed.turn(host).done)
    clock.ahead += timedelta(days=23)
    bed.settle(host)
    assert master.last_report("shop") == DeploymentReport("shop", 2, "reloaded", goal="reloaded")


def test_a_newer_version_is_taken_at_once_while_another_is_held_back(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    failure = bed.fail("web", "reload")
    bed.turn(host)
    failure.unlink()
    master.issue("shop")
    bed.settle(host)
    assert master.last_report("shop") == DeploymentReport("shop", 3, "reloaded", goal="reloaded")


def test_a_service_that_was_broken_before_is_not_blamed_on_the_new_version(bed: Bed, master: FakeMaster) -> None:
    host = bed.host()
    bed.settle(host)
    good = bed.shown("shop")
    bed.fail("web", "check")
    master.issue("shop")
    bed.turn(host)
    assert bed.shown("shop") != good
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state) == (2, "installed")
    assert "its check failed" in str(report.error)
    assert bed.reloads() == 1


def test_a_service_that_only_warns_keeps_the_new_version(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("shop", "shop.example.org"), on_failure="warn")
    host = bed.host()
    bed.settle(host)
    good = bed.shown("shop")
    master.issue("shop")
    bed.fail("web", "reload")
    bed.turn(host)
    assert bed.shown("shop") != good
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state) == (2, "installed")


def test_a_failed_reload_is_tried_again_later_by_itself_even_without_the_master(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("shop", "shop.example.org"), on_failure="warn")
    master.clock = bed.clock = clock = MovableClock()
    host = bed.host()
    bed.settle(host)
    master.issue("shop")
    failure = bed.fail("web", "reload")
    outcome = bed.turn(host)
    assert outcome.next_look is not None
    reloads = bed.reloads()
    assert bed.turn(host).done == []
    assert bed.reloads() == reloads
    failure.unlink()
    bed.master_goes_away()
    clock.ahead += timedelta(minutes=31)
    outcome = bed.turn(host)
    assert outcome.away is not None
    assert bed.reloads() == reloads + 1


def test_the_first_version_stays_although_its_reload_fails(bed: Bed, master: FakeMaster) -> None:
    bed.fail("web", "reload")
    bed.turn()
    bed.turn()
    assert "BEGIN CERTIFICATE" in bed.shown("shop")
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state) == (1, "installed")


def test_one_line_that_goes_back_takes_no_other_line_with_it(bed: Bed, master: FakeMaster) -> None:
    bed.configure(
        bed.line("mail", "mail.example.org", services=["smtp"]),
        bed.line("shop", "shop.example.org"),
        services=["web", "smtp"],
    )
    host = bed.host()
    bed.settle(host)
    good, mail = bed.shown("shop"), bed.shown("mail")
    master.issue("shop")
    master.issue("mail")
    bed.fail("web", "reload")
    bed.settle(host)
    assert bed.shown("shop") == good
    assert bed.shown("mail") != mail
    assert master.last_report("mail") == DeploymentReport("mail", 2, "reloaded", goal="reloaded")


def test_an_output_that_cannot_be_written_blocks_no_other_line_and_reloads_nothing_of_its_own(
    bed: Bed, master: FakeMaster
) -> None:
    bed.configure(
        bed.line("mail", "mail.example.org", services=["smtp"], output=str(bed.folder / "missing" / "mail.pem")),
        bed.line("shop", "shop.example.org"),
        services=["web", "smtp"],
    )
    outcome = bed.settle()
    assert "missing" in outcome.failures[0] or any("missing" in note for note in outcome.notes)
    assert "BEGIN CERTIFICATE" in bed.shown("shop")
    assert (bed.reloads("web"), bed.reloads("smtp")) == (1, 0)
    report = master.last_report("mail")
    assert report
    assert report.state == "pulled"
    assert "missing" in str(report.error)


def test_a_bad_change_of_the_file_alone_is_put_back_and_not_tried_in_a_loop(bed: Bed) -> None:
    host = bed.host()
    bed.settle(host)
    good = bed.shown("shop")
    bed.configure(bed.line("shop", "shop.example.org", output=str(bed.folder / "other.pem")))
    bed.fail("web", "reload")
    host = bed.host()
    bed.settle(host)
    assert bed.shown("shop") == good
    calls = len(bed.calls)
    bed.turn(host)
    assert len(bed.calls) == calls


TWO = ("mail", "shop")


def two_lines_of_one_service(bed: Bed) -> None:
    bed.configure(bed.line("mail", "mail.example.org"), bed.line("shop", "shop.example.org"))


def refuse(bed: Bed, *contents: str) -> None:
    """web's check fails where one of these texts is in an output."""
    script = bed.folder / "web.sh"
    for number, content in enumerate(contents):
        (bed.folder / f"bad-{number}").write_text(content.split("-----BEGIN CERTIFICATE-----")[1].split()[0])
    check = 'for bad in "$3"/bad-*; do if test -e "$bad" && grep -qF -f "$bad" "$3"/*.pem; then exit 1; fi; done\n'
    script.write_text(script.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{check}", 1))


def test_of_several_new_versions_the_one_to_blame_is_found_by_installing_each_alone(
    bed: Bed, master: FakeMaster
) -> None:
    two_lines_of_one_service(bed)
    host = bed.host()
    bed.settle(host)
    good, mail = bed.shown("shop"), bed.shown("mail")
    for name in TWO:
        master.issue(name)
    refuse(bed, master.lines["shop"].versions[2]["ecdsa-p256/chain.pem"])
    bed.settle(host)
    assert bed.shown("shop") == good
    assert bed.shown("mail") != mail
    assert master.last_report("mail") == DeploymentReport("mail", 2, "reloaded", goal="reloaded")
    told = master.last_report("shop")
    assert told
    assert (told.version, told.state) == (2, "pulled")
    calls = bed.calls
    for _ in range(20):
        bed.turn(host)
    assert bed.calls == calls


def test_two_versions_that_are_well_alone_and_not_together_leave_one_of_them_installed(
    bed: Bed, master: FakeMaster
) -> None:
    two_lines_of_one_service(bed)
    host = bed.host()
    bed.settle(host)
    for name in TWO:
        master.issue(name)
    script = bed.folder / "web.sh"
    both = [master.lines[name].versions[2]["ecdsa-p256/chain.pem"].split()[2] for name in TWO]
    check = f'if grep -qF {both[0]} "$3"/*.pem && grep -qF {both[1]} "$3"/*.pem; then exit 1; fi\n'
    script.write_text(script.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{check}", 1))
    bed.settle(host)
    states = {name: master.last_report(name) for name in TWO}
    assert sorted(told.state for told in states.values() if told) == ["pulled", "reloaded"]
    calls = bed.calls
    for _ in range(20):
        bed.turn(host)
    assert bed.calls == calls


def test_after_a_rollback_on_the_master_the_newer_version_here_is_not_installed_any_more(
    bed: Bed, master: FakeMaster
) -> None:
    host = bed.host()
    bed.settle(host)
    good = bed.shown("shop")
    master.issue("shop")
    failure = bed.fail("web", "reload")
    bed.turn(host)
    failure.unlink()
    master.lines["shop"].live, master.lines["shop"].rollback = 1, True
    bed.settle(host)
    assert not deployed(host)["failures"]
    assert bed.shown("shop") == good
    assert master.last_report("shop") == DeploymentReport("shop", 1, "reloaded", goal="reloaded")


def test_an_installed_output_whose_directory_went_holds_back_no_other_line(bed: Bed, master: FakeMaster) -> None:
    away = bed.folder / "away"
    away.mkdir()
    bed.configure(
        bed.line("mail", "mail.example.org", services=["smtp"], output=str(away / "mail.pem")),
        bed.line("shop", "shop.example.org"),
        services=["web", "smtp"],
    )
    host = bed.host()
    bed.settle(host)
    (away / "mail.pem").unlink()
    away.rmdir()
    master.issue("shop")
    bed.settle(host)
    assert master.last_report("shop") == DeploymentReport("shop", 2, "reloaded", goal="reloaded")
    master.issue("shop")
    refuse(bed, master.lines["shop"].versions[3]["ecdsa-p256/chain.pem"])
    assert any("the former generation is back" in failure for failure in bed.turn(host).failures)
    away.mkdir()
    deployed(host, ["mail"])
    assert "BEGIN CERTIFICATE" in (away / "mail.pem").read_text()


def test_a_certificate_that_is_not_valid_yet_by_the_masters_time_waits_for_it(bed: Bed, master: FakeMaster) -> None:
    master.clock = bed.clock = clock = MovableClock()
    host = bed.host()
    bed.settle(host)
    good = bed.shown("shop")
    clock.ahead = timedelta(hours=3)
    master.issue("shop")
    clock.ahead = timedelta(0)
    outcome = bed.turn(host)
    assert any("it is not valid before, by the master's time" in note for note in outcome.notes)
    assert bed.shown("shop") == good
    clock.ahead = timedelta(hours=3)
    bed.settle(host)
    assert master.last_report("shop") == DeploymentReport("shop", 2, "reloaded", goal="reloaded")
