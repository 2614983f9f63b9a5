"""A backup that somebody crafted, which nothing proves: refused in words, and nothing of it is kept."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from certline_master.store.backup_file import MANIFEST, PROOF, BadBackup
from certline_master.store.engine import database
from certline_master.store.keyring import Keyring
from certline_master.store.restoring import Restoring
from tests.contract.store_backups import contents, restored
from tests.contract.store_bed import HOUR, StoreBed
from tests.contract.test_store_backup_damage import rewritten

INSTANCE = "instance.000001.jsonl"


def with_rows(row: bytes) -> Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]:
    """The table of facts begins with this row; the hashes fit."""

    def change(held: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        files = dict(held)
        files[INSTANCE] = row + b"\n" + files[INSTANCE]
        said = json.loads(files[MANIFEST])
        for part in said["parts"]:
            if part["file"] == INSTANCE:
                part |= {"sha256": hashlib.sha256(files[INSTANCE]).hexdigest(), "bytes": len(files[INSTANCE])}
        return [(name, json.dumps(said).encode() if name == MANIFEST else files[name]) for name, _ in held
                if name != PROOF]  # fmt: skip

    return change


def with_manifest(edit: Callable[[dict[str, Any]], object]) -> Callable[[list[tuple[str, bytes]]], Any]:
    def change(held: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        files = dict(held)
        said = json.loads(files[MANIFEST])
        edit(said)
        files[MANIFEST] = json.dumps(said).encode()
        return [one for one in files.items() if one[0] != PROOF]

    return change


def refused(bed: StoreBed, file: Path, target: str) -> None:
    with pytest.raises(BadBackup):
        restored(bed, file, target, unproved=True)
    assert not Path(str(database(target).sqlite_path)).exists()


@pytest.mark.parametrize(
    "row",
    [
        b"no row",
        b"\xff",
        b"{}",
        b'["one"]',
        b'["key",["a","list"]]',
        b'["key",{"an":"object"}]',
        b'["epoch","no number"]',
        b"[" * 100_000,
        b'["' + b"9" * 10 + b'",1e999]',
    ],
    ids=lambda row: row[:20].decode("latin-1"),
)
def test_rows_that_are_none_are_refused(sqlite_bed: StoreBed, whole: Path, target: str, row: bytes) -> None:
    rewritten(whole, with_rows(row))
    refused(sqlite_bed, whole, target)


MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "an unknown kind": lambda said: said["tables"][0]["columns"][0].__setitem__(1, "program"),
    "a kind that is none": lambda said: said["tables"][0]["columns"][0].__setitem__(1, 7),
    "an unknown table": lambda said: [one.update(name="sqlite_master; --") for one in said["tables"]][:0],
    "a table that is none": lambda said: said["tables"].append("x"),
    "keys that are a number": lambda said: said.update(keks=7),
    "a key that is a list": lambda said: said.update(keks=[[]]),
    "rows that are a text": lambda said: said["parts"][0].update(rows="many"),
    "a file that is a list": lambda said: said["parts"][0].update(file=[]),
    "an epoch that is a text": lambda said: said.update(epoch="x"),
    "a time that is none": lambda said: said.update(made=None),
    "no object": lambda said: said.update(tables=[[["x"]]]),
}


@pytest.mark.parametrize("edit", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_of_other_types_is_refused(
    sqlite_bed: StoreBed, whole: Path, target: str, edit: Callable[[dict[str, Any]], object]
) -> None:
    rewritten(whole, with_manifest(edit))
    refused(sqlite_bed, whole, target)


@pytest.mark.parametrize("content", [b"[]", b"7", b"[" * 100_000])
def test_a_manifest_that_is_no_object_is_refused(
    sqlite_bed: StoreBed, whole: Path, target: str, content: bytes
) -> None:
    rewritten(whole, lambda held: [(name, content if name == MANIFEST else was) for name, was in held])
    refused(sqlite_bed, whole, target)


def test_what_is_exchanged_after_it_was_checked_is_not_taken(sqlite_bed: StoreBed, whole: Path, target: str) -> None:
    doing = Restoring(whole, Keyring(sqlite_bed.kek), sqlite_bed.clock, sqlite_bed.chance, HOUR)
    checked = doing.check(unproved=False)
    rewritten(whole, with_rows(b'["planted","yes"]'))
    with pytest.raises(BadBackup, match="changed since it was checked"):
        doing.into(target, checked, force=False)
    rewritten(whole, lambda held: [one for one in held if one[0] != INSTANCE])
    with pytest.raises(BadBackup, match="changed since it was checked"):
        doing.into(target, checked, force=False)
    assert INSTANCE not in dict(contents(whole))
