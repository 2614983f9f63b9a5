"""A backup that was cut, damaged or changed is refused, whatever was changed with it."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, Unavailable
from certline_master.store import backup_file
from certline_master.store.backup_file import MANIFEST, PROOF, BadBackup
from tests.contract.store_backups import backed_up, contents, restored
from tests.contract.store_bed import StoreBed


def rewritten(file: Path, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> None:
    held = change(list(contents(file)))
    with tarfile.open(file, "w:gz") as archive:
        for name, content in held:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def test_a_whole_one_is_proved_by_its_key(sqlite_bed: StoreBed, whole: Path) -> None:
    manifest, proved = backup_file.verify(whole, (sqlite_bed.kek,))
    assert proved
    assert manifest.facts.keks == (sqlite_bed.kek.id,)
    assert backup_file.verify(whole)[1] is False


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.9])
def test_a_cut_one_is_refused(whole: Path, keep: float) -> None:
    content = whole.read_bytes()
    whole.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(BadBackup, match=r"no backup, or damaged|no manifest|cut off"):
        backup_file.verify(whole)


def test_a_flipped_bit_is_noticed_wherever_it_is(sqlite_bed: StoreBed, whole: Path) -> None:
    plain = gzip.decompress(whole.read_bytes())
    data = [place for place in range(0, len(plain), 257) if plain[place] not in (0, 0x30)]  # not in tar's padding
    for place in data:
        changed = bytearray(plain)
        changed[place] ^= 1
        whole.write_bytes(gzip.compress(bytes(changed), 1))
        try:
            backup_file.verify(whole, (sqlite_bed.kek,))
        except BadBackup:
            continue
        assert dict(contents(whole)) == dict(_held(plain)), f"byte {place} is not noticed"


def _held(plain: bytes) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        for entry in archive:
            found = archive.extractfile(entry)
            assert found is not None
            yield entry.name, found.read()


@pytest.mark.parametrize("what", ["left out", "added", "twice", "changed", "after the manifest"])
def test_a_file_in_it_that_is_not_as_the_manifest_says_is_refused(whole: Path, what: str) -> None:
    def change(held: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        first, *rest = held
        return {
            "left out": rest,
            "added": [("more.jsonl", b"[]\n"), *held],
            "twice": [first, *held],
            "changed": [(first[0], first[1] + b" "), *rest],
            "after the manifest": [*rest, first],
        }[what]

    rewritten(whole, change)
    with pytest.raises(BadBackup, match=r"in it is missing, damaged|twice, or where it should not be"):
        backup_file.verify(whole)


def forged(held: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """A row changed, and its hash in the manifest with it."""
    files = dict(held)
    name = "instance.000001.jsonl"
    files[name] = files[name].replace(b'"epoch","', b'"epoch","9')
    said = json.loads(files[MANIFEST])
    for part in said["parts"]:
        if part["file"] == name:
            part |= {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
    files[MANIFEST] = json.dumps(said, indent=1).encode()
    return list(files.items())


def test_one_that_was_changed_with_its_hashes_is_refused_by_the_key(
    sqlite_bed: StoreBed, whole: Path, target: str
) -> None:
    sqlite_bed.write(lambda records: records.instance.set(SYSTEM, "epoch", "1"))
    whole.unlink()
    backed_up(sqlite_bed, whole)
    rewritten(whole, forged)
    with pytest.raises(BadBackup, match="changed after it was made"):
        restored(sqlite_bed, whole, target)
    rewritten(whole, lambda held: [one for one in held if one[0] != PROOF])
    with pytest.raises(Conflict, match="nothing proves who made"):
        restored(sqlite_bed, whole, target)


def test_one_made_without_the_key_is_taken_only_when_told_so(sqlite_bed: StoreBed, file: Path, target: str) -> None:
    backed_up(sqlite_bed, file, with_key=False)
    with pytest.raises(Conflict, match="--unproved"):
        restored(sqlite_bed, file, target)
    assert restored(sqlite_bed, file, target, unproved=True).epoch


def test_one_of_a_newer_form_or_schema_is_told_with_the_release_that_made_it(
    sqlite_bed: StoreBed, whole: Path, target: str
) -> None:
    def as_newer(member: str, value: object) -> Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]:
        def change(held: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
            files = dict(held)
            files[MANIFEST] = json.dumps(json.loads(files[MANIFEST]) | {member: value}).encode()
            return [one for one in files.items() if one[0] != PROOF]

        return change

    rewritten(whole, as_newer("revision", "0999"))
    with pytest.raises(Unavailable, match=r"made by certline 9\.9 \(schema 0999"):
        restored(sqlite_bed, whole, target, unproved=True)
    rewritten(whole, as_newer("format", 7))
    with pytest.raises(BadBackup, match="has format 7"):
        backup_file.verify(whole)


NO_BACKUPS = {
    "empty": b"",
    "text": b"hello",
    "packed": gzip.compress(b"hello"),
    "no files": gzip.compress(bytes(10_240)),
}


@pytest.mark.parametrize("content", NO_BACKUPS.values(), ids=NO_BACKUPS)
def test_what_is_no_backup_is_told_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(BadBackup, match=r"no backup|no manifest"):
        backup_file.verify(tmp_path / "x")
