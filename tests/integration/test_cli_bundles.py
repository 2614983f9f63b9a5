"""`certline bundle` beside a real master and a real host: the files between them are carried by the test."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.cli_bed import Commands, Master, Said, installed, serving


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    with serving(tmp_path_factory.mktemp("bundles") / "master") as running:
        yield running


@pytest.fixture
def certline(master: Master, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(master.config, capsys)


class Vault:
    """A host that was enrolled once, and is offline since."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        folder.mkdir()
        wish = f'[[line]]\nname = "web"\nnames = ["{name}.example.com"]\n'
        (folder / "certline-follower.toml").write_text(f'state_dir = "{folder}/state"\n{wish}')

    def enrol(self, string: str) -> None:
        file = self.folder / "string"
        file.write_text(string)
        assert self("enroll", "--token-file", file).code == 0

    def __call__(self, *words: str | Path) -> Said:
        config = self.folder / "certline-follower.toml"
        return installed("--config", str(config), *map(str, words), cwd=self.folder, command="certline-follower")


@pytest.fixture
def vault(tmp_path: Path, certline: Commands, request: pytest.FixtureRequest) -> Vault:
    made = Vault(tmp_path / "vault", f"vault-{zlib.crc32(request.node.name.encode())}")
    made.enrol(certline("follower", "create", made.name, "--grant", f"{made.name}.example.com").out)
    return made


def test_a_bundle_goes_there_and_its_receipt_comes_back(certline: Commands, vault: Vault, tmp_path: Path) -> None:
    bundle, receipt = tmp_path / "a.bundle", tmp_path / "a.receipt"
    said = certline("bundle", "create", vault.name, "--to", bundle).well()
    assert said.out == f"{bundle}: 0 lines; on the host: certline-follower apply-bundle {bundle}\n"
    assert vault("apply-bundle", bundle, "--receipt", receipt).code == 0

    said = certline("bundle", "receipt", receipt)

    # This master can prove no name: the wish is refused, and the rest of the receipt is taken.
    assert said.out == f"{vault.name} followed manifest 1 and told of 0 deployments\n"
    assert "line web is refused: " in said.refused(3)
    kinds = {event["kind"] for event in certline.json("event", "list")}
    assert {"bundle.created", "receipt.taken"} <= kinds


def test_a_host_that_never_was_online_gets_its_bundle_and_gives_a_receipt(certline: Commands, tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault", "vault-0")
    keys = vault("keygen").out.strip()
    vault.enrol(certline("follower", "create", "vault-0", "--grant", "vault-0.example.com", "--keys", keys).out)
    bundle, receipt = tmp_path / "a.bundle", tmp_path / "a.receipt"
    certline("bundle", "create", "vault-0", "--to", bundle).well()
    assert vault("apply-bundle", bundle, "--receipt", receipt).code == 0
    assert "followed manifest 1" in certline("bundle", "receipt", receipt).out


def test_without_a_file_the_bundle_goes_to_standard_output_alone(certline: Commands, vault: Vault) -> None:
    said = certline("bundle", "create", vault.name).well()
    assert json.loads(said.out)["format"] == "certline-bundle/1"


def test_in_json_the_command_tells_what_is_in_the_file(certline: Commands, vault: Vault, tmp_path: Path) -> None:
    file = tmp_path / "b"
    told = certline.json("bundle", "create", vault.name, "--to", file)
    assert told == {"file": str(file), "follower": vault.name, "versions": []}


def test_an_older_receipt_is_refused(certline: Commands, vault: Vault, tmp_path: Path) -> None:
    bundle = tmp_path / "b"
    certline("bundle", "create", vault.name, "--to", bundle)
    for name in ("old", "new"):
        assert vault("apply-bundle", bundle, "--receipt", tmp_path / name).code == 0
    certline("bundle", "receipt", tmp_path / "new")
    assert "has said newer things since this receipt" in certline("bundle", "receipt", tmp_path / "old").refused(3)


def test_a_revoked_host_gets_no_bundle(certline: Commands, vault: Vault, tmp_path: Path) -> None:
    certline("follower", "revoke", vault.name)
    said = certline("bundle", "create", vault.name, "--to", tmp_path / "b").refused(3)
    assert f"follower {vault.name} is revoked" in said
    assert not (tmp_path / "b").exists()


def test_what_cannot_be_read_or_written_is_told_by_its_name(certline: Commands, vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("{}")
    assert "junk: is no receipt" in certline("bundle", "receipt", tmp_path / "junk").refused(2)
    nowhere = tmp_path / "none" / "b"
    assert f"{nowhere}: cannot be written" in certline("bundle", "create", vault.name, "--to", nowhere).refused(2)
    assert "no follower" in certline("bundle", "create", "nobody").refused(3)
    (tmp_path / "foreign").write_text('{"keyid":"x","receipt":"","signature":""}')
    assert "no follower of this master" in certline("bundle", "receipt", tmp_path / "foreign").refused(3)
