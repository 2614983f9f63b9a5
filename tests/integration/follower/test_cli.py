"""The follower's commands: what they print, and with which exit code they end."""

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from certline_follower import cli
from certline_follower.lock import RunLock
from certline_follower.syncing import sync
from certline_shared import certificates
from certline_shared.messages import time_text
from tests.fakes.clock import FakeClock
from tests.fakes.master import FakeMaster, Reply
from tests.integration.follower.host_bed import Bed, MovableClock


def command(bed: Bed, *words: str) -> int:
    return cli.main(["--config", str(bed.file), *words])


def _issue_when_asked(master: FakeMaster) -> None:
    with master.lock:
        master.lock.wait_for(lambda: "shop" in master.lines, timeout=20)
    master.issue("shop")


def test_enroll_takes_the_token_from_a_file(
    fresh_bed: Bed, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    file = fresh_bed.folder / "token"
    file.write_text(master.token() + "\n")
    assert command(fresh_bed, "enroll", "--token-file", str(file)) == 0
    assert capsys.readouterr().out == f"enrolled with {master.origin} as host\n"


@pytest.mark.parametrize(
    ("token", "says"),
    [("hello", "not an enrolment string"), ("certline-enrol-1.AAAA", "cut or changed")],
)
def test_a_bad_token_is_one_line_and_exit_code_2(
    fresh_bed: Bed, capsys: pytest.CaptureFixture[str], token: str, says: str
) -> None:
    file = fresh_bed.folder / "token"
    file.write_text(token)
    assert command(fresh_bed, "enroll", "--token-file", str(file)) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert token[20:] == "" or token[20:] not in error


def test_a_missing_token_file_is_named(fresh_bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(fresh_bed, "enroll", "--token-file", "/nowhere/token") == 2
    assert "/nowhere/token" in capsys.readouterr().err


def test_sync_waits_for_the_first_version_says_what_it_did_and_exits_with_10(
    bed: Bed, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    master.issue_at_once = False
    issuing = threading.Thread(target=_issue_when_asked, args=(master,))
    issuing.start()
    assert command(bed, "sync", "--timeout", "20") == 10
    issuing.join()
    told = capsys.readouterr()
    assert "install shop: shop: version 1" in told.out
    assert "reload web: shop changed" in told.out
    assert told.err == ""


def test_sync_is_silent_and_exits_with_0_when_there_is_nothing_to_do(
    bed: Bed, capsys: pytest.CaptureFixture[str]
) -> None:
    bed.settle()
    assert command(bed, "sync") == 0
    assert capsys.readouterr() == ("", "")


def test_sync_for_cron_exits_with_0_when_it_changed_something(bed: Bed) -> None:
    assert command(bed, "sync", "--timeout", "20", "--changed-is-zero") == 0
    assert bed.reloads() == 1


def test_sync_exits_with_3_when_the_master_refuses(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    bed.configure(bed.line("shop", "evil.example.org"))
    for _ in range(2):
        assert command(bed, "sync", "--timeout", "1") == 3
        assert "line shop is refused: no grant for evil.example.org" in capsys.readouterr().err


def test_sync_exits_with_4_when_something_failed_and_will_be_tried_again(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    master.issue("shop")
    bed.fail("web", "reload")
    assert command(bed, "sync") == 4
    assert command(bed, "sync") == 4


def test_sync_exits_with_4_when_the_version_does_not_come_in_time(
    bed: Bed, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    master.issue_at_once = False
    assert command(bed, "sync", "--timeout", "1") == 4
    assert "no version of shop within 1 s" in capsys.readouterr().err


def test_sync_waits_for_one_line_although_another_is_refused(bed: Bed, master: FakeMaster) -> None:
    bed.configure(bed.line("evil", "evil.example.org"), bed.line("shop", "shop.example.org"))
    master.issue_at_once = False
    issuing = threading.Thread(target=_issue_when_asked, args=(master,))
    issuing.start()
    assert command(bed, "sync", "--timeout", "20") == 3
    issuing.join()
    assert "BEGIN CERTIFICATE" in bed.shown("shop")


def test_sync_asks_a_master_that_cannot_hold_requests_once_a_second(bed: Bed, master: FakeMaster) -> None:
    master.issue_at_once, master.holds = False, False
    host = bed.host()
    clock = host.clock = FakeClock(host.clock.now())
    assert sync(host, 3).exit_code == 4
    assert clock.pauses == [1.0, 1.0, 1.0]


def test_sync_exits_with_5_when_the_master_cannot_be_reached(
    bed: Bed, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    bed.settle()
    master.ready_replies = [Reply(503)]
    assert command(bed, "sync") == 5
    assert "the master answers 503" in capsys.readouterr().err


def test_sync_exits_with_6_while_another_run_is_active(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLock(bed.state_dir) as lock:
        assert lock.acquire(wait=False)
        assert command(bed, "sync") == 6
    assert "another run is active" in capsys.readouterr().err


def test_sync_with_wait_begins_when_the_other_run_ended(bed: Bed) -> None:
    bed.settle()
    with RunLock(bed.state_dir) as lock:
        assert lock.acquire(wait=False)
        ending = threading.Timer(0.3, lock.release)
        ending.start()
        assert command(bed, "sync", "--wait") == 0
        ending.join()


@pytest.mark.parametrize("splay", ["5", "5-1", "a-b", "-1-2", "0-999999"])
def test_a_bad_splay_is_wrong_usage(bed: Bed, splay: str) -> None:
    with pytest.raises(SystemExit) as ended:
        command(bed, "sync", f"--splay={splay}")
    assert ended.value.code == 2


def test_a_splay_is_waited_for(bed: Bed) -> None:
    bed.settle()
    assert command(bed, "sync", "--splay", "0-0.1") == 0


def test_plan_shows_steps_with_reasons_and_does_nothing(
    bed: Bed, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(bed, "plan") == 0
    assert "make an ecdsa-p256 key for line shop: line shop has no ecdsa-p256 key yet" in capsys.readouterr().out
    assert not (bed.state_dir / "keys").exists()
    assert not master.asked("PUT")
    bed.settle()
    tree = {path: path.stat().st_mtime_ns for path in bed.folder.rglob("*")}
    command(bed, "plan")
    assert capsys.readouterr().out == "nothing to do\n"
    assert {path: path.stat().st_mtime_ns for path in bed.folder.rglob("*")} == tree


def test_a_reason_of_many_lines_takes_one_line_for_its_step(
    bed: Bed, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    bed.configure(bed.line("shop", "shop.example.org"), on_failure="warn")
    bed.settle()
    (bed.folder / "web.sh").write_text("#!/bin/sh\ntest $1 = check && exit\necho one\necho two\nexit 1\n")
    master.issue("shop")
    command(bed, "sync")
    capsys.readouterr()
    assert command(bed, "plan") == 0
    told = capsys.readouterr().out.splitlines()
    assert told == ["reload web: try 2, after: its reload failed: exit code 1 one two"]


def test_plan_shows_which_output_is_to_be_put_back(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    bed.settle()
    (bed.folder / "shop.pem").unlink()
    command(bed, "plan")
    assert capsys.readouterr().out == f"install shop: shop: {bed.folder}/shop.pem is missing\n"
    assert not (bed.folder / "shop.pem").exists()


def test_status_shows_each_line_as_text_and_as_json(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    bed.settle()
    assert command(bed, "status") == 0
    assert "shop (shop.example.org): installed, version 1, valid until" in capsys.readouterr().out
    assert command(bed, "status", "--output", "json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["lines"][0]["installed"] == 1
    assert shown["enrolled"] is True
    assert shown["last_contact"].endswith("Z")


def test_status_shows_why_a_line_is_refused(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    bed.configure(bed.line("shop", "evil.example.org"))
    bed.turn()
    command(bed, "status")
    told = capsys.readouterr().out
    assert "shop: refused, no version" in told
    assert "no grant for evil.example.org" in told


def test_status_forgets_a_refusal_as_soon_as_the_wish_changed_in_the_file(
    bed: Bed, capsys: pytest.CaptureFixture[str]
) -> None:
    bed.settle()
    bed.configure(bed.line("shop", "evil.example.org"))
    bed.turn()
    bed.configure(bed.line("shop", "shop.example.org"))
    command(bed, "status")
    told = capsys.readouterr().out
    assert "installed, version 1" in told
    assert "refused" not in told
    assert "no grant" not in told


def test_status_shows_what_is_installed_beside_what_is_offered(
    bed: Bed, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    bed.settle()
    installed = until(master, 1)
    bed.fail_after_next_install("web", "check")
    master.clock = MovableClock(timedelta(days=10))
    master.issue("shop")
    bed.turn()
    command(bed, "status")
    told = capsys.readouterr().out
    assert f"version 1, valid until {installed}; the master offers version 2, valid until {until(master, 2)}" in told
    command(bed, "status", "--output", "json")
    (line,) = json.loads(capsys.readouterr().out)["lines"]
    assert (line["installed"], line["not_after"]) == (1, installed)
    assert (line["wanted"], line["wanted_not_after"]) == (2, until(master, 2))


def until(master: FakeMaster, version: int) -> str:
    chain = master.lines["shop"].versions[version]["ecdsa-p256/chain.pem"]
    return time_text(certificates.read_chain(chain).not_after)


def test_status_of_a_host_that_is_not_enrolled_says_so(fresh_bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(fresh_bed, "status") == 0
    assert "not enrolled" in capsys.readouterr().out


def test_every_command_before_enrolment_says_what_to_run(fresh_bed: Bed) -> None:
    for words in ("sync", "plan", "run"):
        done = run(fresh_bed, words)
        assert done.returncode == 2, words
        assert "certline-follower enroll" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_missing_settings_file_names_the_files_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--config", "no-such.toml", "status"]) == 2
    assert str(tmp_path / "no-such.toml") in capsys.readouterr().err


def test_config_show_and_example(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(bed, "config", "example") == 0
    assert "[[line]]" in capsys.readouterr().out
    assert command(bed, "config", "show", "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)["lines"][0]["name"] == "shop"


def test_a_state_of_a_newer_version_ends_the_command_with_2(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    bed.settle()
    file = bed.state_dir / "state.json"
    file.write_bytes(file.read_bytes().replace(b'"format":1', b'"format":9'))
    for words in ("sync", "plan", "status"):
        assert command(bed, words) == 2
        assert "format 9" in capsys.readouterr().err


def test_a_state_that_cannot_be_written_ends_the_command_with_4_and_changes_nothing(
    bed: Bed, master: FakeMaster, capsys: pytest.CaptureFixture[str]
) -> None:
    bed.settle()
    before = bed.shown("shop")
    master.issue("shop")
    (bed.state_dir / ".state.json.new").mkdir()  # stands for a full disk: nothing can be written there
    assert command(bed, "sync") == 4
    assert "state.json cannot be written" in capsys.readouterr().err
    assert bed.shown("shop") == before
    assert bed.reloads() == 1


# In a process of its own


def run(bed: Bed, *words: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "certline_follower.entry", "--config", str(bed.file), *words]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)


def test_status_imports_neither_httpx_nor_cryptography(bed: Bed) -> None:
    look = (
        "import sys; from certline_follower import cli; code = cli.main(sys.argv[1:]); "
        "print([name for name in ('httpx', 'cryptography', 'ssl', 'asyncio') if name in sys.modules])"
    )
    program = [sys.executable, "-c", look, "--config", str(bed.file), "status"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", [("status",), ("config", "example"), ("--help",), ("sync", "--output", "json")])
@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_reader_that_went_away_is_no_matter_for_a_word(
    bed: Bed,
    words: tuple[str, ...],
    unbuffered: bool,
) -> None:
    bed.settle()
    ours, theirs = os.pipe()
    os.close(ours)
    program = [sys.executable, "-m", "certline_follower.entry", "--config", str(bed.file), *words]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    env |= {"PYTHONUNBUFFERED": "1"} if unbuffered else {}
    with os.fdopen(theirs, "wb") as output:
        done = subprocess.run(
            program, stdout=output, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=env
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_without_its_dependencies_the_program_says_which_extra_to_install(bed: Bed) -> None:
    hide = "import sys; sys.modules['httpx'] = None; from certline_follower import entry; entry.main()"
    program = [sys.executable, "-c", hide, "--config", str(bed.file), "sync"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "pip install 'certline[follower]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def daemon(bed: Bed) -> "subprocess.Popen[str]":
    program = [sys.executable, "-m", "certline_follower.entry", "--config", str(bed.file), "run"]
    return subprocess.Popen(program, stderr=subprocess.PIPE, text=True, env={**os.environ})


def wait_for_report(master: FakeMaster, line: str, version: int) -> bool:
    def reported() -> bool:
        last = master.last_report(line)
        return last is not None and (last.version, last.state) == (version, "reloaded")

    with master.lock:
        return master.lock.wait_for(reported, timeout=20)


def test_the_daemon_has_a_new_version_on_the_host_within_two_seconds_and_stops_at_sigterm(
    master: FakeMaster, daemon: "subprocess.Popen[str]"
) -> None:
    try:
        assert wait_for_report(master, "shop", 1)
        clock = master.clock
        issued = clock.monotonic()
        master.issue("shop")
        assert wait_for_report(master, "shop", 2)
        assert clock.monotonic() - issued < 2
        asked = clock.monotonic()
        daemon.send_signal(signal.SIGTERM)
        _, log = daemon.communicate(timeout=10)
        assert clock.monotonic() - asked < 3
    finally:
        daemon.kill()
        daemon.communicate()
    assert daemon.returncode == 0
    assert all(json.loads(line) for line in log.splitlines())


def test_the_daemon_reads_its_file_anew_at_sighup(
    bed: Bed, master: FakeMaster, daemon: "subprocess.Popen[str]"
) -> None:
    try:
        assert wait_for_report(master, "shop", 1)
        bed.configure(bed.line("shop", "shop.example.org"), bed.line("mail", "mail.example.org"))
        daemon.send_signal(signal.SIGHUP)
        assert wait_for_report(master, "mail", 1)
    finally:
        daemon.terminate()
        daemon.communicate(timeout=10)
    assert daemon.returncode == 0


@pytest.mark.parametrize("said", ["x", "-1", "nan", "100000"])
def test_a_time_that_is_none_is_refused_with_what_to_give(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["sync", f"--timeout={said}"])
    assert f"'{said}': give 0 to 86400 seconds" in capsys.readouterr().err
