"""Keys on disk under a passphrase: own keys, next keys, keys from the master, and every output that has one."""

import logging
from pathlib import Path

import pytest

from certline_follower.cli import main
from certline_follower.turn import insist
from certline_shared import keys
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed

SECRET = "a passphrase that nobody guesses"
EC = "ecdsa-p256"


def give(bed: Bed, *names: str, secret: str = SECRET) -> None:
    """The line's keys are encrypted from the next start on."""
    file = bed.folder / "shop.pass"
    file.write_text(secret + "\n")
    file.chmod(0o600)
    line = bed.line("shop", *names).replace("services", 'passphrase = {file = "shop.pass"}\nservices', 1)
    bed.configure(line)


def key_files(bed: Bed) -> dict[str, bytes]:
    """All files of the host that have a private key and are in use or may be."""
    live = bed.state_dir / "live"
    folders = [bed.state_dir / "keys", bed.state_dir / "versions", live.resolve()]
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    found.append(bed.folder / "shop.pem")
    texts = {str(path): path.read_bytes() for path in found}
    return {path: text for path, text in texts.items() if b"PRIVATE KEY" in text}


def test_all_key_files_are_encrypted_and_what_is_served_is_opened_by_the_passphrase(
    bed: Bed, master: FakeMaster
) -> None:
    """peers.md 2.1, line 43: key files on disk are encrypted."""
    give(bed, "shop.example.org")
    master.set_line("shop", wants_next=True, names=("shop.example.org",))
    outcome = bed.settle()
    assert not outcome.failures
    found = key_files(bed)
    assert len(found) >= 5
    assert all(b"BEGIN ENCRYPTED PRIVATE KEY" in text for text in found.values())
    key = keys.from_pem(bed.shown("shop").partition("-----BEGIN CERT")[0].encode(), SECRET.encode())
    assert keys.spki_sha256(key) == keys.read_csr(master.lines["shop"].csrs[EC]).spki_sha256
    assert not bed.turn().done


def test_renewals_and_rollovers_go_on_under_the_passphrase(bed: Bed, master: FakeMaster) -> None:
    give(bed, "shop.example.org")
    master.set_line("shop", wants_next=True, names=("shop.example.org",))
    bed.settle()
    master.issue("shop")
    assert not bed.settle().failures
    master.roll("shop")
    assert not bed.settle().failures
    assert all(b"BEGIN ENCRYPTED PRIVATE KEY" in text for text in key_files(bed).values())
    assert master.lines["shop"].versions[3][f"{EC}/chain.pem"] in bed.shown("shop")


def test_a_key_from_the_master_is_encrypted_before_it_is_written(bed: Bed, master: FakeMaster) -> None:
    give(bed)
    master.share("shop", "shop.example.org")
    outcome = bed.settle()
    assert not outcome.failures
    assert all(b"BEGIN ENCRYPTED PRIVATE KEY" in text for text in key_files(bed).values())
    assert not bed.turn().done


def test_keys_that_lie_there_in_clear_are_encrypted_at_the_next_start(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    pin = keys.read_csr(master.lines["shop"].csrs[EC]).spki_sha256
    give(bed, "shop.example.org")
    outcome = bed.settle()
    assert not outcome.failures
    assert all(b"BEGIN ENCRYPTED PRIVATE KEY" in text for text in key_files(bed).values())
    assert keys.read_csr(master.lines["shop"].csrs[EC]).spki_sha256 == pin, "the key is the same one"
    assert master.lines["shop"].live == 1
    assert not bed.turn().done


def test_a_wrong_passphrase_is_told_nothing_is_replaced_and_the_right_one_mends_it(
    bed: Bed, master: FakeMaster
) -> None:
    give(bed, "shop.example.org")
    bed.settle()
    before = key_files(bed)
    give(bed, "shop.example.org", secret="another one")
    master.issue("shop")
    outcome = bed.turn()
    assert any("the passphrase does not open the private key" in text for text in outcome.failures)
    assert key_files(bed) | before == key_files(bed)
    give(bed, "shop.example.org")
    host = bed.host()
    insist(host)
    assert not bed.settle(host).failures
    assert master.lines["shop"].versions[2][f"{EC}/chain.pem"] in bed.shown("shop")


def test_nothing_is_asked_for_when_no_key_is_opened(bed: Bed, master: FakeMaster) -> None:
    give(bed, "shop.example.org")
    bed.settle()
    (bed.folder / "shop.pass").unlink()
    outcome = bed.turn()
    assert (outcome.failures, outcome.done) == ([], [])
    master.issue("shop")
    assert any("of line shop cannot be read from" in text for text in bed.turn().failures)


def test_the_passphrase_is_in_no_state_log_or_report(
    bed: Bed, master: FakeMaster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    give(bed, "shop.example.org")
    host = bed.host()
    bed.settle(host)
    told = [path for path in bed.state_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [path for path in told if SECRET.encode() in path.read_bytes()]
    assert SECRET not in caplog.text
    assert SECRET not in repr(host) + repr(host.settings) + repr(master.reports)


def test_on_the_command_line_it_is_refused_with_the_alternatives(bed: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--config", str(bed.file), "sync", "--passphrase", SECRET])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "use --passphrase-file FILE" in said
    assert SECRET not in said


def test_an_option_names_the_file_for_all_lines_that_say_true(bed: Bed, tmp_path: Path) -> None:
    line = bed.line("shop", "shop.example.org").replace("services", "passphrase = true\nservices", 1)
    bed.configure(line)
    file = tmp_path / "passphrases"
    file.write_text(SECRET + "\n")
    file.chmod(0o600)
    assert main(["--config", str(bed.file), "sync", "--passphrase-file", str(file)]) == 10
    assert "BEGIN ENCRYPTED PRIVATE KEY" in bed.shown("shop")
