"""The vault: what is wrong is told apart, and no secret shows in a message."""

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag

from certline_master.domain.errors import Unavailable
from certline_master.store import vault as vaults
from certline_master.store.kek import Kek, new_kek
from certline_master.store.keyring import Keyring
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


def test_a_damaged_wrap_does_not_hide_the_former_one_that_opens(
    kek: Kek, key: WrappedKey, chance: SeededChance
) -> None:
    data, other = _encrypted(kek, key), new_kek(chance)
    both = replace(key, kek_id=other.id, wrapped=b"x" * 80, former_kek_id=kek.id, former_wrapped=key.wrapped)
    assert _decrypt(kek, both, data) == SECRET
    vault = Vault(Keyring(other, (kek,)), chance)
    assert vault.decrypt(data, PLACE, lambda _id: both) == SECRET
