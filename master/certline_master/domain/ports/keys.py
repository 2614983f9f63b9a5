"""Keys that the master keeps, their copies, and certificates to be revoked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from certline_master.domain.access import Caller
from certline_master.domain.custody import Key, KeyCopy, KeyMaterial, Revocation, SealedKey
from certline_master.domain.model import Line


class KeyRecords(Protocol):
    """Keys of custody `master`. Viewers see what there is; the private keys are in the vault."""

    def all(self, caller: Caller) -> list[Key]: ...
    def get(self, caller: Caller, name: str) -> Key: ...
    def save(self, caller: Caller, key: Key) -> None:
        """Raises Conflict when the name is another's."""
        ...

    def materials(self, caller: Caller, key_ids: Sequence[str]) -> dict[str, list[KeyMaterial]]:
        """By key id, the newest first; nothing for a follower."""
        ...

    def by_ids(self, caller: Caller, key_ids: Sequence[str]) -> list[Key]: ...
    def by_pins(self, caller: Caller, spki_sha256: Sequence[str]) -> list[KeyMaterial]:
        """Whatever key they are of; nothing for a follower."""
        ...

    def is_kept(self, caller: Caller, spki_sha256: str) -> bool:
        """Whether the master has, or gave away, this private key."""
        ...

    def add_material(self, caller: Caller, material: KeyMaterial) -> bool:
        """False, and nothing is added, when its slot of that key type is taken already; not so `previous`."""
        ...

    def demote(self, caller: Caller, key_id: str) -> int:
        """`current` and `next` become `previous`: a new key is to be made. Returns how many did."""
        ...

    def rise(self, caller: Caller, material: KeyMaterial, *, now: datetime) -> None:
        """It becomes current, what was it previous; the requests of the key's lines follow, and are looked at."""
        ...

    def forget(self, caller: Caller, material: KeyMaterial) -> bool:
        """Delete it, not its secret; False when it is gone already."""
        ...

    def holders(self, caller: Caller, line: Line) -> list[str]:
        """Ids of all followers, whatever their state, that see the line: its own one, or those that may pull it."""
        ...

    def sealed(self, caller: Caller, follower_id: str) -> list[SealedKey]: ...
    def keep_sealed(self, caller: Caller, sealed: SealedKey) -> None:
        """In place of the one for the same version and key type; those of versions long gone are dropped."""
        ...

    def give(self, caller: Caller, copy: KeyCopy) -> bool:
        """Write down that the key is given away; False when this follower has it already, as far as is known.

        One that enrolled anew since is another host, and has none.
        """
        ...

    def copies(self, caller: Caller, spki_sha256: Sequence[str]) -> list[KeyCopy]:
        """Of these keys, the oldest first; nothing for a follower."""
        ...

    def copies_at(self, caller: Caller, follower_id: str) -> list[KeyCopy]: ...
    def seen(self, caller: Caller, follower_id: str, spki_sha256: str, *, now: datetime) -> None: ...
    def deleted(self, caller: Caller, follower_id: str, spki_sha256: str, *, now: datetime) -> bool:
        """True the first time."""
        ...


class RevocationRecords(Protocol):
    """What is to be revoked at CAs. An operator intends, the engine carries out."""

    def intend(self, caller: Caller, revocation: Revocation) -> bool:
        """False when that certificate's revocation is on record already."""
        ...

    def all(self, caller: Caller, *, follower: str | None = None) -> list[Revocation]:
        """The oldest first; `follower`: those that its loss caused."""
        ...

    def due(self, caller: Caller, now: datetime, limit: int) -> Sequence[Revocation]: ...
    def save(self, caller: Caller, revocation: Revocation) -> bool:
        """State, times and error; False when it is over already."""
        ...

    def look(self, caller: Caller, line: str, *, now: datetime) -> bool:
        """Those of a line that wait for other hosts are looked at now; tells whether there are any."""
        ...

    def hasten(self, caller: Caller, follower: str, *, now: datetime) -> int:
        """Those that this follower's loss caused wait no longer; returns how many did."""
        ...
