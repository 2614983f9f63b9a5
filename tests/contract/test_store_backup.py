"""Backups: all rows of each table, of one moment, out of either database and into either."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Unavailable
from certline_master.domain.ports import Records
from certline_master.store import backup_file, portable
from certline_master.store.engine import database
from certline_master.store.opening import open_store
from certline_master.store.portable import Shape
from certline_master.store.tables import metadata
from tests.contract.store_backups import backed_up, connected, contents, dumped, restored
from tests.contract.store_bed import StoreBed
from tests.contract.store_fleet import Fleet

AT = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
MADE_UP = {"bytes": b"\x00\xff\n\xc3", "time": AT, "flag": True, "number": 2**40, "text": 'Größe \x1f"\\\n €'}


# --- rows -------------------------------------------------------------------------------------------------------------


def made_up(shape: Shape, number: int) -> bytes:
    """A row with a value of each kind, and one with as few as it may have."""
    found = metadata.tables[shape.name]

    def value(name: str, kind: str) -> Any:
        column = found.c[name]
        if number and column.nullable:
            return None
        plain: Any = MADE_UP[kind]
        if kind == "number":
            return number + 1 if column.primary_key else 2**30
        if kind == "text":
            return f"{number} {plain}"
        if kind == "bytes":
            return base64.b64encode(plain).decode()
        return plain.isoformat() if kind == "time" else plain

    return (
        json.dumps([value(*one) for one in shape.columns], ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    )


@pytest.mark.parametrize("shape", portable.shapes(), ids=lambda shape: str(shape.name))
def test_rows_of_every_table_come_out_as_they_went_in(database_url: str, shape: Shape) -> None:
    lines = [made_up(shape, number) for number in range(2)]
    with connected(database_url) as connection:
        portable.put(connection, shape, lines)
        assert sorted(portable.rows(connection, shape)) == sorted(lines)
        assert portable.filled(connection) == [shape.name]


def test_all_tables_are_in_it(bed: StoreBed, file: Path) -> None:
    assert {shape.name for shape in backed_up(bed, file).facts.tables} == set(metadata.tables)


def add_facts(records: Records, count: int, length: int) -> None:
    for number in range(count):
        records.instance.set(SYSTEM, f"fact {number}", "x" * length)


CHANGED = {"instance", "events", "followers", "enrolment_tokens"}
"""By a restore itself, see returning.py."""


@pytest.mark.parametrize("to", ["sqlite", "postgres"])
def test_a_fleet_comes_back_as_it_was_from_either_database_into_either(
    fleet: Fleet, file: Path, target: str, to: str, new_postgres_database: Callable[[], str]
) -> None:
    url = target if to == "sqlite" else new_postgres_database()
    before = dumped(fleet.bed.url)
    assert sum(map(len, before.values())) > 15
    backed_up(fleet.bed, file)

    restored(fleet.bed, file, url)

    after = dumped(url)
    assert {name: rows for name, rows in after.items() if name not in CHANGED} == {
        name: rows for name, rows in before.items() if name not in CHANGED
    }
    store = open_store(url, kek=fleet.bed.kek, clock=fleet.bed.clock, chance=fleet.bed.chance)
    with store.read() as records:
        assert records.secrets.read(SYSTEM, "enrolment", fleet.their_token.mac_key) == b"m"
        last = records.events.all(SYSTEM, limit=1)[0].id
    store.write(lambda records: records.events.add(SYSTEM, "after", "instance", "goes on", now=fleet.bed.now))
    with store.read() as records:
        assert records.events.all(SYSTEM, limit=1)[0].id == last + 1  # the counters were carried over
    store.close()


def test_many_rows_are_written_in_parts(
    bed: StoreBed, file: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_file, "PART_BYTES", 2_000)
    bed.write(lambda records: add_facts(records, 1_200, 90))

    manifest = backed_up(bed, file)

    assert len([part for part in manifest.parts if part.table == "instance"]) > 50
    restored(bed, file, target)
    assert len(dumped(target)["instance"]) == len(dumped(bed.url)["instance"]) + 2  # epoch, hold


def test_it_is_of_one_moment_while_others_write(bed: StoreBed, tmp_path: Path) -> None:
    """Two facts that always change together."""
    ended = Event()

    def write() -> int:
        number = 0
        while not ended.is_set():
            number += 1

            def both(records: Records, now: str = str(number)) -> None:
                records.instance.set(SYSTEM, "a-one", now)
                records.instance.set(SYSTEM, "z-other", now)

            bed.write(both)
        return number

    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write)
        for number in range(4):
            backed_up(bed, tmp_path / "b" / f"{number}.tar.gz")
        ended.set()
        assert writing.result() > 4
    for number in range(4):
        held = dict(contents(tmp_path / "b" / f"{number}.tar.gz"))["instance.000001.jsonl"]
        facts = dict(json.loads(line) for line in held.splitlines())
        assert facts.get("a-one") == facts.get("z-other")


def test_it_is_for_its_owner_alone_and_never_written_over_another(bed: StoreBed, file: Path) -> None:
    backed_up(bed, file)
    before = file.read_bytes()

    with pytest.raises(FileExistsError):
        backed_up(bed, file)

    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_damaged_sqlite_database_is_not_backed_up(sqlite_bed: StoreBed, file: Path) -> None:
    sqlite_bed.write(lambda records: add_facts(records, 200, 900))
    sqlite_bed.store.close()
    path = Path(str(database(sqlite_bed.url).sqlite_path))
    content = bytearray(path.read_bytes())
    content[-4096 * 20 : -4096 * 10] = b"\xff" * 4096 * 10
    path.write_bytes(content)
    sqlite_bed.store = sqlite_bed.open()

    with pytest.raises(Unavailable, match=r"damaged|malformed"):
        backed_up(sqlite_bed, file)

    assert list(file.parent.iterdir()) == []
