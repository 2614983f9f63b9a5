"""The commands for admin tokens, groups, networks and states of followers, against a master that serves."""

import ssl
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.cli_bed import Commands, Master, serving


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    """One for all tests here: each names its own things."""
    with serving(tmp_path_factory.mktemp("access") / "master") as running:
        yield running


@pytest.fixture
def certline(master: Master, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(master.config, capsys)


Bearing = Callable[[Path], tuple[str | Path, ...]]


@pytest.fixture
def bearing(master: Master) -> Bearing:
    """The words with which a command uses the token in a file."""
    where = ("--url", f"https://localhost:{master.port}", "--ca-file", master.config.parent / "tls" / "ca.pem")
    return lambda file: (*where, "--token-file", file)


def test_a_token_is_printed_once_alone_on_stdout_and_never_listed(certline: Commands) -> None:
    said = certline("token", "create", "once", "--role", "viewer", "--expires", "90d")

    assert said.code == 0
    assert said.out.startswith("certline_")
    assert said.out.count("\n") == 1
    assert "shown this once" in said.err
    listed = certline("token", "list").well().out
    row = next(line for line in listed.splitlines() if line.startswith("once"))
    assert row.split()[:3] == ["once", "viewer", said.out.split("_")[1]]
    assert said.out.strip() not in listed
    assert said.out.strip() not in str(certline.json("token", "list"))


def test_a_token_written_to_a_file_is_its_owners_and_nowhere_else(
    certline: Commands, bearing: Bearing, tmp_path: Path
) -> None:
    file = tmp_path / "token"

    said = certline("token", "create", "filed", "--role", "viewer", "--to", file)

    assert said.well().out == f"the token filed is in {file}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert certline("status", *bearing(file)).code == 0


def test_a_viewers_token_makes_no_other(certline: Commands, bearing: Bearing, tmp_path: Path) -> None:
    file = tmp_path / "token"
    certline("token", "create", "looker", "--role", "viewer", "--to", file).well()

    told = certline("token", "create", "climber", "--role", "admin", *bearing(file)).refused(3)

    assert "needs the role admin; you have viewer" in told


def test_a_file_that_is_there_is_kept_and_no_token_is_made(certline: Commands, tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_text("mine")

    assert "is there already" in certline("token", "create", "unmade", "--role", "viewer", "--to", file).refused(2)
    assert file.read_text() == "mine"
    assert "unmade" not in certline("token", "list").well().out


def test_no_file_is_left_of_a_token_that_was_refused(certline: Commands, tmp_path: Path) -> None:
    certline("token", "create", "twin", "--role", "viewer")

    told = certline("token", "create", "twin", "--role", "viewer", "--to", tmp_path / "twin").refused(3)

    assert "revoke it first, or choose another name" in told
    assert not (tmp_path / "twin").exists()


def test_a_rotated_token_and_the_one_before_are_both_good(certline: Commands, bearing: Bearing, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    certline("token", "create", "turning", "--role", "viewer", "--to", old).well()

    certline("token", "rotate", "turning", "--overlap", "1h", "--to", new).well()

    assert certline("status", *bearing(old)).code == 0
    assert certline("status", *bearing(new)).code == 0
    certline("token", "revoke", "turning.before").well()
    assert "refuses this admin token" in certline("status", *bearing(old)).refused(3)
    assert certline("status", *bearing(new)).code == 0


def test_a_token_in_a_url_is_in_no_log(master: Master, certline: Commands) -> None:
    token = certline.json("token", "create", "in-url", "--role", "viewer")["token"]
    url = f"https://localhost:{master.port}/v1/status?token={token}"

    answer = httpx.get(url, verify=ssl.create_default_context(cafile=str(master.config.parent / "tls" / "ca.pem")))

    assert answer.status_code == 400
    assert "in a URL" in answer.json()["detail"]
    assert token not in master.log.read_text()


def test_the_last_admins_token_is_revoked_only_by_force(certline: Commands) -> None:
    assert "last valid token of an admin" in certline("token", "revoke", "init").refused(3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--network", "10.2.0.1/16"], "write 10.2.0.0/16 for the network"),
        (["--network", "nowhere"], "is no network: write for example 10.2.0.0/16"),
        (["--forever", "--expires", "1d"], "contradict each other"),
    ],
)
def test_wrong_input_for_a_token_is_told(certline: Commands, words: list[str], told: str) -> None:
    assert told in certline("token", "create", "wrong", "--role", "viewer", *words).refused(2)


def test_a_group_grants_to_all_its_followers(certline: Commands) -> None:
    for name in ("member-1", "member-2"):
        certline("follower", "create", name)
    assert "may request: www.example.com" in certline("group", "grant", "web", "www.Example.com.").well().out

    for name in ("member-1", "member-2"):
        assert certline("follower", "groups", name, "web").well().out == f"{name} is in: web\n"

    assert "may request   www.example.com (by its groups)" in certline("follower", "show", "member-1").well().out
    assert certline.json("group", "show", "web")["followers"] == ["member-1", "member-2"]
    assert "member-1" in certline("group", "list").well().out
    assert "take it out first" in certline("group", "delete", "web").refused(3)
    for name in ("member-1", "member-2"):
        certline("follower", "groups", name, "web", "--remove").well()
    assert certline("group", "delete", "web").well().out == "group web is deleted\n"


def test_a_group_that_is_not_there_cannot_be_joined(certline: Commands) -> None:
    certline("follower", "create", "joiner")

    assert "there is no group 'nobodys': add it" in certline("follower", "groups", "joiner", "nobodys").refused(2)


def test_only_a_line_that_is_there_can_be_granted_to_pull(certline: Commands) -> None:
    certline("follower", "create", "puller")

    assert "there is no line 'missing'" in certline("follower", "grant", "puller", "--pull", "missing").refused(2)


def test_networks_are_set_shown_and_taken_back(certline: Commands) -> None:
    certline("follower", "create", "placed", "--grant", "placed.example.com")

    assert "are taken from: 10.2.0.0/16" in certline("follower", "networks", "placed", "10.2.0.0/16").well().out
    assert "only from 10.2.0.0/16" in certline("follower", "show", "placed").well().out
    found = certline.json("follower", "show", "placed")
    assert found["grants"] == {"request": ["placed.example.com"]}, "all else stays"
    assert "from: anywhere" in certline("follower", "networks", "placed", "--anywhere").well().out
    assert "write 10.2.0.0/16 for the network" in certline("follower", "networks", "placed", "10.2.3.4/16").refused(2)
    assert "or write --anywhere" in certline("follower", "networks", "placed").refused(2)


def test_only_an_enrolled_follower_can_be_suspended(certline: Commands) -> None:
    certline("follower", "create", "invited")

    assert "is invited: only an enrolled one" in certline("follower", "suspend", "invited").refused(3)
    assert "is invited, not suspended" in certline("follower", "resume", "invited").refused(3)
