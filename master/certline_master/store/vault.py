"""The vault: secrets encrypted under a data key, the data key wrapped by the KEK, each bound to its place.

Stored form: version (1 byte), algorithm (1 byte), data key id (16 bytes), nonce (12 bytes), ciphertext with tag.
Associated data: instance id, kind, row id, secret version; so what is moved to another row, kind or installation does
not open there (security note 3.1).
"""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV

from certline_master.domain.errors import Unavailable
from certline_master.store.kek import Kek
from certline_shared.chance import Chance

FORM = 1
GCM_SIV, GCM = 1, 2
_HEADER = 18
_NONCE = 12

SEALED = "sealed: no key encryption key was given; set [secrets] kek and restart"


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
    """A row of data_keys."""

    id: str
    kek_id: str
    wrapped: bytes


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


class Vault:
    """Opens data keys with the KEK once and keeps them in memory. Thread-safe. Without a KEK it is sealed."""

    def __init__(self, kek: Kek | None, chance: Chance) -> None:
        self._kek, self._chance = kek, chance
        self._keys: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def new_data_key(self, instance: str) -> WrappedKey:
        kek = self._need_kek()
        key, key_id = self._chance.token(32), self._chance.uuid()
        wrapped = seal(kek.key, key_id, key, _place_of_key(instance, key_id), self._chance)
        return WrappedKey(key_id, kek.id, wrapped)

    def encrypt(self, secret: bytes, place: Place, key: WrappedKey) -> bytes:
        """Raises Unavailable: sealed, wrong KEK, damaged data key."""
        return seal(self._open(place.instance, key), key.id, secret, place, self._chance)

    def decrypt(self, data: bytes, place: Place, find_key: Callable[[str], WrappedKey | None]) -> bytes:
        """Raises Unavailable naming the cause; never anything of the plaintext."""
        self._need_kek()
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
        kek = self._need_kek()
        if key.kek_id != kek.id:
            raise Unavailable(
                f"sealed: wrong key encryption key; the database needs the one with id {key.kek_id}, given was {kek.id}"
            )
        try:
            return unseal(kek.key, key.wrapped, _place_of_key(instance, key.id))
        except InvalidTag:
            raise Unavailable(
                f"the data key {key.id} is damaged (the key encryption key is the right one): restore the database"
            ) from None

    def _need_kek(self) -> Kek:
        if self._kek is None:
            raise Unavailable(SEALED)
        return self._kek


def _place_of_key(instance: str, key_id: str) -> Place:
    return Place(instance, "data-key", key_id, 1)
