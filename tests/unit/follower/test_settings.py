"""The settings file: what it may say, and one clear line for each thing it may not."""

import grp
import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from certline_follower import settings
from certline_follower.settings import Output, Service, SettingsError
from certline_shared.key_types import KeyType

FULL = """\
state_dir = "state"
keep = 7
[master]
url = "https://master.example.org:8443/"
poll = 30
[[line]]
name = "shop"
names = ["Shop.Example.com", "bücher.example"]
key_type = "rsa-3072"
services = ["nginx"]
[[line.output]]
kind = "fullchain"
path = "tls/../tls/shop.pem"
[[line.output]]
kind = "combined"
path = "/srv/shop.pem"
as = "copy"
mode = "0640"
[[line]]
name = "mail"
[services.nginx]
reload = ["systemctl", "reload", "nginx"]
check = ["nginx", "-t"]
timeout = 1.5
on_failure = "warn"
[services.postfix]
reload = ["postfix", "reload"]
"""


def load(folder: Path, text: str) -> settings.Settings:
    file = folder / "certline-follower.toml"
    file.write_text(text)
    return settings.load(file)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder, text)
    return str(caught.value).replace(f"{folder}/certline-follower.toml", "FILE")


def test_a_full_file_says_all_there_is_to_say(tmp_path: Path) -> None:
    read = load(tmp_path, FULL)
    shop, mail = read.lines
    assert (read.keep, read.poll_seconds, read.master_url) == (7, 30, "https://master.example.org:8443")
    assert (shop.name, shop.names) == ("shop", ("shop.example.com", "xn--bcher-kva.example"))
    assert (shop.services, mail.services, mail.names, mail.outputs) == (("nginx",), (), None, ())
    assert shop.outputs[1] == Output("combined", Path("/srv/shop.pem"), "copy", None, None, 0o640, KeyType.RSA_3072)
    assert read.services["nginx"] == Service("nginx", ("systemctl", "reload", "nginx"), ("nginx", "-t"), 1.5, "warn")


def test_what_a_file_leaves_out_has_a_default(tmp_path: Path) -> None:
    read = load(tmp_path, FULL.replace("keep = 7\n", "").replace("poll = 30\n", ""))
    postfix = read.services["postfix"]
    assert (read.keep, read.poll_seconds, read.trust_ca_file) == (5, 300, None)
    assert (postfix.check, postfix.timeout, postfix.on_failure) == (None, 60, "rollback")
    assert read.lines[1].key_types == (KeyType.ECDSA_P256,)
    assert load(tmp_path, "").state_dir == Path("/var/lib/certline-follower")


def test_files_with_a_key_are_for_their_owner_alone_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    output = '[[line.output]]\nkind = "{0}"\npath = "{0}.pem"\n'
    kinds = ("key", "cert", "chain", "fullchain", "combined")
    read = load(tmp_path, '[[line]]\nname = "a"\n' + "".join(map(output.format, kinds)))
    assert [oct(made.permissions) for made in read.lines[0].outputs] == ["0o600", "0o644", "0o644", "0o644", "0o600"]


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "ca.pem").touch()
    (tmp_path / "host" / "certline-follower.toml").write_text(FULL.replace("[master]", '[master]\nca_file = "ca.pem"'))
    monkeypatch.chdir(tmp_path)
    read = settings.load(Path("host/certline-follower.toml"))
    assert read.file == tmp_path / "host" / "certline-follower.toml"
    assert read.state_dir == tmp_path / "host" / "state"
    assert read.lines[0].outputs[0].path == tmp_path / "host" / "tls" / "shop.pem"
    assert read.trust_ca_file == tmp_path / "host" / "ca.pem"


def test_the_example_is_a_file_that_loads(tmp_path: Path) -> None:
    read = load(tmp_path, settings.example())
    assert (read.lines[0].name, read.services["nginx"].check) == ("shop", ("nginx", "-t"))


OUTPUT = '[[line]]\nname = "a"\n[[line.output]]\nkind = "key"\npath = "a.pem"\n'

REFUSED = {
    "unknown key": ("kep = 3\n", "FILE, line 1: kep: unknown key; did you mean 'keep'?"),
    "unknown key in a table": (
        "[master]\n\nzone = 1\n",
        "FILE, line 3: master, zone: unknown key; known here: url, poll",
    ),
    "unknown key of an output": (OUTPUT + "color = 1\n", 'FILE, line 6: line "a", output 1, color: unknown key'),
    "unknown table": ("[hookz]\n", "FILE, line 1: hookz: unknown key"),
    "duplicate key": ("keep = 3\n\nkeep = 4", "FILE, line 3: keep: stands twice"),
    "duplicate table": ("[master]\n[master]\n", "FILE, line 2: stands twice"),
    "string for a number": ('keep = "3"\n', "FILE, line 1: keep: expected a number, found a string: write keep = 5"),
    "truth for a number": ("keep = true\n", "FILE, line 1: keep: expected a number, found true or false"),
    "fraction for a whole number": ("keep = 2.5\n", "FILE, line 1: keep: 2.5 is not a whole number"),
    "number out of range": ("keep = 0\n", "FILE, line 1: keep: 0 is out of range: choose 1 to 1000"),
    "not a number": ("[master]\npoll = nan\n", "FILE, line 2: master, poll: nan is out of range"),
    "number for a string": ("state_dir = 3\n", "FILE, line 1: state_dir: expected a string, found a number"),
    "empty string": ('state_dir = ""\n', "FILE, line 1: state_dir: is empty"),
    "string for a list": ('[[line]]\nname = "a"\nnames = "a.example"\n', 'line 3: line "a", names: expected a list'),
    "number in a list": (
        '[[line]]\nname = "a"\nnames = [1]\n',
        'line 3: line "a", names: 1 in the list is not a string',
    ),
    "one table for many": ('[line]\nname = "a"\n', "FILE, line 1: line: expected tables: write [[line]] for each"),
    "value for a table": ("services = 3\n", "FILE, line 1: services: expected a table, found a number"),
    "not TOML": ("keep 3\n", "FILE, line 1: not valid TOML"),
    "cut": ('[[line]]\nname = "a"\nnames = [', "FILE: not valid TOML: "),
    "mode as a number": (OUTPUT + "mode = 0640\n", 'FILE, line 6: mode: a mode is a string: write mode = "0640"'),
    "mode as an octal number": (OUTPUT + "mode = 0o640\n", 'FILE, line 6: line "a", output 1, mode: expected a string'),
    "no mode": (OUTPUT + 'mode = "rw-r--r--"\n', "mode: 'rw-r--r--' is no file mode: write three octal digits"),
    "mode with a special bit": (OUTPUT + 'mode = "4600"\n', "mode: '4600' is no file mode"),
    "key for everyone": (OUTPUT + 'mode = "0644"\n', "mode: 0644 would show the private key to every user"),
    "plain http": ('[master]\nurl = "http://m"\n', "FILE, line 2: master, url: 'http://m' cannot be used: write url ="),
    "credentials in the URL": ('[master]\nurl = "https://a:b@m"\n', "master, url: "),
    "no URL": ('[master]\nurl = "https://[m"\n', "master, url: "),
    "missing CA file": ('[master]\nca_file = "ca.pem"\n', "FILE, line 2: master, ca_file: "),
    "line without a name": ("[[line]]\n", "FILE, line 1: line 1, name: is missing"),
    "bad line name": ('[[line]]\nname = "A/b"\n', "FILE, line 2: line 1, name: the line name 'A/b' cannot be used"),
    "reserved line name": ('[[line]]\nname = "generation.json"\n', "FILE, line 2: line 1, name: is taken"),
    "same line twice": (
        '[[line]]\nname = "a"\n[[line]]\nname = "a"\n',
        "FILE, line 4: line \"a\", name: 'a' stands twice",
    ),
    "unknown key type": (
        '[[line]]\nname = "a"\nkey_type = "dsa"\n',
        "key_type: 'dsa' is unknown: choose one of ecdsa-p256",
    ),
    "key type of another line": (OUTPUT + 'key_type = "rsa-2048"\n', "key_type: the line makes ecdsa-p256 keys"),
    "unknown service": ('[[line]]\nname = "a"\nservices = ["web"]\n', "'web' has no table: write [services.web]"),
    "unknown kind": (OUTPUT.replace('"key"', '"pem"'), "FILE, line 4: line \"a\", output 1, kind: 'pem' is unknown"),
    "unknown way": (OUTPUT + 'as = "move"\n', "as: 'move' is unknown: choose one of link, copy"),
    "output without a path": (OUTPUT.replace('path = "a.pem"\n', ""), 'line 3: line "a", output 1, path: is missing'),
    "directory as a path": (OUTPUT.replace("a.pem", "tls/"), "path: 'tls/' is a directory: add the file's name"),
    "NUL in a path": (OUTPUT.replace("a.pem", "a\\u0000"), "path: is empty or has a NUL character"),
    "unknown owner": (OUTPUT + 'owner = "nobody-at-all"\n', "owner: there is no user 'nobody-at-all' on this host"),
    "unknown group": (OUTPUT + 'group = "none-at-all"\n', "group: there is no group 'none-at-all' on this host"),
    "command as a string": (
        '[services.web]\nreload = "systemctl reload web"\n',
        'services.web, reload: expected a list of strings, found a string: write reload = ["systemctl", "reload"',
    ),
    "empty command": ("[services.web]\nreload = []\n", "FILE, line 2: services.web, reload: is empty"),
    "command without a program": ('[services.web]\nreload = [""]\n', "services.web, reload: is empty"),
    "service without a command": ("[services.web]\ntimeout = 3\n", "services.web, reload: is missing"),
    "endless command": ('[services.web]\nreload = ["x"]\ntimeout = inf\n', "timeout: inf is out of range"),
    "unknown way out": ('[services.web]\nreload = ["x"]\non_failure = "stop"\n', "on_failure: 'stop' is unknown"),
    "bad service name": ('[services."a b"]\nreload = ["x"]\n', "FILE, line 1: services, a b: the service name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_told_with_its_line_and_field(case: str, tmp_path: Path) -> None:
    text, expected = REFUSED[case]
    assert expected in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ('[""]', "an empty name"),
        ("[]", "no names: give at least one"),
        ('["10.0.0.1"]', "'10.0.0.1' is an IP address"),
        ('["*.a.example", "b.a.example"]', "'*.a.example' already covers 'b.a.example'"),
        (str([f"n{number}.example" for number in range(101)]), "101 names: at most 100"),
        ('["' + ".".join(["a" * 50] * 5) + '"]', "is longer than 253 octets"),
        ('["straße.example"]', "IDNA 2003 and 2008 disagree"),
    ],
)
def test_a_name_that_no_certificate_can_have_is_told(names: str, expected: str, tmp_path: Path) -> None:
    told = refusal(tmp_path, f'[[line]]\nname = "shop"\nnames = {names}\n')
    assert told.startswith('FILE, line 3: line "shop", names: ')
    assert expected in told


def test_two_outputs_cannot_share_a_path_even_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "same").symlink_to("tls")
    other = OUTPUT.replace('"a"', '"b"').replace("a.pem", "same/a.pem")
    told = refusal(tmp_path, OUTPUT.replace("a.pem", "tls/a.pem") + other)
    assert told.startswith('FILE, line 10: line "b", output 1, path: ')
    assert 'same/a.pem is the path of line "a", output 1 too: choose another path' in told


def test_an_output_lies_neither_in_the_state_nor_on_the_settings(tmp_path: Path) -> None:
    inside = refusal(tmp_path, 'state_dir = "state"\n' + OUTPUT.replace("a.pem", "state/live/a.pem"))
    assert "state/live/a.pem lies in state_dir: choose a path outside of it" in inside
    itself = refusal(tmp_path, OUTPUT.replace("a.pem", "certline-follower.toml"))
    assert "is this settings file too" in itself


@pytest.mark.parametrize(("content", "expected"), [(b"\xff", "is not UTF-8"), (b"a = " + b"[" * 9000, "too deep")])
def test_a_file_that_is_no_text_at_all_is_told(content: bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "certline-follower.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match=expected):
        settings.load(file)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read: No such file"):
        settings.load(tmp_path / "missing.toml")


@pytest.fixture
def ordinary() -> Iterator[Path]:
    """A folder of an ordinary user, whom this process is for the time of a test."""
    was_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        if was_root:
            os.chown(folder, 65534, 65534)
            os.setegid(65534)
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if was_root:
                os.seteuid(0)
                os.setegid(0)


def test_an_ordinary_user_cannot_give_files_away(ordinary: Path) -> None:
    assert "owner: only root can give a file to 'root'" in refusal(ordinary, OUTPUT + 'owner = "root"\n')
    foreign = next(group.gr_name for group in grp.getgrall() if group.gr_gid not in (os.getegid(), *os.getgroups()))
    assert f"group: this user is not in the group '{foreign}'" in refusal(ordinary, OUTPUT + f'group = "{foreign}"\n')


def test_an_ordinary_user_may_name_itself(ordinary: Path) -> None:
    user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    output = load(ordinary, OUTPUT + f'owner = "{user}"\ngroup = "{group}"\n').lines[0].outputs[0]
    assert (output.owner, output.group) == (user, group)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A working directory and a system folder."""
    working, system = tmp_path / "work", tmp_path / "system"
    working.mkdir()
    system.mkdir()
    return working, system


def test_the_file_is_looked_for_where_one_works_then_in_the_system_folder(folders: tuple[Path, Path]) -> None:
    working, system = folders
    (system / "certline-follower.toml").touch()
    assert settings.find(None, working, system) == system / "certline-follower.toml"
    (working / "certline-follower.toml").touch()
    assert settings.find(None, working, system) == working / "certline-follower.toml"


def test_a_relative_name_is_looked_for_in_both_and_an_absolute_one_only_there(folders: tuple[Path, Path]) -> None:
    working, system = folders
    (system / "other.toml").touch()
    assert settings.find("other.toml", working, system) == system / "other.toml"
    assert settings.find(str(system / "other.toml"), working, system) == system / "other.toml"
    with pytest.raises(SettingsError) as caught:
        settings.find(str(working / "other.toml"), working, system)
    assert str(system) not in str(caught.value)


def test_when_there_is_no_file_the_places_tried_are_named(folders: tuple[Path, Path]) -> None:
    working, system = folders
    (working / "certline-follower.toml").mkdir()
    with pytest.raises(SettingsError) as caught:
        settings.find(None, working, system)
    expected = f"tried {working}/certline-follower.toml, {system}/certline-follower.toml: write one there"
    assert expected in str(caught.value)
