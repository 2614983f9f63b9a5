"""Restoring: where a backup goes, under which key, and what is done to a database that went back in time."""

import base64
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Conflict, Unavailable
from certline_master.store.engine import database
from certline_master.store.kek import Kek, new_kek
from certline_master.store.keyring import Keyring
from certline_master.store.opening import open_store
from certline_master.store.records import session_of
from certline_master.store.tables import data_keys
from tests.contract.store_backups import backed_up, contents, dumped, restored
from tests.contract.store_bed import StoreBed
from tests.contract.store_fleet import Fleet

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
