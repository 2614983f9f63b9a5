"""What the settings file may say of files, and one clear line for each thing it may not."""

from pathlib import Path

import pytest

from certline_follower.output import Folder, Output
from certline_follower.settings import LineSettings, load
from tests.unit.follower.test_settings import refusal

LINE = '[[line]]\nname = "shop"\nkey_types = ["rsa-3072", "ecdsa-p256"]\n'


def line(folder: Path, text: str) -> LineSettings:
    file = folder / "certline-follower.toml"
    file.write_text(text)
    return load(file).lines[0]


def paths(folder: Path, text: str) -> dict[str, Output]:
    return {str(one.path.relative_to(folder)): one for one in line(folder, text).outputs}


def output(text: str) -> str:
    return LINE + f"[[line.output]]\n{text}\n"


def test_a_path_with_a_suffix_leads_to_a_file_for_each_key_type(tmp_path: Path) -> None:
    """Suffixes as in acmebot, where the file has none of its own."""
    found = paths(tmp_path, output('kind = "fullchain"\npath = "{name}{suffix}.pem"'))
    assert {path: one.key_type for path, one in found.items()} == {
        "shop.rsa.pem": "rsa-3072",
        "shop.ecdsa.pem": "ecdsa-p256",
    }


def test_a_path_without_one_shows_the_first_key_type_or_the_one_that_it_names(tmp_path: Path) -> None:
    text = output(
        'kind = "cert"\npath = "a.pem"\n[[line.output]]\nkind = "cert"\npath = "b.pem"\nkey_type = "ecdsa-p256"'
    )
    assert {path: one.key_type for path, one in paths(tmp_path, text).items()} == {
        "a.pem": "rsa-3072",
        "b.pem": "ecdsa-p256",
    }


def test_a_suffix_may_be_empty_and_may_differ_by_key_type(tmp_path: Path) -> None:
    suffixes = 'suffixes = { rsa = ".r", ecdsa-p256 = "" }\n'
    wanted = '[[line.output]]\nkind = "cert"\npath = "{name}{suffix}.{key_type}"'
    assert set(paths(tmp_path, LINE + suffixes + wanted)) == {"shop.r.rsa", "shop.ecdsa"}


def test_two_files_at_one_path_are_an_error_naming_both(tmp_path: Path) -> None:
    same = LINE + 'suffixes = { rsa = "", ecdsa = "" }\n[[line.output]]\nkind = "cert"\npath = "{name}{suffix}.pem"'
    assert 'shop.pem is the path of line "shop", output 1 too: choose another path' in refusal(tmp_path, same)
    other = output('kind = "cert"\npath = "a.pem"\nlink = "b.pem"\n[[line.output]]\nkind = "chain"\npath = "b.pem"')
    told = refusal(tmp_path, other)
    assert told.startswith('FILE, line 10: line "shop", output 2, path: ')
    assert 'b.pem is the link of line "shop", output 1 too: choose another path' in told


def test_two_lines_with_a_preset_of_fixed_names_need_folders_of_their_own(tmp_path: Path) -> None:
    one = '[[line]]\nname = "{0}"\npreset = "tiny"\n{1}'
    told = refusal(tmp_path, one.format("a", "") + one.format("b", ""))
    assert 'line "b", preset tiny, file 1 (mycerts/letsencrypt/live.crt), path: ' in told
    assert 'is the path of line "a", preset tiny, file 1' in told
    line(tmp_path, one.format("a", "") + one.format("b", f'dir = "{tmp_path}"\n'))


def test_parts_come_in_the_order_that_is_written_and_the_kind_tells_hooks_what_it_is(tmp_path: Path) -> None:
    parts = 'parts = ["chain", "certificate", "key"]\npath = "a.pem"'
    (found,) = paths(tmp_path, output(parts)).values()
    assert (found.kind, found.order, found.permissions) == ("parts", ("chain", "certificate", "key"), 0o600)
    (found,) = paths(tmp_path, output(f'kind = "key-fullchain"\n{parts}')).values()
    assert (found.kind, found.order) == ("key-fullchain", ("chain", "certificate", "key"))


def test_a_folder_is_made_with_the_mode_that_is_set_and_the_owner_of_the_file(tmp_path: Path) -> None:
    (found,) = paths(tmp_path, output('kind = "cert"\npath = "tls/a.pem"\nfolder_mode = "0710"')).values()
    assert found.folders == (Folder(tmp_path / "tls", 0o710),)


def test_outputs_with_a_date_or_a_link_are_copies_unless_said_otherwise(tmp_path: Path) -> None:
    text = 'kind = "cert"\npath = "{date}.pem"\n[[line.output]]\nkind = "cert"\npath = "a"\nlink = "b"\n'
    modes = [one.mode for one in paths(tmp_path, output(text + '[[line.output]]\nkind = "cert"\npath = "c"')).values()]
    assert modes == ["copy", "copy", "link"]


def test_parameters_and_the_root_stand_at_the_line(tmp_path: Path) -> None:
    text = 'dh = "ffdhe3072"\nec = "secp384r1"\nroot_file = "root.{key_type}.pem"\n'
    wanted = '[[line.output]]\nparts = ["certificate", "root", "dh", "ec"]\npath = "{name}{suffix}.pem"'
    found = paths(tmp_path, LINE + text + wanted)["shop.ecdsa.pem"]
    assert (found.dh, found.ec, found.root_file) == ("ffdhe3072", "secp384r1", tmp_path / "root.ecdsa.pem")


BAD = {
    'kind = "cert"\npath = "{nmae}.pem"': "path: '{nmae}.pem' has the unknown field {nmae}: known here are {name}, ",
    'kind = "cert"\npath = "{name.x}"': "path: '{name.x}' has the unknown field {name.x}",
    'kind = "cert"\npath = "{dns_name}"': "path: '{dns_name}' has the unknown field {dns_name}",
    'kind = "cert"\npath = "a}"': "path: 'a}' has a brace that stands alone",
    'kind = "cert"\npath = "{server}"': "path: '{server}' has {server}, which nothing here tells: write server = ",
    'kind = "cert"\npath = "{ct_log_name}"': "only a file of a certificate log has a {ct_log_name}: leave it out",
    'kind = "cert"\npath = "a"\nlink = "b/"': "link: 'b/' is a directory: add the file's name",
    'kind = "parts"\npath = "a"': "kind: 'parts' is unknown: choose one of key, cert, ",
    'parts = ["cert"]\npath = "a"': "parts: 'cert' is unknown: choose among key, certificate, chain, root, dh, ec, ",
    'parts = []\npath = "a"': "parts: is empty or has one twice",
    'parts = ["key", "key"]\npath = "a"': "parts: is empty or has one twice",
    'parts = ["key"]\nkind = "pkcs12"\npath = "a"': "parts: pkcs12 has parts of its own: remove them, or choose",
    'parts = ["certificate", "dh"]\npath = "a"': "parts: there is no dh to write: give the line dh = one of ffdhe2048",
    'kind = "params"\npath = "a"': 'kind: there are no parameters: give the line dh = "ffdhe2048", or ec = ',
    'kind = "next-key"\npath = "a"\nmode = "0644"': "mode: 0644 would show the private key to every user",
    'kind = "cert"\npath = "a"\nfolder_mode = "rwx"': "folder_mode: 'rwx' is no folder mode: write three octal digits",
    'kind = "cert"\npath = "a"\nstage = "yes"': "stage: expected true or false, found a string",
    'kind = "cert"\npath = "a"\npassword_file = "p"': "password_file: only pkcs12 and pkcs12-legacy take a password",
    'kind = "pkcs12"\npath = "a"\npassword_file = "p"': "p is no file: write the password into it, mode 0600",
    'kind = "pkcs12-legacy"\npath = "a"': "password_file: is missing: a container of the old kind cannot go without",
    'kind = "pkcs12"\npath = "a"\npassword = "x"': "password: must not stand in this file: put it into one of its own",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_output_is_told_with_its_field_and_what_to_do(tmp_path: Path, text: str) -> None:
    told = refusal(tmp_path, output(text))
    assert 'line "shop", output 1, ' in told
    assert BAD[text] in told


BAD_LINES = {
    'preset = "acmbot"': "preset: 'acmbot' is unknown: choose one of acmebot, certbot, tiny, dehydrated, lematt, dated",
    'dir = "/etc"': "dir: is the folder of a preset: add preset (one of acmebot, ",
    'suffixes = { dsa = "x" }': "suffixes, dsa: unknown key",
    'suffixes = { rsa = "a/b" }': "suffixes, rsa: expected a string that a file's name may hold",
    'dh = "2048"': "dh: '2048' is unknown: choose one of ffdhe2048, ffdhe3072, ffdhe4096, ffdhe6144, ffdhe8192, none",
    'ec = "p256"': "ec: 'p256' is unknown: choose one of prime256v1, secp384r1, secp521r1, none",
    'root_file = "{date}"': "root_file: '{date}' has the unknown field {date}",
    'date_format = "now"': "date_format: 'now' is no form of a date",
    '[line.archive]\npath = "old/{name}"': "archive, path: 'old/{name}' would be one path for all files: write {file}",
    '[line.archive]\npath = "{fil}"': "archive, path: '{fil}' has the unknown field {fil}",
    "[line.archive]\nkeep = -1": "archive, keep: -1 is out of range",
    "[line.archive]\nday = 1": "archive, day: unknown key; did you mean 'days'?",
}


@pytest.mark.parametrize("text", BAD_LINES)
def test_a_bad_setting_of_all_files_is_told_with_its_field_and_what_to_do(tmp_path: Path, text: str) -> None:
    assert BAD_LINES[text] in refusal(tmp_path, LINE + text + "\n")


def test_a_password_that_all_may_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    (tmp_path / "password").chmod(0o644)
    told = refusal(tmp_path, output('kind = "pkcs12"\npath = "a.p12"\npassword_file = "password"'))
    assert "password can be read by every user: give it mode 0600" in told


def test_the_container_of_an_encrypted_key_needs_a_password(tmp_path: Path) -> None:
    """A key that is encrypted on disk is so in each file that holds it."""
    (tmp_path / "passphrase").write_text("secret")
    (tmp_path / "passphrase").chmod(0o600)
    text = output('kind = "pkcs12"\npath = "a.p12"').replace(
        "[[line.o", 'passphrase = { file = "passphrase" }\n[[line.o'
    )
    assert "password_file: is missing: the line's keys are encrypted, in a container too" in refusal(tmp_path, text)
