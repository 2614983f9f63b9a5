"""Where the KEK comes from: guarded, read once, and never shown."""

import os
import stat
import sys
from pathlib import Path

import pytest

from certline_master.domain.errors import Invalid
from certline_master.store.kek import Kek, KekAway, new_kek, read_kek
from certline_master.store.keyring import KekSource, Keyring
from tests.fakes.chance import SeededChance


@pytest.fixture
def chance() -> SeededChance:
    return SeededChance()


@pytest.fixture
def kek(chance: SeededChance) -> Kek:
    return new_kek(chance)


def _written(path: Path, content: bytes | str, mode: int = 0o600) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return f"file:{path}"


def test_a_kek_shows_its_id_and_never_its_key(kek: Kek) -> None:
    assert repr(kek) == f"Kek(id={kek.id})"
    assert kek.key.hex() not in repr(kek)


@pytest.mark.parametrize("form", ["raw", "base64", "base64 with a line end", "base64url without padding"])
def test_a_kek_is_read_from_a_guarded_file(kek: Kek, tmp_path: Path, form: str) -> None:
    forms: dict[str, bytes | str] = {
        "raw": kek.key,
        "base64": kek.text,
        "base64 with a line end": kek.text + "\n",
        "base64url without padding": kek.text.translate(str.maketrans("+/", "-_")).rstrip("="),
    }
    assert read_kek(_written(tmp_path / "kek", forms[form], 0o400)) == kek


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o700])
def test_a_file_that_others_may_touch_is_refused(kek: Kek, tmp_path: Path, mode: int) -> None:
    with pytest.raises(Invalid, match=f"mode {mode:04o}: run `chmod 0400"):
        read_kek(_written(tmp_path / "kek", kek.text, mode))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_is_refused(kek: Kek, tmp_path: Path) -> None:
    source = _written(tmp_path / "kek", kek.text)
    os.chown(tmp_path / "kek", 12345, -1)
    with pytest.raises(Invalid, match="belongs to user 12345"):
        read_kek(source)


def test_a_file_inside_the_data_folder_is_refused_also_by_a_link(kek: Kek, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    source = _written(data / "kek", kek.text)
    (tmp_path / "link").symlink_to(data / "kek")
    for name in (source, f"file:{tmp_path / 'link'}"):
        with pytest.raises(Invalid, match="inside the data folder"):
            read_kek(name, data_folder=data)
    assert read_kek(_written(tmp_path / "kek", kek.text), data_folder=data) == kek


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31, b"x" * 33, b"!" * 44, b"A" * 40])
def test_what_is_no_key_is_refused_without_being_repeated(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(Invalid, match="no key of 32 bytes") as refused:
        read_kek(_written(tmp_path / "kek", content))
    assert not content or content.decode() not in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"/secrets/kek: cannot read .*kek: No such file"):
        read_kek(f"file:{tmp_path / 'kek'}")


def test_a_variable_is_read_and_taken_out_of_the_environment(kek: Kek) -> None:
    environ = {"KEK": kek.text, "PATH": "/bin"}
    assert read_kek("env:KEK", environ=environ) == kek
    assert environ == {"PATH": "/bin"}
    with pytest.raises(Invalid, match="variable KEK is not set"):
        read_kek("env:KEK", environ=environ)


def test_a_kek_from_the_environment_is_warned_about_without_being_shown(
    kek: Kek, caplog: pytest.LogCaptureFixture
) -> None:
    read_kek("env:KEK", environ={"KEK": kek.text})
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "prefer credential:" in record.message
    assert kek.text not in caplog.text


@pytest.mark.parametrize("source", ["file:/no/such/kek", "env:NO_SUCH", "credential:none", "exec:/no/such/program"])
def test_a_source_without_a_key_now_is_told_from_one_that_is_no_good(source: str) -> None:
    with pytest.raises(KekAway):
        read_kek(source, environ={})
    ring = KekSource(source).keyring()
    assert ring.is_empty
    assert ring.why_sealed.startswith("sealed: ")


@pytest.mark.parametrize("source", ["vault:kv", "exec:relative"])
def test_a_source_that_is_no_good_is_not_taken_for_one_without_a_key(source: str) -> None:
    with pytest.raises(Invalid) as refused:
        KekSource(source).keyring()
    assert not isinstance(refused.value, KekAway)


def test_the_keys_beside_a_key_file_are_at_hand_too(kek: Kek, chance: SeededChance, tmp_path: Path) -> None:
    source, coming, former = _written(tmp_path / "kek", kek.text), new_kek(chance), new_kek(chance)
    _written(tmp_path / "kek.new", coming.text)
    _written(tmp_path / "kek.former", former.text)
    ring = KekSource(source).keyring()
    assert ring.present == kek
    assert [ring.find(one.id) for one in (kek, coming, former)] == [kek, coming, former]


def test_a_key_that_is_not_at_hand_is_looked_for_once(kek: Kek, chance: SeededChance) -> None:
    looks: list[str] = []

    def again() -> list[Kek]:
        looks.append("look")
        return []

    ring, other = Keyring(kek, reread=again), new_kek(chance)
    assert ring.find(other.id) is None
    assert ring.find(other.id) is None
    assert ring.find(kek.id) == kek
    assert looks == ["look"]


def test_a_credential_of_systemd_is_read_from_its_folder(kek: Kek, tmp_path: Path) -> None:
    _written(tmp_path / "kek", kek.text)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_kek("credential:kek", environ=environ) == kek
    with pytest.raises(Invalid, match="cannot read the credential other"):
        read_kek("credential:other", environ=environ)
    for name in ("../kek", ".", ""):
        with pytest.raises(Invalid, match="no name of a credential"):
            read_kek(f"credential:{name}", environ=environ)
    with pytest.raises(Invalid, match="LoadCredential"):
        read_kek("credential:kek", environ={})


def _program(path: Path, text: str) -> str:
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_program_prints_the_kek_and_gets_its_arguments_as_they_are(kek: Kek, tmp_path: Path) -> None:
    prints = _program(tmp_path / "prints", f"print({kek.text!r})")
    assert read_kek(f"exec:{prints}") == kek
    echoes = _program(tmp_path / "echoes", "import sys; assert sys.argv[1] == '$HOME; *'; print(sys.argv[2])")
    assert read_kek("exec:", command=[echoes, "$HOME; *", kek.text]) == kek


def test_a_program_that_fails_is_named_and_its_output_is_not_repeated(tmp_path: Path) -> None:
    fails = _program(tmp_path / "fails", "import sys; print('hush'); sys.exit('hush')")
    with pytest.raises(Invalid, match="fails ended with status 1") as refused:
        read_kek(f"exec:{fails}")
    assert "hush" not in str(refused.value)
    with pytest.raises(Invalid, match="cannot run"):
        read_kek(f"exec:{tmp_path / 'missing'}")
    with pytest.raises(Invalid, match="absolute path"):
        read_kek("exec:age")


def test_a_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("certline_master.store.kek._EXEC_SECONDS", 0.2)
    hangs = _program(tmp_path / "hangs", "import signal; signal.pause()")
    with pytest.raises(Invalid, match="gave no key within"):
        read_kek(f"exec:{hangs}")


def test_an_unknown_source_is_told_with_the_known_ones() -> None:
    with pytest.raises(Invalid, match="file:, credential:, exec: or env:"):
        read_kek("vault:kv/kek")
