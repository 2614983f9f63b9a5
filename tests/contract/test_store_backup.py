"""Backups: all rows of each table, out of either database and into either, whole or refused."""

import base64
import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Connection, delete

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, Unavailable
from certline_master.domain.ports import Records
from certline_master.store import backup_file, portable
from certline_master.store.backing_up import back_up
from certline_master.store.backup_file import MANIFEST, PROOF, BadBackup, Manifest
from certline_master.store.engine import database, schema_engine
from certline_master.store.kek import Kek, new_kek
from certline_master.store.keyring import Keyring
from certline_master.store.opening import open_store
from certline_master.store.portable import Shape
from certline_master.store.records import session_of
from certline_master.store.restoring import Restoring
from certline_master.store.returning import Returned
from certline_master.store.tables import data_keys, metadata
from tests.contract.store_bed import HOUR, StoreBed
from tests.contract.store_fleet import Fleet

AT = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
MADE_UP = {"bytes": b"\x00\xff\n\xc3", "time": AT, "flag": True, "number": 2**40, "text": 'Größe \x1f"\\\n €'}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "one.tar.gz"


@pytest.fixture
def target(tmp_path: Path) -> str:
    """An SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path / 'new' / 'certline.sqlite'}"


def backed_up(bed: StoreBed, file: Path, *, with_key: bool = True) -> Manifest:
    file.parent.mkdir(exist_ok=True)
    return back_up(bed.store, file, bed.kek if with_key else None, release="9.9", clock=bed.clock)


def restored(
    bed: StoreBed, file: Path, url: str, *, keys: Keyring | None = None, force: bool = False, unproved: bool = False
) -> Returned:
    doing = Restoring(file, keys or Keyring(bed.kek), bed.clock, bed.chance, HOUR)
    return doing.into(url, doing.check(unproved=unproved), force=force)


def dumped(url: str) -> dict[str, list[Any]]:
    """All that is in a database, by table."""
    with connected(url) as connection:
        return {shape.name: sorted(portable.rows(connection, shape)) for shape in portable.shapes()}


class connected:  # noqa: N801 a context manager, used as a function
    """A transaction without foreign keys, kept at its end."""

    def __init__(self, url: str) -> None:
        self._engine = schema_engine(database(url))

    def __enter__(self) -> Connection:
        self._connection = self._engine.connect()
        self._connection.exec_driver_sql("BEGIN")
        if self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.exec_driver_sql("COMMIT")
        self._connection.close()
        self._engine.dispose()


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


# --- what is refused --------------------------------------------------------------------------------------------------


def contents(file: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(file) as archive:
        for entry in archive:
            found = archive.extractfile(entry)
            assert found is not None
            yield entry.name, found.read()


def rewritten(file: Path, change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]) -> None:
    held = change(list(contents(file)))
    with tarfile.open(file, "w:gz") as archive:
        for name, content in held:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.fixture
def whole(sqlite_bed: StoreBed, file: Path) -> Path:
    backed_up(sqlite_bed, file)
    return file


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
    import hashlib

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


# --- where it goes ----------------------------------------------------------------------------------------------------


def test_a_database_that_holds_something_is_not_restored_into(bed: StoreBed, file: Path) -> None:
    backed_up(bed, file)
    before = dumped(bed.url)
    bed.store.close()

    with pytest.raises(Conflict, match="not empty"):
        restored(bed, file, bed.url)

    assert dumped(bed.url) == before
    bed.store = bed.open()


def test_with_force_an_sqlite_database_is_kept_aside_whole(sqlite_bed: StoreBed, file: Path) -> None:
    backed_up(sqlite_bed, file)
    sqlite_bed.write(lambda records: records.instance.set(SYSTEM, "later", "yes"))
    sqlite_bed.store.close()

    done = restored(sqlite_bed, file, sqlite_bed.url, force=True)

    path = Path(str(database(sqlite_bed.url).sqlite_path))
    aside = path.with_name(f"{path.name}.before-{done.epoch}")
    assert any(b'"later","yes"' in row for row in dumped(f"sqlite:///{aside}")["instance"])
    assert not any(b'"later"' in row for row in dumped(sqlite_bed.url)["instance"])
    sqlite_bed.store = sqlite_bed.open()
    assert sqlite_bed.store.sealed is None


def test_a_database_in_use_is_not_restored_into(sqlite_bed: StoreBed, whole: Path) -> None:
    with pytest.raises(Unavailable, match="another certline process"):
        restored(sqlite_bed, whole, sqlite_bed.url, force=True)


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_backup_whose_key_is_not_at_hand_is_refused_with_its_id(
    sqlite_bed: StoreBed, whole: Path, target: str
) -> None:
    wrong = new_kek(sqlite_bed.chance)
    with pytest.raises(
        Unavailable, match=f"needs the key encryption key with id {sqlite_bed.kek.id}, given was {wrong.id}"
    ):
        restored(sqlite_bed, whole, target, keys=Keyring(wrong))
    assert not Path(str(database(target).sqlite_path)).exists()


def test_a_backup_under_a_former_key_is_put_under_the_present_one(bed: StoreBed, file: Path, target: str) -> None:
    secret = bed.write(lambda records: records.secrets.add(SYSTEM, "test", b"hush"))
    backed_up(bed, file)
    present = new_kek(bed.chance)

    restored(bed, file, target, keys=Keyring(present, (bed.kek,)))

    assert opened_by(present, bed, target, secret) == b"hush"
    with pytest.raises(Unavailable, match="wrong key encryption key"):
        opened_by(bed.kek, bed, target, secret)


def opened_by(kek: Kek, bed: StoreBed, url: str, secret: str) -> bytes:
    store = open_store(url, kek=kek, clock=bed.clock, chance=bed.chance)
    try:
        with store.read() as records:
            return records.secrets.read(SYSTEM, "test", secret)
    finally:
        store.close()


def test_a_backup_holds_nothing_that_is_secret_without_the_key(bed: StoreBed, file: Path) -> None:
    bed.write(lambda records: records.secrets.add(SYSTEM, "test", b"hush-hush-hush"))
    backed_up(bed, file)
    held = b"".join(content for _, content in contents(file))
    for secret in (b"hush-hush-hush", bed.kek.key):
        assert secret not in held
        assert base64.b64encode(secret)[:-4] not in held
        assert secret.hex().encode() not in held


def test_a_store_without_data_keys_can_be_backed_up_too(bed: StoreBed, file: Path) -> None:
    """A database is worth keeping also when it is ill."""
    bed.write(lambda records: session_of(records).connection.execute(delete(data_keys)))
    assert backed_up(bed, file).facts.keks == ()


# --- what has gone back in time ---------------------------------------------------------------------------------------


def test_the_epoch_is_the_time_of_the_restore_and_higher_than_before(bed: StoreBed, file: Path, target: str) -> None:
    future = int(bed.now.timestamp()) + 1_000_000
    bed.write(lambda records: records.instance.set(SYSTEM, "epoch", str(future)))
    backed_up(bed, file)

    assert restored(bed, file, target).epoch == future + 1


def test_enrolment_strings_that_nobody_used_end(fleet: Fleet, file: Path, target: str) -> None:
    backed_up(fleet.bed, file)

    done = restored(fleet.bed, file, target)

    assert done.enrolments_ended == 1
    store = open_store(target, kek=fleet.bed.kek, clock=fleet.bed.clock, chance=fleet.bed.chance)
    with store.read() as records:
        assert records.followers.token(SYSTEM, fleet.their_token.id).expires <= fleet.bed.clock.now()
    store.close()


def test_orders_with_an_url_go_on_at_once_and_those_without_wait(bed: StoreBed, file: Path, target: str) -> None:
    known, lost = bed.orders(2)
    [first] = [work for work in bed.claim() if work.order.id == known.id]
    from dataclasses import replace

    bed.save(first, replace(first.order, url="https://le.example/order/1"), release=True)
    backed_up(bed, file)

    done = restored(bed, file, target)

    assert (done.orders_resumed, done.orders_held) == (1, 1)
    store = open_store(target, kek=bed.kek, clock=bed.clock, chance=bed.chance)
    taken = store.write(
        lambda records: records.orders.claim(
            SYSTEM, "w2", now=bed.clock.now(), lease=timedelta(minutes=1), limit=9, in_flight_most=9
        )
    )
    assert [work.order.id for work in taken] == [known.id]
    with store.read() as records:
        assert records.orders.get(SYSTEM, lost.id).due == done.held_until
    store.close()


def test_what_happened_is_an_event_that_names_who_is_in_force_again(fleet: Fleet, file: Path, target: str) -> None:
    backed_up(fleet.bed, file)
    done = restored(fleet.bed, file, target)
    store = open_store(target, kek=fleet.bed.kek, clock=fleet.bed.clock, chance=fleet.bed.chance)
    with store.read() as records:
        [event] = records.events.all(SYSTEM, subject="instance", limit=1)
    store.close()
    assert (event.kind, event.data["epoch"]) == ("instance.went-back", done.epoch)
    assert event.data["tokens"] == ["ci"]
