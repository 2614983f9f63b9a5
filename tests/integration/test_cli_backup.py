"""`certline backup`, `restore` and `epoch raise`: the commands, killed anywhere, and what they refuse."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certline_master.cli.local_follower import program
from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Event
from tests.integration.cli_bed import ENVIRONMENT, Commands, Master, initialised, serving
from tests.integration.cli_store import opened


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    """Initialised, not started."""
    made = initialised(tmp_path / "etc")
    yield made
    made.stop()


@pytest.fixture
def command(master: Master, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(master.config, capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "backups"
    made.mkdir()
    return made


def fact(master: Master, key: str) -> str | None:
    store = opened(master)
    with store.read() as records:
        found = records.instance.get(SYSTEM, key)
    store.close()
    return found


def set_fact(master: Master, key: str, value: str) -> None:
    store = opened(master)
    store.write(lambda records: records.instance.set(SYSTEM, key, value))
    store.close()


def events(master: Master) -> list[Event]:
    store = opened(master)
    with store.read() as records:
        found = records.events.all(SYSTEM, subject="instance")
    store.close()
    return found


def killed_at(master: Master, place: str, *words: str | Path) -> None:
    line = [program("certline"), "--config", str(master.config), *map(str, words)]
    environment = ENVIRONMENT | {"CERTLINE_FAILPOINT": place, "CERTLINE_UNDER_TEST": "1"}
    done = subprocess.run(line, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, f"{place} was not reached: {done.stderr!r}"


# --- backup -----------------------------------------------------------------------------------------------------------


def test_a_backup_is_made_beside_a_running_master_and_restored_after_it(tmp_path: Path, folder: Path) -> None:
    with serving(tmp_path / "etc") as master:
        with master.client() as client:
            client.put("/v1/followers/web-1", {"grants": {"request": []}})
        said = master.command("backup", folder).well()
        [file] = folder.iterdir()
        assert said.out.startswith(f"{file}: ")
        assert file.stat().st_mode & 0o777 == 0o600
        with master.client() as client:
            client.put("/v1/followers/web-2", {"grants": {"request": []}})
        assert "another certline process" in master.command("restore", file, "--force").refused(3)
        master.stop()
        assert "with --force it is kept aside" in master.command("restore", file).refused(3)

        told = master.command("restore", file, "--force").well().out

        assert "In force again, also what was revoked" in told
        assert "admin token  init" in told
        master.start()
        with master.client() as client:
            assert [one["name"] for one in client.get("/v1/followers")] == ["web-1"]


def test_a_new_machine_with_settings_and_key_needs_the_backup_and_no_more(
    master: Master, command: Commands, folder: Path
) -> None:
    command("backup", folder / "one").well()
    token = (master.folder / "admin.toml").read_bytes()
    shutil.rmtree(master.folder / "data")
    (master.folder / "tls" / "api.pem").unlink()

    command("restore", folder / "one").well()
    master.start()

    with master.client() as client:
        assert client.get("/v1/whoami") == {"name": "init", "role": "admin"}
    assert (master.folder / "admin.toml").read_bytes() == token


def test_verify_tells_what_it_is_and_whether_the_key_proves_it(master: Master, command: Commands, folder: Path) -> None:
    command("backup", folder / "one", "--quiet").well()

    shown = command.json("backup", "verify", folder / "one")

    assert shown["proved"] is True
    assert shown["rows"]["admin_tokens"] == 1
    (master.folder / "kek").rename(folder.parent / "aside")
    assert "not proved: the key is not at hand" in command("backup", "verify", folder / "one").well().out
    (folder / "one").write_bytes((folder / "one").read_bytes()[:-300])
    assert f"{folder / 'one'}: " in command("backup", "verify", folder / "one").refused(3)
    assert "No such file" in command("backup", "verify", folder / "none").refused(3)


def test_without_the_key_a_backup_is_made_that_nothing_proves(master: Master, command: Commands, folder: Path) -> None:
    kek = (master.folder / "kek").rename(folder.parent / "aside")

    said = command("backup", folder / "one")

    assert said.code == 0
    assert "nothing proves later who made it" in said.err
    kek.rename(master.folder / "kek")
    assert "say --unproved" in command("restore", folder / "one", "--force").refused(3)
    command("restore", folder / "one", "--force", "--unproved").well()


def test_the_key_is_never_beside_a_backup_whatever_it_is_called(
    master: Master, command: Commands, folder: Path
) -> None:
    for target in (master.folder, master.folder / "one", master.folder.parent / "two"):
        told = command("backup", target).refused(3)
        assert f"the key encryption key lies in {master.folder / 'kek'}, beside the backup" in told
    shutil.copy(master.folder / "kek", folder / "harmless.txt")
    assert f"lies in {folder / 'harmless.txt'}" in command("backup", folder).refused(3)
    assert [path.name for path in folder.iterdir()] == ["harmless.txt"]


def test_an_older_backup_is_not_written_over(command: Commands, folder: Path) -> None:
    (folder / "one").write_text("older")

    assert "is there already" in command("backup", folder / "one").refused(3)

    assert (folder / "one").read_text() == "older"
    assert "No such file" in command("backup", folder / "none" / "one").refused(3)


def test_a_backup_that_was_cut_off_leaves_no_file_of_its_name(master: Master, command: Commands, folder: Path) -> None:
    killed_at(master, "backup.written", "backup", folder / "one")

    assert not (folder / "one").exists()
    command("backup", folder / "one").well()


# --- restore ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["restore.rows", "restore.filled", "restore.moved-aside"])
def test_a_restore_killed_anywhere_leaves_the_old_or_the_new_whole_and_is_done_when_run_again(
    master: Master, command: Commands, folder: Path, place: str
) -> None:
    command("backup", folder / "one").well()
    set_fact(master, "later", "yes")

    killed_at(master, place, "restore", folder / "one", "--force")

    if place == "restore.moved-aside":
        assert "there is no database" in command("kek", "status").refused(3)
    else:
        assert fact(master, "later") == "yes"
    command("restore", folder / "one", "--force").well()
    assert fact(master, "later") is None
    aside = [path for path in (master.folder / "data").iterdir() if "before" in path.name]
    assert [b"later" in path.read_bytes() for path in aside if not path.name.endswith(("-wal", "-shm"))] == [True]
    assert not list((master.folder / "data").glob("*restoring*"))


def test_a_backup_from_before_a_rotation_needs_the_former_key_and_is_put_under_the_present_one(
    master: Master, command: Commands, folder: Path, tmp_path: Path
) -> None:
    former = shutil.copy(master.folder / "kek", tmp_path / "safe")
    command("backup", folder / "one").well()
    command("kek", "rotate").well()
    command("kek", "retire").well()

    assert "name where it is with --backup-kek" in command("restore", folder / "one", "--force").refused(3)
    command("restore", folder / "one", "--force", "--backup-kek", f"file:{former}").well()

    shown = command.json("kek", "status")
    assert shown["sealed"] is None
    assert [key["former_kek_id"] for key in shown["data_keys"]] == [None]


def test_what_is_no_backup_changes_nothing(master: Master, command: Commands, folder: Path) -> None:
    (folder / "one").write_text("no backup")
    set_fact(master, "still", "here")

    assert "it is no backup, or damaged" in command("restore", folder / "one", "--force").refused(3)

    assert fact(master, "still") == "here"


# --- the epoch --------------------------------------------------------------------------------------------------------


def test_the_epoch_is_raised_by_hand_with_all_that_belongs_to_it(master: Master, command: Commands) -> None:
    before = int(fact(master, "epoch") or 0)

    shown: Any = json.loads(command("epoch", "raise", "--hold", "5", "--output", "json").well().out)

    assert int(fact(master, "epoch") or 0) == shown["epoch"] > before
    assert shown["tokens"] == ["init"]
    assert fact(master, "orders.held-until") == shown["held_until"]
    assert events(master)[0].kind == "instance.went-back"
