"""The private keys of this host's lines, and pulled versions until they are installed, on disk."""

import shutil
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from certline_follower.private_files import private_folder, sync_folder, write_private
from certline_follower.state import VersionRef
from certline_shared import certificates, keys
from certline_shared.keys import KeyType, PrivateKey


class Material:
    """`state_dir/keys/LINE/KEYTYPE.pem` and `state_dir/versions/LINE/N-DIGEST/KEYTYPE/{chain,key}.pem`.

    `key.pem` is there when the master keeps the key and gave this host a copy; `key.pin` then tells its SPKI pin.

    Line names and file names were checked where they came from (settings, manifest). Methods raise OSError, and
    ValueError for a key file that is damaged.
    """

    def __init__(self, state_dir: Path) -> None:
        self._keys = state_dir / "keys"
        self._versions = state_dir / "versions"

    def make_key(self, line: str, key_type: str, spent: str | None = None) -> str:
        """The SPKI pin of the line's key, made now unless it is there; only the `spent` one is ever replaced."""
        path = self._key_path(line, key_type)
        if not path.exists() or (spent and keys.spki_sha256(self.key(line, key_type)) == spent):
            private_folder(self._keys)
            private_folder(path.parent)
            write_private(path, keys.to_pem(keys.generate(KeyType(key_type))))
            sync_folder(self._keys)
        return keys.spki_sha256(self.key(line, key_type))

    def key(self, line: str, key_type: str) -> PrivateKey:
        return keys.from_pem(self.key_pem(line, key_type))

    def key_pem(self, line: str, key_type: str) -> bytes:
        return self._key_path(line, key_type).read_bytes()

    def key_types(self, line: str) -> set[str]:
        """The kinds of key that are on disk for the line."""
        return {path.stem for path in (self._keys / line).glob("*.pem") if path.stem in set(KeyType)}

    def keep_version(self, line: str, version: VersionRef, files: Mapping[str, str]) -> None:
        """Write the version's files, all or none."""
        folder = self._folder(line, version)
        private_folder(self._versions)
        private_folder(folder.parent)
        beside = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(beside, ignore_errors=True)
        private_folder(beside)
        for name, text in files.items():
            private_folder((beside / name).parent)
            write_private(beside / name, text.encode())
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
        sync_folder(folder.parent)

    def has_version(self, line: str, version: VersionRef) -> bool:
        return self._folder(line, version).is_dir()

    def chain(self, line: str, version: VersionRef, key_type: str) -> str:
        return (self._folder(line, version) / key_type / "chain.pem").read_text("ascii")

    def can_install(self, line: str, version: VersionRef, key_type: str) -> bool:
        """Whether the version has a certificate of that type for a key that is here. Raises OSError, ValueError."""
        if not (self._folder(line, version) / key_type / "chain.pem").exists():
            return False
        key = self.copy_pem(line, version, key_type)
        if key is None and not self._key_path(line, key_type).exists():
            return False
        private = self.key(line, key_type) if key is None else keys.from_pem(key)
        return certificates.matches(private, self.chain(line, version, key_type))

    def copy_pem(self, line: str, version: VersionRef, key_type: str) -> bytes | None:
        """The version's key from the master; None for a version for this host's own key."""
        path = self._folder(line, version) / key_type / "key.pem"
        return path.read_bytes() if path.exists() else None

    def copies(self) -> "set[tuple[str, str]]":
        """Line and SPKI pin of each key from the master that is cached, half written ones too."""
        return {
            (folder.parent.name, pin.read_text("ascii", errors="replace"))
            for folder in self._cached()
            for pin in folder.glob("*/key.pin")
        }

    def strays(self, lines: Container[str]) -> bool:
        """Whether there are cached versions of other lines than these."""
        return any(folder.parent.name not in lines for folder in self._cached())

    def sweep(self) -> None:
        """Remove what a kill left half written. Raises OSError."""
        for folder in self._versions.glob("*/.*.new/"):
            shutil.rmtree(folder)

    def prune(self, needed: Mapping[str, VersionRef]) -> None:
        """Remove pulled versions but the needed ones; never a key."""
        keep = {self._folder(line, version) for line, version in needed.items()}
        for folder in self._cached():
            if folder not in keep:
                shutil.rmtree(folder)

    def forget(self, line: str) -> None:
        """Remove all that is kept of a line, its keys too."""
        for folder in (self._versions / line, self._keys / line):
            shutil.rmtree(folder, ignore_errors=not folder.exists())

    def _cached(self) -> Iterator[Path]:
        if self._versions.is_dir():
            yield from self._versions.glob("*/*/")
            yield from self._versions.glob("*/.*.new/")

    def _key_path(self, line: str, key_type: str) -> Path:
        return self._keys / line / f"{key_type}.pem"

    def _folder(self, line: str, version: VersionRef) -> Path:
        return self._versions / line / f"{version.number}-{version.digest}"
