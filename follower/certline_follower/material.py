"""Pulled versions until they are installed, on disk."""

import shutil
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path

from certline_follower.line_keys import LineKeys
from certline_follower.private_files import private_folder, sync_folder, write_private
from certline_follower.state import VersionRef


class Material:
    """`state_dir/versions/LINE/N-DIGEST/KEYTYPE/{chain,key}.pem`; `keys` beside them, see line_keys.py.

    `key.pem` is there when the master keeps the key and gave this host a copy; `key.pin` then tells its SPKI pin.

    Line names and file names were checked where they came from (settings, manifest). Methods raise OSError.
    """

    def __init__(self, state_dir: Path, keys: LineKeys) -> None:
        self.keys = keys
        self._versions = state_dir / "versions"

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

    def has_chain(self, line: str, version: VersionRef, key_type: str) -> bool:
        return (self._folder(line, version) / key_type / "chain.pem").exists()

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

    def prune(self, needed: Iterable[tuple[str, VersionRef]]) -> None:
        """Remove pulled versions but the needed ones; never a key."""
        keep = {self._folder(line, version) for line, version in needed}
        for folder in self._cached():
            if folder not in keep:
                shutil.rmtree(folder)

    def forget(self, line: str) -> None:
        """Remove all that is kept of a line, its keys too."""
        folder = self._versions / line
        shutil.rmtree(folder, ignore_errors=not folder.exists())
        self.keys.forget(line)

    def _cached(self) -> Iterator[Path]:
        if self._versions.is_dir():
            yield from self._versions.glob("*/*/")
            yield from self._versions.glob("*/.*.new/")

    def _folder(self, line: str, version: VersionRef) -> Path:
        return self._versions / line / f"{version.number}-{version.digest}"
