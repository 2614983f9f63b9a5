"""`certline kek` and `certline datakey`: rotated beside a running master, cut off anywhere, and every secret opens."""

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from certline_master import identity
from certline_master.cli.local_follower import program
from certline_master.domain.access import SYSTEM
from certline_master.store.kek import Kek, new_kek, read_kek
from certline_shared.chance import SystemChance
from tests.integration.cli_bed import ENVIRONMENT, Commands, Master, initialised, serving
from tests.integration.cli_store import generations, opened


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    """Initialised, not started, with some secrets."""
    made = initialised(tmp_path / "etc")
    yield made
    made.stop()


@pytest.fixture
def command(master: Master, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(master.config, capsys)


def add_secrets(master: Master) -> dict[str, bytes]:
    words = [f"secret number {number}".encode() for number in range(5)]
    store = opened(master)
    ids = store.write(lambda records: [records.secrets.add(SYSTEM, "test", word) for word in words])
    store.close()
    return dict(zip(ids, words, strict=True))


def readable(master: Master, words: dict[str, bytes]) -> bool:
    """Every secret, the master's own keys among them, and a new one can be made."""
    store = opened(master)
    try:
        assert store.sealed is None
        store.write(lambda records: records.secrets.add(SYSTEM, "new", b"another"))
        with store.read() as records:
            identity.load(records)
            return {one: records.secrets.read(SYSTEM, "test", one) for one in words} == words
    finally:
        store.close()


def killed_at(master: Master, place: str, *words: str) -> None:
    command = [program("certline"), "--config", str(master.config), *words]
    done = subprocess.run(
        command, env=ENVIRONMENT | {"CERTLINE_FAILPOINT": place, "CERTLINE_UNDER_TEST": "1"}, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, f"{place} was not reached"


def kek_of(master: Master, name: str = "kek") -> Kek:
    return read_kek(f"file:{master.folder / name}")


# --- the KEK in a file ------------------------------------------------------------------------------------------------


def test_a_file_kek_is_rotated_beside_a_running_master_which_goes_on_and_starts_with_the_new_one(
    tmp_path: Path,
) -> None:
    with serving(tmp_path / "etc") as master:
        words, old = add_secrets(master), kek_of(master)

        said = master.command("kek", "rotate").well()

        new = kek_of(master)
        assert new != old
        assert kek_of(master, "kek.former") == old
        assert new.id in said.out
        assert {(one.kek_id, one.former_kek_id) for one in generations(master)} == {(new.id, old.id)}
        assert "ready" in master.command("status").well().out
        with master.client() as client:
            assert client.put("/v1/followers/web-1", {"grants": {"request": []}})
            assert client.post("/v1/followers/web-1/token")["enrolment"]  # a new secret
        assert "the former key opens nothing here any more" in master.command("kek", "retire").well().out
        master.stop()
        master.start()
        assert "ready" in master.command("status").well().out
        assert readable(master, words)
    assert not (master.folder / "kek.former").exists()
    assert {(one.kek_id, one.former_kek_id) for one in generations(master)} == {(new.id, None)}
    assert stat.S_IMODE((master.folder / "kek").stat().st_mode) == 0o600


PLACES = ["kek.new-made", "kek.one-rewrapped", "kek.rewrapped", "kek.former-kept", "kek.swapped"]


@pytest.mark.parametrize("place", PLACES)
def test_a_rotation_killed_anywhere_leaves_every_secret_readable_and_is_finished_when_run_again(
    master: Master, command: Commands, place: str
) -> None:
    words, old = add_secrets(master), kek_of(master)

    killed_at(master, place, "kek", "rotate")

    assert readable(master, words)
    if place != "kek.swapped":  # there all is done but to say so
        command("kek", "rotate").well()
    assert readable(master, words)
    new = kek_of(master)
    assert new != old
    assert kek_of(master, "kek.former") == old
    assert not (master.folder / "kek.new").exists()
    assert {one.kek_id for one in generations(master)} == {new.id}
    killed_at(master, "kek.retired", "kek", "retire")
    assert readable(master, words)
    command("kek", "retire").well()
    assert not (master.folder / "kek.former").exists()
    assert "nothing to do" in command("kek", "retire").well().out
    assert readable(master, words)


def test_a_second_rotation_waits_until_the_first_is_retired(master: Master, command: Commands) -> None:
    command("kek", "rotate").well()
    first = kek_of(master)

    assert "first run `certline kek retire`" in command("kek", "rotate").refused(3)

    assert kek_of(master) == first
    command("kek", "retire").well()
    command("kek", "rotate").well()
    assert kek_of(master) != first


def test_without_the_key_nothing_is_rotated_and_no_new_one_is_made(master: Master, command: Commands) -> None:
    (master.folder / "kek").rename(master.folder / "aside")

    assert "sealed: cannot read" in command("kek", "rotate").refused(3)
    assert "sealed: cannot read" in command("kek", "retire").refused(3)
    assert "sealed: cannot read" in command("datakey", "rotate").refused(3)

    assert not (master.folder / "kek").exists()
    assert not (master.folder / "kek.new").exists()


# --- to another source ------------------------------------------------------------------------------------------------


def printing(folder: Path, kek: Kek) -> Path:
    made = folder / "give-key"
    text = f"import sys\nassert sys.argv[1:] in ([], ['a b', '$c'])\nprint({kek.text!r})\n"
    made.write_text(f"#!{sys.executable}\n{text}")
    made.chmod(0o700)
    return made


def test_from_a_file_to_a_program_and_back_to_another_file(master: Master, command: Commands) -> None:
    words, kek = add_secrets(master), new_kek(SystemChance())
    prints = printing(master.folder, kek)

    said = command("kek", "rotate", "--to", "exec:", "--", str(prints), "a b", "$c").well()

    assert 'kek = "exec:"' in said.out
    assert f'kek_command = ["{prints}", "a b", "$c"]' in said.out
    assert kek.text not in said.out
    assert readable(master, words)
    told = command("kek", "retire").refused(3)
    assert "secrets.kek does not give the key that all data keys are under, nothing was ended" in told
    assert readable(master, words)
    master.edit('kek = "file:kek"', f'kek = "exec:"\nkek_command = ["{prints}", "a b", "$c"]')
    command("kek", "retire").well()
    assert readable(master, words)
    command("kek", "rotate", "--to", "file:second").well()
    assert stat.S_IMODE((master.folder / "second").stat().st_mode) == 0o600
    master.edit('kek = "exec:"', 'kek = "file:second" # ')
    command("kek", "retire").well()
    assert readable(master, words)
    assert {one.kek_id for one in generations(master)} == {kek_of(master, "second").id}


def test_a_rotation_to_another_source_killed_in_between_is_finished_when_run_again(
    master: Master, command: Commands
) -> None:
    words = add_secrets(master)
    for place in ("kek.new-made", "kek.one-rewrapped", "kek.rewrapped"):
        killed_at(master, place, "kek", "rotate", "--to", "file:second")
        assert readable(master, words)

    command("kek", "rotate", "--to", "file:second").well()

    master.edit('kek = "file:kek"', 'kek = "file:second"')
    assert readable(master, words)
    command("kek", "retire").well()
    assert {(one.kek_id, one.former_kek_id) for one in generations(master)} == {(kek_of(master, "second").id, None)}


@pytest.mark.parametrize(
    ("to", "code", "told"),
    [
        ("file:kek", 3, "gives the key that is in use already"),
        ("file:data/kek", 2, "inside the data folder"),
        ("vault:x", 2, "it must begin with file:, credential:, exec: or env:"),
        ("exec:/no/such/program", 2, "cannot run /no/such/program"),
        ("env:NO_SUCH_VARIABLE", 2, "the environment variable NO_SUCH_VARIABLE is not set"),
    ],
)
def test_a_source_that_gives_no_new_key_changes_nothing(
    master: Master, command: Commands, to: str, code: int, told: str
) -> None:
    before = generations(master)

    assert told in command("kek", "rotate", "--to", to).refused(code)

    assert generations(master) == before


def test_a_key_not_in_a_file_needs_to_be_told_where_the_new_one_is(master: Master, command: Commands) -> None:
    prints = printing(master.folder, kek_of(master))
    master.edit('kek = "file:kek"', f'kek = "exec:{prints}"')

    assert "name with --to where the new key is" in command("kek", "rotate").refused(2)


# --- data keys --------------------------------------------------------------------------------------------------------


def test_a_data_key_is_rotated_beside_a_running_master(tmp_path: Path) -> None:
    with serving(tmp_path / "etc") as master:
        words, [before] = add_secrets(master), generations(master)

        said = master.command("datakey", "rotate", "--batch", "2").well()

        [after] = generations(master)
        assert after.id != before.id
        assert said.out == f"{before.secrets} secrets sealed anew, 1 old data key removed\n"
        assert "ready" in master.command("status").well().out
        with master.client() as client:
            assert client.put("/v1/followers/web-1", {"grants": {"request": []}})
            assert client.post("/v1/followers/web-1/token")["enrolment"]  # a new secret
        assert readable(master, words)


DATA_KEY_PLACES = ["datakey.added", "datakey.one-carried:3", "datakey.batch-carried:1", "datakey.batch-carried:3"]


@pytest.mark.parametrize("place", DATA_KEY_PLACES)
def test_a_data_key_rotation_killed_anywhere_leaves_every_secret_readable_and_goes_on_when_run_again(
    master: Master, command: Commands, place: str
) -> None:
    words, [before] = add_secrets(master), generations(master)

    killed_at(master, place, "datakey", "rotate", "--batch", "2")

    assert readable(master, words)
    active = generations(master)[0].id
    assert active != before.id
    command("datakey", "rotate", "--batch", "2").well()
    assert [one.id for one in generations(master)] == [active]  # gone on with, not begun anew
    assert readable(master, words)


def test_both_keys_rotated_and_what_was_done_is_on_record(master: Master, command: Commands) -> None:
    words = add_secrets(master)

    command("kek", "rotate").well()
    assert "first run `certline kek retire`" in command("datakey", "rotate").refused(3)
    command("kek", "retire").well()
    command("datakey", "rotate").well()

    assert readable(master, words)
    store = opened(master)
    with store.read() as records:
        kinds = [event.kind for event in reversed(records.events.all(SYSTEM, subject="instance"))]
    store.close()
    assert kinds[-4:] == ["kek.rotated", "kek.retired", "datakey.added", "datakey.removed"]


def test_the_status_shows_what_is_needed_and_given_and_works_sealed_too(master: Master, command: Commands) -> None:
    add_secrets(master)
    shown = command.json("kek", "status")
    assert shown["sealed"] is None
    [key] = shown["data_keys"]
    assert (key["kek_id"], key["former_kek_id"], key["secrets"]) == (kek_of(master).id, None, 9)
    assert kek_of(master).id in command("kek", "status").well().out
    (master.folder / "kek").unlink()
    assert "state   sealed: cannot read" in command("kek", "status").well().out
    assert json.loads(command("kek", "status", "--output", "json").out)["sealed"]
