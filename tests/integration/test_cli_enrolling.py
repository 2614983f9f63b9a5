"""The ways to enrol and the changes of keys, with both commands, a serving master and hosts in folders of their own."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from certline_follower import identity as identities
from certline_follower import rotation
from certline_master.cli.local_follower import program
from tests.integration.cli_bed import ENVIRONMENT, Commands, Master, Said, serving
from tests.testbed.program import Program


@dataclass
class Host:
    """A host without lines; its folder is all there is of it."""

    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "certline-follower.toml").write_text('state_dir = "state"\n')

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def identity(self) -> identities.Identity:
        return identities.load(self.state)

    def __call__(self, *words: str, text: str = "", failpoint: str | None = None) -> Said:
        armed = {"CERTLINE_UNDER_TEST": "1", "CERTLINE_FAILPOINT": failpoint} if failpoint else {}
        done = subprocess.run(
            [program("certline-follower"), "--config", "certline-follower.toml", *words], cwd=self.folder,
            env=ENVIRONMENT | armed, input=text, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return Said(done.returncode, done.stdout, done.stderr)

    def sync(self) -> Said:
        return self("sync")

    def fingerprint(self, master: Master, name: str) -> str:
        """What it shows; it does not wait."""
        said = self(
            "enroll", "--introduce", "--master", f"https://localhost:{master.port}", "--name", name, "--wait", "0",
            "--output", "json",
        )  # fmt: skip
        assert said.code == 4, said.err
        shown: str = json.loads(said.out)["fingerprint"]
        assert shown in said.err
        return shown

    def introduced(self, master: Master, name: str) -> Said:
        return self(
            "enroll", "--introduce", "--master", f"https://localhost:{master.port}", "--name", name, "--wait", "20"
        )


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    """One for the tests here that leave it as it is: each names its own hosts."""
    with serving(tmp_path_factory.mktemp("enrolling") / "master") as running:
        yield running


@pytest.fixture
def certline(master: Master, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(master.config, capsys)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


def enrolled(certline: Commands, host: Host, name: str) -> Host:
    string = certline("follower", "create", name, "--quiet").out
    said = host("enroll", text=string)
    assert said.code == 0, said.err
    return host


def events(certline: Commands, kind: str, name: str) -> list[dict[str, Any]]:
    found = certline.json("event", "list", "--subject", f"follower:{name}", "--limit", "100")
    return [one for one in found if one["kind"] == kind]


# --- keys known beforehand --------------------------------------------------------------------------------------------


def test_a_host_whose_keys_were_told_joins_without_a_secret_and_without_a_request(
    certline: Commands, host: Host
) -> None:
    keys = host("keygen")
    assert keys.code == 0
    assert keys.out.startswith("certline-follower-1.")
    assert "fingerprint" in keys.err
    assert host("keygen").out == keys.out
    join = certline("follower", "create", "told-1", "--keys", keys.out.strip(), "--grant", "a.example.org").well().out
    assert host("enroll", text=join).out == f"enrolled with {host.identity.origin} as told-1\n"
    assert host.sync().code == 0
    assert not list(host.state.glob("host-keys.json"))
    assert host("enroll", text=join).code == 0


def test_a_join_string_for_other_keys_is_refused(certline: Commands, host: Host, tmp_path: Path) -> None:
    other = Host(tmp_path / "other")
    join = certline("follower", "create", "told-2", "--keys", other("keygen").out.strip()).out
    said = host("enroll", text=join)
    assert said.code == 3
    assert "for other keys than this host's" in said.err
    host("keygen")
    assert host("enroll", text=join).code == 3


def test_a_string_that_holds_no_keys_makes_no_follower(certline: Commands) -> None:
    assert "not a key string" in certline("follower", "create", "told-3", "--keys", "hello").refused(2)
    assert certline("follower", "show", "told-3").code == 3


@pytest.mark.parametrize("place", ["join.keys_written", "join.identity_written"])
def test_killed_on_the_way_the_same_commands_finish_it(certline: Commands, host: Host, place: str) -> None:
    name = f"told-{place.replace('.', '-').replace('_', '-')}"
    if place == "join.keys_written":
        assert host("keygen", failpoint=place).code == -9
    join = certline("follower", "create", name, "--keys", host("keygen").out.strip()).out
    if place == "join.identity_written":
        assert host("enroll", text=join, failpoint=place).code == -9
    assert host("enroll", text=join).code == 0
    assert host.sync().code == 0


# --- introduction -----------------------------------------------------------------------------------------------------


def test_a_host_is_let_in_by_what_it_shows(certline: Commands, master: Master, host: Host) -> None:
    shown = host.fingerprint(master, "shown-1")
    listed = certline("follower", "pending").well().out
    assert shown.rpartition("-")[0].rpartition("-")[0] in listed
    certline("follower", "approve", shown, "--grant", "a.example.org").well()
    assert host.introduced(master, "shown-1").out == f"enrolled with https://localhost:{master.port} as shown-1\n"
    assert host.sync().code == 0
    assert certline.json("follower", "show", "shown-1")["grants"] == {"request": ["a.example.org"]}
    assert {path.name for path in host.state.glob("*.json")} >= {"identity.json"}
    assert not (host.state / "introduction.json").exists()


def test_the_masters_own_list_is_not_enough(certline: Commands, master: Master, host: Host) -> None:
    host.fingerprint(master, "shown-2")
    (listed,) = [one for one in certline.json("follower", "pending") if one["name"] == "shown-2"]
    assert "only the host shows them" in certline("follower", "approve", listed["fingerprint"]).refused(2)


def test_a_fingerprint_that_no_host_here_has_is_a_warning(certline: Commands, master: Master, host: Host) -> None:
    shown = host.fingerprint(master, "shown-3")
    other = ("B" if shown[0] == "A" else "A") + shown[1:]
    assert "somebody is in between" in certline("follower", "approve", other).refused(3)


def test_another_run_shows_the_same_and_a_rejected_host_may_come_again(
    certline: Commands, master: Master, host: Host
) -> None:
    shown = host.fingerprint(master, "shown-4")
    assert host.fingerprint(master, "shown-4") == shown
    certline("follower", "reject", shown).well()
    assert host.fingerprint(master, "shown-4") == shown


@pytest.mark.parametrize("place", ["introduce.begun", "introduce.answered", "introduce.identity_written"])
def test_an_introduction_killed_anywhere_goes_on(certline: Commands, master: Master, host: Host, place: str) -> None:
    name = f"shown-{place.partition('.')[2].replace('_', '-')}"
    if place == "introduce.begun":
        assert host("enroll", "--introduce", "--master", f"https://localhost:{master.port}", failpoint=place).code == -9
    certline("follower", "approve", host.fingerprint(master, name)).well()
    if place != "introduce.begun":
        words = ("enroll", "--introduce", "--master", f"https://localhost:{master.port}", "--name", name)
        assert host(*words, failpoint=place).code == -9
    assert host.introduced(master, name).code == 0
    assert host.sync().code == 0


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--introduce",), "--master"),
        (("--introduce", "--master", "http://localhost:1"), "https://"),
        (("--introduce", "--master", "https://localhost:1/x"), "nothing more"),
        (("--introduce", "--master", "https://localhost:1", "--name", "../x"), "--name"),
        (("--introduce", "--master", "https://localhost:1", "--ca-file", "ca.pem"), "[master]"),
        (("--master", "https://localhost:1"), "--introduce"),
    ],
)
def test_words_that_do_not_go_together_say_so(host: Host, words: tuple[str, ...], why: str) -> None:
    said = host("enroll", *words)
    assert said.code == 2
    assert why in said.err


# --- keys of a host ---------------------------------------------------------------------------------------------------


def test_a_host_changes_its_keys_and_goes_on(certline: Commands, host: Host) -> None:
    enrolled(certline, host, "changes-1")
    host.sync()
    before = host.identity
    assert host("rotate-keys").out == "this host has new keys of its own\n"
    assert host.identity.identity_key != before.identity_key
    assert host.sync().code == 0
    assert len(events(certline, "follower.keys_changed", "changes-1")) == 1
    assert events(certline, "follower.possible-clone", "changes-1") == []


@pytest.mark.parametrize("place", rotation.FAILPOINTS)
def test_a_host_killed_while_it_changes_its_keys_goes_on(certline: Commands, host: Host, place: str) -> None:
    name = f"killed-{place.partition('.')[2].replace('_', '-')}"
    enrolled(certline, host, name)
    before = host.identity
    assert host("rotate-keys", failpoint=place).code == -9
    assert host.sync().code == 0
    assert host.identity.identity_key != before.identity_key
    assert host.sync().code == 0


@pytest.mark.parametrize("place", ["keys.announced", "keys.take_over"])
def test_a_master_killed_while_a_host_changes_its_keys_goes_on_with_it(tmp_path: Path, place: str, capsys: Any) -> None:
    with serving(tmp_path / "master") as master:
        certline, host = Commands(master.config, capsys), Host(tmp_path / "host")
        enrolled(certline, host, "web-1")
        before = host.identity
        master.stop()
        armed = ENVIRONMENT | {"CERTLINE_UNDER_TEST": "1", "CERTLINE_FAILPOINT": place}
        dying = Program(
            [program("certline"), "--config", master.config, "serve"], log=master.log, env=armed, cwd=master.folder
        )
        with master.client() as client:
            dying.start()
            dying.wait_until(client.answers)
        assert host("rotate-keys").code == 5
        dying.stop()
        master.start()
        assert host.sync().code == 0
        assert host.identity.identity_key != before.identity_key
        assert host.sync().code == 0


def test_a_rebuilt_host_takes_the_place_of_the_former_one_at_the_moment_it_enrols(
    certline: Commands, host: Host, tmp_path: Path
) -> None:
    enrolled(certline, host, "rebuilt")
    for command in ("create", "token"):
        assert "--replace" in certline("follower", command, "rebuilt").refused(3)
    string = certline("follower", "token", "rebuilt", "--replace", "--quiet").out
    assert host.sync().code == 0
    rebuilt = Host(tmp_path / "rebuilt")
    assert rebuilt("enroll", text=string).code == 0
    assert rebuilt.identity.follower_id == host.identity.follower_id
    assert host.sync().code in (3, 4)
    assert rebuilt.sync().code == 0


def test_a_copied_host_is_told_of(certline: Commands, host: Host, tmp_path: Path) -> None:
    enrolled(certline, host, "copied")
    host("rotate-keys")  # a request that counts
    shutil.copytree(host.state, tmp_path / "kept")
    copy = Host(tmp_path / "copy")
    shutil.copytree(tmp_path / "kept", copy.state)
    (host.folder / "certline-follower.toml").write_text(_with_line("x"))
    (copy.folder / "certline-follower.toml").write_text(_with_line("y"))
    for _ in range(6):
        host("sync", "--timeout", "0")
        copy("sync", "--timeout", "0")
        shutil.rmtree(copy.state / "keys", ignore_errors=True)  # so that both have something to ask again
        shutil.rmtree(host.state / "keys", ignore_errors=True)
    assert len(events(certline, "follower.possible-clone", "copied")) == 1


def _with_line(name: str) -> str:
    return (
        f'state_dir = "state"\n[[line]]\nname = "{name}"\nnames = ["{name}.example.org"]\n'
        f'[[line.output]]\nkind = "combined"\npath = "{name}.pem"\n'
    )


# --- the master's signing key -----------------------------------------------------------------------------------------


def test_hosts_go_on_over_a_change_of_the_masters_signing_key_unless_they_slept_over_two(
    tmp_path: Path, capsys: Any
) -> None:
    """F7: one that asked in between goes on; one that slept over one change too; over two it has to enrol anew."""
    with serving(tmp_path / "master") as master:
        certline = Commands(master.config, capsys)
        awake, asleep = Host(tmp_path / "awake"), Host(tmp_path / "asleep")
        for name, host in (("awake", awake), ("asleep", asleep)):
            string = certline("follower", "create", name, "--quiet").out
            assert host("enroll", text=string).code == 0
            assert host.sync().code == 0
        sleeping = asleep.identity
        certline("signing-key", "rotate").well()
        assert awake.sync().code == 0
        assert asleep.identity == sleeping
        shutil.copytree(asleep.folder, tmp_path / "slept-longer")
        assert asleep.sync().code == 0
        certline("signing-key", "rotate", "--force").well()
        assert [awake.sync().code, asleep.sync().code] == [0, 0]
        master.stop()
        master.start()
        assert [awake.sync().code, asleep.sync().code] == [0, 0]
        slept = Host(tmp_path / "slept-longer")
        said = slept.sync()
        assert said.code == 4
        assert slept.identity == sleeping
        string = certline("follower", "token", "asleep", "--replace", "--quiet").out
        assert slept("enroll", "--replace", text=string).code == 0
        assert slept.sync().code == 0


def test_a_change_that_would_cut_hosts_off_is_refused_and_names_them(tmp_path: Path, capsys: Any) -> None:
    with serving(tmp_path / "master") as master:
        certline, host = Commands(master.config, capsys), Host(tmp_path / "host")
        enrolled(certline, host, "sleeper")
        certline("signing-key", "rotate").well()
        assert "sleeper did not ask since the next key was announced" in certline("signing-key", "rotate").refused(3)
        done = certline.json("signing-key", "rotate", "--force")
        assert done["cut_off"] == ["sleeper"]
