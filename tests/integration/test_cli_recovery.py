"""The ways back in: what an operator does who has lost the admin token, beside a master that goes on serving."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli_bed import Commands, Master, serving


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    with serving(tmp_path_factory.mktemp("recovery") / "master") as running:
        yield running


@pytest.fixture
def certline(master: Master, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(master.config, capsys)


def test_who_lost_the_admin_token_makes_one_on_the_masters_machine(
    master: Master, certline: Commands, tmp_path: Path
) -> None:
    profile = master.folder / "admin.toml"
    kept = profile.read_text()
    profile.unlink()
    try:
        file = tmp_path / "token"
        said = certline("token", "create", "back-in", "--role", "admin", "--local", "--to", file)
        assert said.code == 0, said.err
        assert file.stat().st_mode & 0o777 == 0o600

        asked = ("--url", f"https://localhost:{master.port}", "--ca-file", master.folder / "tls" / "ca.pem")
        found = certline.json("token", "list", *asked, "--token-file", file)
    finally:
        profile.write_text(kept)
    assert "back-in" in {token["name"] for token in found}
    events = certline.json("event", "list", "--subject", "token:back-in")
    assert [(event["kind"], event["actor"]) for event in events] == [("token.made", "system")]


def test_a_token_made_there_is_printed_alone_on_stdout(certline: Commands) -> None:
    said = certline("token", "create", "printed", "--role", "viewer", "--local", "--expires", "30d")
    assert said.out.startswith("certline_")
    assert said.out.count("\n") == 1
    assert "shown this once" in said.err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        pytest.param(("--network", "10.0.0.1/8"), "10.0.0.0/8", id="a host inside a network"),
        pytest.param(("--forever", "--expires", "1d"), "contradict", id="for ever and not"),
    ],
)
def test_what_cannot_be_is_refused_by_name(certline: Commands, words: tuple[str, ...], why: str) -> None:
    said = certline("token", "create", "bad", "--role", "viewer", "--local", *words)
    assert why in said.refused(2)


def test_a_name_that_is_taken_or_none_is_refused(certline: Commands) -> None:
    certline("token", "create", "taken", "--role", "viewer", "--local")
    assert "taken" in certline("token", "create", "taken", "--role", "viewer", "--local").refused(3)
    assert "../up" in certline("token", "create", "../up", "--role", "viewer", "--local").refused(2)
