"""The vault: secrets encrypted under a data key, the data key wrapped by the KEK, each bound to its place.

Stored form: version (1 byte), algorithm (1 byte), data key id (16 bytes), nonce (12 bytes), ciphertext with tag.
Associated data: instance id, kind, row id, secret version; so what is moved to another row, kind or installation does
not open there (security note 3.1).
"""

import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV

from certline_master.domain.errors import Unavailable
from certline_master.store.kek import Kek
from certline_master.store.keyring import Keyring
from certline_shared.chance import Chance

FORM = 1
GCM_SIV, GCM = 1, 2
_HEADER = 18
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret belongs; it opens nowhere else."""

    instance: str
    kind: str
    row: str
    version: int

    @property
    def associated_data(self) -> bytes:
        return "\0".join((self.instance, self.kind, self.row, str(self.version))).encode()


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A row of data_keys: a data key under the KEK, and until `kek retire` under the former one too."""

    id: str
    kek_id: str
    wrapped: bytes
    former_kek_id: str | None = None
    former_wrapped: bytes | None = None

    @property
    def ways(self) -> Iterator[tuple[str, bytes]]:
        """The id of a KEK that opens it, and what it opens."""
        yield self.kek_id, self.wrapped
        if self.former_kek_id is not None and self.former_wrapped is not None:
            yield self.former_kek_id, self.former_wrapped


def _best_algorithm() -> int:
    """GCM-SIV forgives a repeated nonce (a cloned machine); older OpenSSL lacks it."""
    try:
        AESGCMSIV(bytes(32))
    except UnsupportedAlgorithm:
        return GCM
    return GCM_SIV


def seal(key: bytes, key_id: str, secret: bytes, place: Place, chance: Chance) -> bytes:
    """`secret` in the stored form; `key_id` is a UUID text."""
    algorithm = _best_algorithm()
    nonce = chance.token(_NONCE)
    header = bytes((FORM, algorithm)) + uuid.UUID(key_id).bytes
    return header + nonce + _cipher(algorithm, key).encrypt(nonce, secret, place.associated_data)


def unseal(key: bytes, data: bytes, place: Place) -> bytes:
    """Raises InvalidTag: another key, another place, or damaged."""
    nonce = data[_HEADER : _HEADER + _NONCE]
    if len(nonce) < _NONCE or data[0] != FORM or data[1] not in (GCM_SIV, GCM):
        raise InvalidTag
    return _cipher(data[1], key).decrypt(nonce, data[_HEADER + _NONCE :], place.associated_data)


def _cipher(algorithm: int, key: bytes) -> AESGCMSIV | AESGCM:
    return AESGCMSIV(key) if algorithm == GCM_SIV else AESGCM(key)


def key_id_of(data: bytes) -> str:
    """Which data key a stored secret needs. Raises InvalidTag when there is no telling."""
    if len(data) < _HEADER:
        raise InvalidTag
    return str(uuid.UUID(bytes=data[2:_HEADER]))


def key_id_bytes(key_id: str) -> bytes:
    """As a data key's id stands in the stored form."""
    return uuid.UUID(key_id).bytes


class Vault:
    """Opens data keys with the KEK once and keeps them in memory. Thread-safe. Without a KEK it is sealed."""

    def __init__(self, kek: Kek | Keyring | None, chance: Chance) -> None:
        self._ring = kek if isinstance(kek, Keyring) else Keyring(kek)
        self._chance = chance
        self._keys: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def sealed(self) -> str | None:
        """Why there is no KEK at all, if there is none."""
        return self._ring.why_sealed if self._ring.is_empty else None

    def alone(self, kek: Kek) -> "Vault":
        """A vault with this KEK only, and nothing remembered."""
        return Vault(kek, self._chance)

    def new_data_key(self, instance: str) -> WrappedKey:
        return self.wrap(self._chance.uuid(), self._chance.token(32), instance, self._need_kek())

    def wrap(self, key_id: str, key: bytes, instance: str, kek: Kek) -> WrappedKey:
        return WrappedKey(key_id, kek.id, seal(kek.key, key_id, key, _place_of_key(instance, key_id), self._chance))

    def rewrap(self, instance: str, key: WrappedKey, kek: Kek) -> WrappedKey:
        """The same data key under another KEK. Raises Unavailable when none of ours opens it."""
        return self.wrap(key.id, self._unwrap(instance, key), instance, kek)

    def encrypt(self, secret: bytes, place: Place, key: WrappedKey) -> bytes:
        """Raises Unavailable: sealed, wrong KEK, damaged data key."""
        return seal(self._open(place.instance, key), key.id, secret, place, self._chance)

    def decrypt(self, data: bytes, place: Place, find_key: Callable[[str], WrappedKey | None]) -> bytes:
        """Raises Unavailable naming the cause; never anything of the plaintext."""
        if self.sealed:
            raise Unavailable(self.sealed)
        damaged = f"the secret {place.row} ({place.kind}) is damaged, or was moved there from another row"
        try:
            key_id = key_id_of(data)
        except InvalidTag:
            raise Unavailable(damaged) from None
        key = find_key(key_id)
        if key is None:
            raise Unavailable(f"the secret {place.row} ({place.kind}) needs the data key {key_id}, which is not there")
        try:
            return unseal(self._open(place.instance, key), data, place)
        except InvalidTag:
            raise Unavailable(damaged) from None

    def check(self, instance: str, key: WrappedKey) -> str | None:
        """Why this data key cannot be used; None when it can."""
        try:
            self._open(instance, key)
        except Unavailable as error:
            return str(error)
        return None

    def _open(self, instance: str, key: WrappedKey) -> bytes:
        with self._lock:
            if key.id not in self._keys:
                self._keys[key.id] = self._unwrap(instance, key)
            return self._keys[key.id]

    def _unwrap(self, instance: str, key: WrappedKey) -> bytes:
        """By whichever KEK there is; a way that is damaged does not hide one that works."""
        known = [(kek, wrapped) for kek_id, wrapped in key.ways if (kek := self._ring.find(kek_id)) is not None]
        for kek, wrapped in known:
            try:
                return unseal(kek.key, wrapped, _place_of_key(instance, key.id))
            except InvalidTag:
                continue
        if known:
            raise Unavailable(
                f"the data key {key.id} is damaged (the key encryption key is the right one): restore the database"
            )
        if self.sealed:
            raise Unavailable(self.sealed)
        raise Unavailable(
            f"sealed: wrong key encryption key; the database needs the one with id {key.kek_id}, given was"
            f" {self._ring.shown}"
        )

    def _need_kek(self) -> Kek:
        if self._ring.present is None:
            raise Unavailable(self._ring.why_sealed)
        return self._ring.present


def _place_of_key(instance: str, key_id: str) -> Place:
    return Place(instance, "data-key", key_id, 1)
