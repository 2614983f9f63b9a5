"""A backup: one compressed tar of all tables as JSON lines, then a manifest of their hashes, then a proof by the KEK.

It is written and read as a stream. Nothing in it is secret without the KEK, which is never part of it.
"""

import hashlib
import hmac
import io
import json
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from certline_master.domain.errors import Fault, Invalid
from certline_master.store.kek import Kek
from certline_master.store.portable import Shape

FORMAT = 1
PART_BYTES = 4_000_000
_MOST_PART = 64_000_000
MANIFEST, PROOF = "manifest.json", "proof.json"


@dataclass(frozen=True, slots=True)
class Part:
    """A file in the tar: some rows of one table."""

    file: str
    table: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a backup is of."""

    certline: str  # the release that made it
    made: str  # when, ISO 8601
    instance: str
    epoch: int
    revision: str  # of the schema
    database: str
    keks: tuple[str, ...]  # ids of those under which its data keys are
    tables: tuple[Shape, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The last but one file of a backup."""

    facts: Facts
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)


class BadBackup(Invalid):
    """A file that is no backup, or one that was damaged or changed."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(Fault(str(path), why))


def write(path: Path, facts: Facts, tables: Iterable[tuple[Shape, Iterable[bytes]]], kek: Kek | None) -> Manifest:
    """Into a file that is there and empty. Raises OSError."""
    parts: list[Part] = []
    with tarfile.open(path, "w:gz") as archive:
        for shape, lines in tables:
            for number, (count, content) in enumerate(_chunks(lines), start=1):
                name = f"{shape.name}.{number:06}.jsonl"
                _add(archive, name, content)
                parts.append(Part(name, shape.name, count, len(content), hashlib.sha256(content).hexdigest()))
        said = json.dumps({"format": FORMAT, **asdict(facts), "parts": [asdict(part) for part in parts]}, indent=1)
        _add(archive, MANIFEST, said.encode())
        if kek is not None:
            _add(archive, PROOF, json.dumps({"kek": kek.id, "mac": kek.proof(said.encode())}).encode())
    return Manifest(facts, tuple(parts))


def _chunks(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    held, count = bytearray(), 0
    for line in lines:
        held += line
        count += 1
        if len(held) >= PART_BYTES:
            yield count, bytes(held)
            held, count = bytearray(), 0
    if count:
        yield count, bytes(held)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))


def verify(path: Path, keks: Iterable[Kek] = ()) -> tuple[Manifest, bool]:
    """The manifest of a whole backup, and whether one of these KEKs proves that it is as it was made.

    Raises BadBackup: damaged, cut, changed. Raises OSError.
    """
    seen: dict[str, tuple[int, str]] = {}
    last: dict[str, bytes] = {}
    for name, content in contents(path):
        if name in (MANIFEST, PROOF):
            last[name] = content
        elif name in seen or last:
            raise BadBackup(path, f"it holds {name} twice, or where it should not be")
        else:
            seen[name] = (len(content), hashlib.sha256(content).hexdigest())
    if MANIFEST not in last:
        raise BadBackup(path, "it has no manifest: is it a backup of certline's, and whole?")
    manifest = _manifest(path, last[MANIFEST])
    _compare(path, manifest, seen)
    return manifest, _is_proved(path, last, keks)


def _compare(path: Path, manifest: Manifest, seen: dict[str, tuple[int, str]]) -> None:
    wanted = {part.file: (part.bytes, part.sha256) for part in manifest.parts}
    for name in sorted(set(wanted) | set(seen)):
        if wanted.get(name) != seen.get(name):
            raise BadBackup(path, f"{name} in it is missing, damaged, or not what the manifest says")
    known = {shape.name for shape in manifest.facts.tables}
    if strange := sorted({part.table for part in manifest.parts} - known):
        raise BadBackup(path, f"its manifest tells nothing of the table {strange[0]}")


def _is_proved(path: Path, last: dict[str, bytes], keks: Iterable[Kek]) -> bool:
    if PROOF not in last:
        return False
    try:
        proof = json.loads(last[PROOF])
        mac, kek_id = str(proof["mac"]), str(proof["kek"])
    except (ValueError, KeyError, TypeError):
        raise BadBackup(path, f"{PROOF} in it cannot be read") from None
    kek = next((one for one in keks if one.id == kek_id), None)
    if kek is None:
        return False
    if not hmac.compare_digest(mac.encode(), kek.proof(last[MANIFEST]).encode()):
        raise BadBackup(path, "it was changed after it was made: the proof by the key encryption key does not fit")
    return True


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    """Each file in it, in order. Raises BadBackup, OSError."""
    with _reading(path) as archive:
        for entry in archive:
            if not entry.isreg() or entry.size > _MOST_PART:
                raise BadBackup(path, f"{entry.name!a} in it is not what a backup holds")
            found = archive.extractfile(entry)
            content = found.read() if found else b""
            if len(content) != entry.size:
                raise BadBackup(path, "it is cut off")
            yield entry.name, content


@contextmanager
def _reading(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r|gz") as archive:
            yield archive
    except (tarfile.TarError, EOFError, zlib.error) as fault:
        raise BadBackup(path, f"it is no backup, or damaged: {fault}") from None


def _manifest(path: Path, content: bytes) -> Manifest:
    try:
        said = json.loads(content)
        if said["format"] != FORMAT:
            raise BadBackup(path, f"it has format {said['format']}; this certline reads {FORMAT}: use a newer one")
        return Manifest(_facts(said), tuple(_typed(Part(**part)) for part in said["parts"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadBackup(path, "its manifest cannot be read") from None


T = TypeVar("T", Part, Facts)


def _typed(read: T) -> T:
    """What it says, as the types it is said to have. Raises TypeError."""
    for one in fields(read):
        if one.type in (str, int) and type(getattr(read, one.name)) is not one.type:
            raise TypeError(one.name)
    return read


def _facts(said: dict[str, Any]) -> Facts:
    tables = tuple(Shape(one["name"], tuple((name, kind) for name, kind in one["columns"])) for one in said["tables"])
    told = {name: said[name] for name in ("certline", "made", "instance", "epoch", "revision", "database")}
    if not all(isinstance(one, str) for one in said["keks"]):
        raise TypeError("keks")
    return _typed(Facts(**told, keks=tuple(said["keks"]), tables=tables))
