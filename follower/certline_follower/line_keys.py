"""The private keys of this host's lines on disk: the current one of each key type, the next one, and the one before."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from certline_follower.custody import SLOTS, KeySlot
from certline_follower.passphrases import NO_PASSPHRASES, Passphrases
from certline_follower.private_files import private_folder, sync_folder, write_private
from certline_shared import keys
from certline_shared.failpoints import failpoint
from certline_shared.keys import KeyType, PrivateKey

FAILPOINTS = ("keys.previous_kept", "keys.next_promoted")


class LineKeys:
    """`state_dir/keys/LINE/KEYTYPE.pem`, `.../LINE/next/KEYTYPE.pem` and `.../LINE/previous/KEYTYPE.pem`.

    Of a line whose key is made elsewhere (`given`) the current key is that file: read, never written. Line names and
    key types were checked where they came from (settings, manifest). Methods raise OSError, and ValueError for a file
    that is damaged, holds a key of another type, or needs a passphrase that cannot be had.
    """

    def __init__(
        self,
        state_dir: Path,
        given: Mapping[str, tuple[KeyType, Path]] | None = None,
        passphrases: Passphrases = NO_PASSPHRASES,
    ) -> None:
        self._folder = state_dir / "keys"
        self._given = given or {}
        self._passphrases = passphrases

    def make(self, line: str, key_type: str, slot: KeySlot = "current", spent: str | None = None) -> str:
        """The SPKI pin of that key, made now unless it is there; only the `spent` one is ever replaced."""
        path = self.path(line, key_type, slot)
        if line in self._given and not path.exists():
            raise ValueError(f"{path} is missing: this host makes no key for a line that has key_file")
        if not path.exists() or (spent and line not in self._given and self.pin(line, key_type, slot) == spent):
            self._write(path, line, keys.generate(KeyType(key_type)))
        return self.pin(line, key_type, slot)

    def key(self, line: str, key_type: str, slot: KeySlot = "current") -> PrivateKey:
        key = keys.from_pem(self.pem(line, key_type, slot), self.passphrase(line))
        if keys.key_type_of(key) != key_type:
            path = self.path(line, key_type, slot)
            raise ValueError(f"{path} has an {keys.key_type_of(key)} key: an {key_type} key belongs there")
        return key

    def pin(self, line: str, key_type: str, slot: KeySlot = "current") -> str:
        return keys.spki_sha256(self.key(line, key_type, slot))

    def pem(self, line: str, key_type: str, slot: KeySlot = "current") -> bytes:
        """As it lies there, encrypted where the line has a passphrase."""
        return self.path(line, key_type, slot).read_bytes()

    def passphrase(self, line: str) -> bytes | None:
        """None for a line whose keys are not encrypted. Raises ValueError."""
        return self._passphrases.of(line)

    def found(self, line: str) -> dict[KeySlot, dict[str, str]]:
        """Slot -> key type -> what tells the file from another one at its place, without reading it."""
        return {slot: dict(self._marks(line, slot)) for slot in SLOTS}

    def promote(self, line: str, key_type: str) -> None:
        """The next key becomes the current one, that the previous one; after a kill anywhere in it, do it again."""
        current, upcoming = self.path(line, key_type, "current"), self.path(line, key_type, "next")
        if current.exists():
            previous = self.path(line, key_type, "previous")
            private_folder(previous.parent)
            write_private(previous, current.read_bytes())
            failpoint("keys.previous_kept")
        upcoming.replace(current)
        sync_folder(upcoming.parent)
        sync_folder(current.parent)
        failpoint("keys.next_promoted")

    def encrypt(self, line: str) -> None:
        """Own keys that lie there in clear although the line has a passphrase are put into its cipher."""
        passphrase = self.passphrase(line)
        for slot in SLOTS if passphrase else ():
            for key_type in dict(self._marks(line, slot)):
                if line not in self._given or slot != "current":
                    self._encrypt(self.path(line, key_type, slot), line)

    def forget(self, line: str) -> None:
        """Remove them all, but for one that was made elsewhere."""
        folder = self._folder / line
        shutil.rmtree(folder, ignore_errors=not folder.exists())

    def path(self, line: str, key_type: str, slot: KeySlot = "current") -> Path:
        if slot == "current":
            return self._given[line][1] if line in self._given else self._folder / line / f"{key_type}.pem"
        return self._folder / line / slot / f"{key_type}.pem"

    def _encrypt(self, path: Path, line: str) -> None:
        pem = path.read_bytes()
        if not keys.is_encrypted(pem):
            self._write(path, line, keys.from_pem(pem))

    def _write(self, path: Path, line: str, key: PrivateKey) -> None:
        pem = keys.to_pem(key, self.passphrase(line))
        private_folder(self._folder)
        private_folder(self._folder / line)
        private_folder(path.parent)
        write_private(path, pem)
        sync_folder(self._folder / line)
        sync_folder(self._folder)

    def _marks(self, line: str, slot: KeySlot) -> Iterator[tuple[str, str]]:
        is_given = slot == "current" and line in self._given
        for key_type in (self._given[line][0],) if is_given else KeyType:
            path = self.path(line, key_type, slot)
            if path.is_file():
                status = path.stat()
                yield str(key_type), f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"
