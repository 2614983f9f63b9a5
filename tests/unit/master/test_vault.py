"""The vault and where its key comes from: what is wrong is told apart, and no secret shows in a message."""

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from certline_master.domain.errors import Invalid, Unavailable
from certline_master.store import vault as vaults
from certline_master.store.kek import Kek, new_kek, read_kek
from certline_master.store.vault import GCM, GCM_SIV, Place, Vault, WrappedKey
from tests.fakes.chance import SeededChance

SECRET = b"a private key, say"
PLACE = Place("instance-1", "account-key", "11111111-1111-4111-8111-111111111111", 1)


@pytest.fixture
def chance() -> SeededChance:
    return SeededChance()


@pytest.fixture
def kek(chance: SeededChance) -> Kek:
    return new_kek(chance)


@pytest.fixture
def key(kek: Kek, chance: SeededChance) -> WrappedKey:
    return Vault(kek, chance).new_data_key(PLACE.instance)


def _encrypted(kek: Kek, key: WrappedKey) -> bytes:
    return Vault(kek, SeededChance("nonces")).encrypt(SECRET, PLACE, key)


def _decrypt(kek: Kek | None, key: WrappedKey | None, data: bytes, place: Place = PLACE) -> bytes:
    return Vault(kek, SeededChance("unused")).decrypt(data, place, lambda _key_id: key)


def test_a_secret_comes_back_from_its_place(kek: Kek, key: WrappedKey) -> None:
    data = _encrypted(kek, key)
    assert SECRET not in data
    assert _decrypt(kek, key, data) == SECRET


def test_the_stored_form_names_version_algorithm_and_data_key(kek: Kek, key: WrappedKey) -> None:
    data = _encrypted(kek, key)
    assert data[0] == 1
    assert data[1] in (GCM_SIV, GCM)
    assert vaults.key_id_of(data) == key.id
    assert len(data) == 1 + 1 + 16 + 12 + len(SECRET) + 16


def test_equal_secrets_do_not_look_equal(kek: Kek, key: WrappedKey) -> None:
    vault = Vault(kek, SeededChance("nonces"))
    assert vault.encrypt(SECRET, PLACE, key) != vault.encrypt(SECRET, PLACE, key)


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, instance="instance-2"),
        replace(PLACE, kind="tsig"),
        replace(PLACE, row="22222222-2222-4222-8222-222222222222"),
        replace(PLACE, version=2),
    ],
    ids=["installation", "kind", "row", "version"],
)
def test_a_secret_does_not_open_in_another_place(kek: Kek, key: WrappedKey, elsewhere: Place) -> None:
    """The data key itself, which is bound to its installation, is left out of the question here."""
    opened = vaults.unseal(kek.key, key.wrapped, Place(PLACE.instance, "data-key", key.id, 1))
    with pytest.raises(InvalidTag):
        vaults.unseal(opened, _encrypted(kek, key), elsewhere)


def test_every_flipped_bit_is_noticed(kek: Kek, key: WrappedKey) -> None:
    data = _encrypted(kek, key)
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unavailable, match=r"damaged|data key"):
            Vault(kek, SeededChance("x")).decrypt(
                bytes(changed), PLACE, lambda wanted: key if wanted == key.id else None
            )


@pytest.mark.parametrize("length", [0, 1, 17, 18, 29, 30, 45])
def test_a_cut_secret_is_called_damaged(kek: Kek, key: WrappedKey, length: int) -> None:
    with pytest.raises(Unavailable, match="damaged"):
        _decrypt(kek, key, _encrypted(kek, key)[:length])


def test_without_a_kek_the_vault_is_sealed_and_says_what_to_do(kek: Kek, key: WrappedKey, chance: SeededChance) -> None:
    sealed = Vault(None, chance)
    for use in (
        lambda: sealed.encrypt(SECRET, PLACE, key),
        lambda: sealed.decrypt(_encrypted(kek, key), PLACE, lambda _id: key),
        lambda: sealed.new_data_key(PLACE.instance),
    ):
        with pytest.raises(Unavailable, match=r"sealed.*\[secrets\] kek"):
            use()


def test_a_wrong_kek_is_told_from_a_damaged_data_key(kek: Kek, key: WrappedKey, chance: SeededChance) -> None:
    data, wrong = _encrypted(kek, key), new_kek(chance)
    with pytest.raises(Unavailable, match=f"wrong key encryption key.*{kek.id}.*{wrong.id}"):
        _decrypt(wrong, key, data)
    damaged = replace(key, wrapped=key.wrapped[:-1] + bytes([key.wrapped[-1] ^ 1]))
    with pytest.raises(Unavailable, match=r"data key .* is damaged \(the key encryption key is the right one\)"):
        _decrypt(kek, damaged, data)


def test_a_missing_data_key_is_named(kek: Kek, key: WrappedKey) -> None:
    with pytest.raises(Unavailable, match=f"needs the data key {key.id}"):
        _decrypt(kek, None, _encrypted(kek, key))


def test_the_check_of_a_data_key_says_why_it_cannot_be_used(kek: Kek, key: WrappedKey, chance: SeededChance) -> None:
    assert Vault(kek, chance).check(PLACE.instance, key) is None
    assert "wrong key" in (Vault(new_kek(chance), chance).check(PLACE.instance, key) or "")
    assert "damaged" in (Vault(kek, chance).check("another installation", key) or "")


def test_where_openssl_lacks_gcm_siv_plain_gcm_is_used_and_both_are_read(
    kek: Kek, key: WrappedKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _encrypted(kek, key)
    monkeypatch.setattr(vaults, "_best_algorithm", lambda: GCM)
    after = _encrypted(kek, key)
    assert (before[1], after[1]) == (GCM_SIV, GCM)
    assert _decrypt(kek, key, before) == _decrypt(kek, key, after) == SECRET


# --- where the KEK comes from -----------------------------------------------------------------------------------------


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
