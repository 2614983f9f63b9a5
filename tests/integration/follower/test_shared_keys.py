"""Lines whose private key the master keeps: pulled sealed, opened here, installed, accounted for; never asked for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from certline_follower import cli, forgetting
from certline_follower.ending import Failed
from certline_follower.recovering import recover
from certline_shared import codec, keys, sealing
from certline_shared.keys import KeyType
from certline_shared.manifest import Manifest, ManifestFile
from certline_shared.messages import VersionContent
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed, killed_at

NAME = "shop.example.org"
SEALED = "ecdsa-p256/key.sealed"


@pytest.fixture
def shared(bed: Bed, master: FakeMaster) -> Bed:
    """A host on which the first version of a line with the master's key is installed."""
    master.share("shop", NAME)
    bed.configure(bed.line("shop"))
    bed.settle()
    return bed


def pin(pem: str) -> str:
    return keys.spki_sha256(keys.from_pem(pem.encode()))


def clear_keys(folder: Path) -> set[str]:
    """The files under the folder that hold a private key in clear, in generations apart."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)) for path in found if b"PRIVATE KEY-----" in path.read_bytes()}


def test_the_masters_key_is_installed_like_an_own_one_and_nothing_is_asked_for(shared: Bed, master: FakeMaster) -> None:
    assert master.made_keys[0].strip() in shared.shown("shop")
    assert shared.reloads() == 1
    assert master.asked("PUT") == []
    assert not (shared.state_dir / "keys").exists()
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state, report.error) == (1, "reloaded", None)


def test_the_key_lies_in_the_generation_alone_and_for_nobody_else_to_read(shared: Bed) -> None:
    lying = clear_keys(shared.state_dir)
    assert lying
    assert all(path.startswith("generations/") for path in lying)
    assert {(shared.state_dir / path).stat().st_mode & 0o077 for path in lying} == {0}


def test_while_it_waits_to_be_installed_the_key_is_cached_for_this_user_only(bed: Bed, master: FakeMaster) -> None:
    master.share("shop", NAME)
    bed.configure(bed.line("shop"))
    host = bed.host()
    with killed_at("version.pulled"):
        bed.turn(host)
    cached = list((bed.state_dir / "versions").rglob("key.pem"))
    assert [path.stat().st_mode & 0o777 for path in cached] == [0o600]
    assert {path.stat().st_mode & 0o077 for path in cached[0].parents[:3]} == {0}
    bed.settle()
    assert master.made_keys[0].strip() in bed.shown("shop")


def test_a_renewed_version_brings_its_own_key(shared: Bed, master: FakeMaster) -> None:
    master.issue("shop")
    shared.settle()
    assert master.made_keys[1].strip() in shared.shown("shop")
    assert master.made_keys[0].strip() not in shared.shown("shop")


def test_of_two_kinds_only_the_one_in_use_is_opened_and_the_other_when_the_file_says_so(
    bed: Bed, master: FakeMaster
) -> None:
    master.share("shop", NAME, key_types=("ecdsa-p256", "rsa-2048"))
    bed.configure(bed.line("shop"))
    bed.settle()
    elliptic, rsa = master.made_keys
    assert elliptic.strip() in bed.shown("shop")
    assert not any(rsa.strip().encode() in path.read_bytes() for path in bed.state_dir.rglob("*") if path.is_file())
    bed.configure(bed.line("shop", key_type="rsa-2048"))
    bed.settle()
    assert rsa.strip() in bed.shown("shop")


# Custody changes


def test_a_line_that_the_master_takes_over_gets_the_masters_key(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    own = bed.shown("shop")
    master.share("shop", NAME)
    outcome = bed.settle()
    assert not outcome.failures
    assert master.made_keys[0].strip() in bed.shown("shop")
    assert bed.shown("shop") != own
    assert len(master.asked("PUT")) == 1


def test_a_line_that_is_handed_back_gets_a_new_key_neither_the_shared_one_nor_the_old(
    bed: Bed, master: FakeMaster
) -> None:
    bed.settle()
    first = own_pin(master)
    master.share("shop", NAME)
    bed.settle()
    master.hand_back("shop")
    bed.settle()
    assert own_pin(master) not in {first, pin(master.made_keys[0])}
    assert pin(bed.shown("shop")) == own_pin(master)
    assert not bed.settle().done


def test_a_line_that_is_handed_back_before_the_shared_key_came_gets_a_new_key_too(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    first = own_pin(master)
    master.set_line("shop", custody="master", csrs={})
    bed.turn()
    master.hand_back("shop")
    bed.settle()
    assert own_pin(master) != first


def test_a_kill_after_the_new_key_was_written_neither_loses_it_nor_brings_the_old_one_back(
    bed: Bed, master: FakeMaster
) -> None:
    bed.settle()
    first = own_pin(master)
    master.share("shop", NAME)
    bed.settle()
    master.hand_back("shop")
    with killed_at("key.written"):
        bed.turn()
    written = pin((bed.state_dir / "keys/shop/ecdsa-p256.pem").read_text())
    bed.settle()
    assert own_pin(master) == written != first


def own_pin(master: FakeMaster) -> str:
    return keys.read_csr(master.lines["shop"].csrs["ecdsa-p256"]).spki_sha256


def test_a_version_without_this_hosts_key_is_told_and_waited_for(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    before = bed.shown("shop")
    master.share("shop", NAME)
    del master.lines["shop"].versions[2][SEALED]
    outcome = bed.turn()
    assert any("has not given this host its ecdsa-p256 key yet" in note for note in outcome.notes)
    assert bed.shown("shop") == before


def test_names_in_the_file_of_such_a_line_are_told_to_be_the_masters(bed: Bed, master: FakeMaster) -> None:
    master.share("shop", "other.example.org")
    outcome = bed.turn()
    assert any("take `names` out of the file" in note for note in outcome.notes)
    assert master.asked("PUT") == []


# What is on this host is told


def test_the_copies_on_this_host_are_told_and_told_again_when_they_change(shared: Bed, master: FakeMaster) -> None:
    first = pin(master.made_keys[0])
    assert master.copies[-1] == {"shop": (first,)}
    told = len(master.copies)
    assert not shared.settle().done
    assert len(master.copies) == told
    master.issue("shop")
    shared.settle()
    assert master.copies[-1] == {"shop": tuple(sorted((first, pin(master.made_keys[1]))))}


def test_a_line_that_left_the_file_is_told_to_be_gone_once_no_generation_has_its_key(
    shared: Bed, master: FakeMaster
) -> None:
    shared.configure(shared.line("mail", "mail.example.org"))
    shared.file.write_text("keep = 1\n" + shared.file.read_text())
    (shared.folder / "shop.pem").unlink()
    shared.settle()
    assert master.copies[-1] == {}
    assert not any(master.made_keys[0].strip().encode() in path.read_bytes() for path in files_of(shared))


def test_a_file_that_an_output_left_behind_counts_as_a_copy_until_it_is_removed(
    shared: Bed, master: FakeMaster
) -> None:
    shared.configure(shared.line("mail", "mail.example.org"))
    shared.file.write_text("keep = 1\n" + shared.file.read_text())
    shared.settle()
    left = shared.folder / "shop.pem"
    assert master.made_keys[0].strip() in left.read_text()
    assert master.copies[-1] == {"shop": (pin(master.made_keys[0]),)}
    (note,) = recover(shared.host())
    assert note.startswith(f"{left} still holds the key of line shop")
    with pytest.raises(Failed, match=f"still in {left}: remove that first"):
        forgetting.forget(shared.host(), "shop")
    left.unlink()
    assert recover(shared.host()) == []
    shared.settle()
    assert master.copies[-1] == {}


def test_a_key_of_an_output_that_moved_counts_until_its_former_place_is_cleared(
    shared: Bed, master: FakeMaster
) -> None:
    shared.configure(shared.line("shop", output=str(shared.folder / "new.pem")))
    shared.file.write_text("keep = 1\n" + shared.file.read_text())
    shared.settle()
    master.issue("shop")
    shared.settle()
    first, second = map(pin, master.made_keys)
    assert master.copies[-1] == {"shop": tuple(sorted((first, second)))}
    (shared.folder / "shop.pem").write_text("something else")
    shared.settle()
    assert master.copies[-1] == {"shop": (second,)}


def test_a_cached_key_of_a_line_that_left_the_file_before_it_was_installed_goes(bed: Bed, master: FakeMaster) -> None:
    bed.settle()
    master.share("mail", "mail.example.org")
    bed.configure(bed.line("shop", NAME), bed.line("mail"))
    with killed_at("version.pulled"):
        bed.turn()
    assert bed.host().state.copies == {"mail": (pin(master.made_keys[0]),)}
    bed.configure(bed.line("shop", NAME))
    bed.settle()
    assert bed.host().state.copies == {}
    assert not any(master.made_keys[0].strip().encode() in path.read_bytes() for path in files_of(bed))


def test_a_key_that_a_kill_left_half_kept_is_removed_at_the_next_start(bed: Bed) -> None:
    half = bed.state_dir / "versions/shop/.1-abc.new/ecdsa-p256"
    half.mkdir(parents=True)
    (half / "key.pem").write_text("x")
    bed.host()
    assert not half.parent.exists()


def test_a_line_that_left_the_file_can_be_forgotten_at_once_with_its_generations(
    shared: Bed, master: FakeMaster
) -> None:
    shared.configure(shared.line("mail", "mail.example.org"))
    shared.settle()
    assert "shop" in shared.host().state.copies
    (shared.folder / "shop.pem").unlink()
    gone = forgetting.forget(shared.host(), "shop")
    assert gone == [1]
    assert not any(master.made_keys[0].strip().encode() in path.read_bytes() for path in files_of(shared))
    shared.settle()
    assert master.copies[-1] == {}
    assert forgetting.forget(shared.host(), "shop") == []


def test_a_line_in_the_file_or_in_use_is_not_forgotten(shared: Bed) -> None:
    with pytest.raises(Failed, match="take it out there first"):
        forgetting.forget(shared.host(), "shop")
    shared.configure(shared.line("mail", "mail.example.org"))
    with pytest.raises(Failed, match="still in what is live here"):
        forgetting.forget(shared.host(), "shop")


def test_the_command_forgets_and_refuses_names_that_are_none(shared: Bed, capsys: pytest.CaptureFixture[str]) -> None:
    config = ["--config", str(shared.file)]
    assert cli.main([*config, "forget", "shop"]) == 3
    assert "take it out there first" in capsys.readouterr().err
    assert cli.main([*config, "forget", "../../x"]) == 2
    assert cli.main([*config, "forget", "gone", "--output", "json"]) == 0
    assert '"changed": false' in capsys.readouterr().out
    assert cli.main([*config, "forget", "gone"]) == 0
    assert capsys.readouterr().out == "nothing of line gone is here\n"


def files_of(bed: Bed) -> list[Path]:
    return [path for path in bed.state_dir.rglob("*") if path.is_file()]


# Sealed keys that must not be taken (B9)


def _sealed(text: str) -> Callable[[VersionContent], VersionContent]:
    return lambda made: replace(made, files={**made.files, SEALED: text})


def _pem(master: FakeMaster) -> bytes:
    """The key that the second version's certificate is for."""
    return master.made_keys[-1].encode()


def _to_another_follower(master: FakeMaster) -> str:
    _, other = sealing.generate()
    info = sealing.key_info("someone-else", "shop", 2, "ecdsa-p256")
    return codec.base64url(sealing.seal(_pem(master), other, info))


def _certificate_key_swapped(_master: FakeMaster) -> str:
    return _master.seal(keys.to_pem(keys.generate(KeyType.ECDSA_P256)), "shop", 2, "ecdsa-p256")


WRONG_KEYS: dict[str, Callable[[FakeMaster], str]] = {
    "sealed to another follower": _to_another_follower,
    "sealed here in another follower's name": lambda m: m.seal(_pem(m), "shop", 2, "ecdsa-p256", follower="other"),
    "for another line": lambda m: m.seal(_pem(m), "mail", 2, "ecdsa-p256"),
    "for another version": lambda m: m.seal(_pem(m), "shop", 1, "ecdsa-p256"),
    "for another kind": lambda m: m.seal(_pem(m), "shop", 2, "rsa-2048"),
    "truncated": lambda m: m.lines["shop"].versions[2][SEALED][:-8],
    "empty": lambda _: "",
    "not base64url": lambda m: "=" + m.lines["shop"].versions[2][SEALED],
    "no key at all": lambda m: m.seal(b"hello", "shop", 2, "ecdsa-p256"),
    "of another key than the certificate's": _certificate_key_swapped,
    "of another kind of key": lambda m: m.seal(keys.to_pem(keys.generate(KeyType.RSA_2048)), "shop", 2, "ecdsa-p256"),
}


@pytest.mark.parametrize("how", WRONG_KEYS)
@pytest.mark.parametrize("signed", [True, False], ids=["which the manifest lists", "which the manifest does not list"])
def test_a_wrong_sealed_key_is_refused_and_reported_and_the_old_one_stays(
    shared: Bed, master: FakeMaster, how: str, signed: bool
) -> None:
    before, tree = shared.shown("shop"), outside(shared)
    master.issue("shop")
    wrong = WRONG_KEYS[how](master)
    if signed:
        master.lines["shop"].versions[2][SEALED] = wrong
    else:
        master.tampering.content = _sealed(wrong)
    outcome = shared.turn()
    assert "version 2 is not taken" in outcome.failures[0]
    assert_kept(shared, master, before)
    assert outside(shared) == tree


def test_two_lines_whose_sealed_keys_are_swapped_get_neither(shared: Bed, master: FakeMaster) -> None:
    master.share("mail", "mail.example.org")
    shared.configure(shared.line("shop"), shared.line("mail"))
    shared.settle()
    before = shared.shown("shop")
    for name in ("shop", "mail"):
        master.issue(name)
    shop, mail = (master.lines[name].versions[2] for name in ("shop", "mail"))
    shop[SEALED], mail[SEALED] = mail[SEALED], shop[SEALED]
    outcome = shared.turn()
    assert len(outcome.failures) == 2
    assert_kept(shared, master, before)


def test_a_key_that_does_not_fit_the_certificate_is_not_installed(shared: Bed, master: FakeMaster) -> None:
    """The manifest names the sealed key, and not the one that the certificate was issued for."""
    before = shared.shown("shop")
    master.issue("shop")
    other = keys.generate(KeyType.ECDSA_P256)
    master.lines["shop"].versions[2][SEALED] = master.seal(keys.to_pem(other), "shop", 2, "ecdsa-p256")

    def name_the_other(made: Manifest) -> Manifest:
        line = replace(made.lines[0], spki_sha256={"ecdsa-p256": keys.spki_sha256(other)})
        return replace(made, lines=(line,))

    master.tampering.manifest = name_the_other
    outcome = shared.turn()
    assert "for another key than the manifest says" in outcome.failures[0]
    assert_kept(shared, master, before)


def test_a_sealed_key_whose_hash_is_not_listed_is_not_taken(shared: Bed, master: FakeMaster) -> None:
    before = shared.shown("shop")
    master.issue("shop")

    def forget_the_key(made: Manifest) -> Manifest:
        listed = tuple(file for file in made.lines[0].files if file.name != SEALED)
        return replace(made, lines=(replace(made.lines[0], files=listed),))

    master.tampering.manifest = forget_the_key
    outcome = shared.turn()
    assert any("has not given this host its" in note for note in outcome.notes)
    assert shared.shown("shop") == before


@pytest.mark.parametrize(
    "name", ["ecdsa-p256/../key.sealed", "/etc/shadow", "ecdsa-p256/key\0", "ecdsa-p256/" + "k" * 300, "../key.sealed"]
)
def test_a_sealed_key_under_a_name_that_leads_elsewhere_makes_the_manifest_refused(
    shared: Bed, master: FakeMaster, name: str
) -> None:
    before, tree = shared.shown("shop"), outside(shared)
    master.issue("shop")

    def rename(made: Manifest) -> Manifest:
        files = tuple(ManifestFile(name, one.sha256, one.length) for one in made.lines[0].files if one.name == SEALED)
        return replace(made, lines=(replace(made.lines[0], files=files),))

    master.tampering.manifest = rename
    assert "manifest is refused" in str(shared.turn().away)
    assert shared.shown("shop") == before
    assert outside(shared) == tree


@pytest.mark.parametrize(("mode", "taken"), [("link", False), ("copy", True)])
def test_a_key_is_never_written_through_a_link_at_its_destination(
    bed: Bed, master: FakeMaster, tmp_path: Path, mode: str, *, taken: bool
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("theirs")
    (bed.folder / "shop.pem").symlink_to(elsewhere)
    master.share("shop", NAME)
    bed.configure(bed.line("shop") + f'as = "{mode}"\n')
    outcome = bed.settle()
    assert elsewhere.read_text() == "theirs"
    assert (master.made_keys[0].strip() in bed.shown("shop")) is taken
    assert any("a link that certline did not make" in failure for failure in outcome.failures) is not taken


def assert_kept(bed: Bed, master: FakeMaster, before: str) -> None:
    assert bed.shown("shop") == before
    assert bed.reloads() == 1 or "mail" in master.lines
    assert master.made_keys[-1].strip().encode() not in b"".join(path.read_bytes() for path in files_of(bed))
    report = master.last_report("shop")
    assert report
    assert (report.version, report.state, bool(report.error)) == (2, "pulled", True)


def outside(bed: Bed) -> set[str]:
    """All that lies on the host but what the follower keeps for itself."""
    return {str(path) for path in bed.folder.parent.rglob("*") if bed.state_dir not in path.parents}
