"""Data keys under another KEK: either opens them until the former one is ended."""

import pytest
from sqlalchemy import update

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Unavailable
from certline_master.domain.ports import Records
from certline_master.store.kek import Kek, new_kek
from certline_master.store.keyring import Keyring
from certline_master.store.opening import open_store
from certline_master.store.records import session_of, sql
from certline_master.store.tables import data_keys
from tests.contract.store_bed import StoreBed
from tests.contract.store_keys import WORDS, Reader, added, generations, rewrapped


def test_after_a_rewrap_every_secret_opens_by_the_new_kek_and_by_the_former_one(
    bed: StoreBed, ids: list[str], new: Kek, reader: Reader
) -> None:
    added(bed)
    assert rewrapped(bed, new) == 2

    assert reader.words(ids, new) == reader.words(ids, bed.kek) == WORDS
    assert {(one.kek_id, one.former_kek_id) for one in generations(bed)} == {(new.id, bed.kek.id)}


def test_the_same_rewrap_again_changes_nothing(bed: StoreBed, new: Kek) -> None:
    rewrapped(bed, new)
    before = generations(bed)

    assert rewrapped(bed, new) == 0
    assert generations(bed) == before


def test_after_retiring_only_the_new_kek_opens(bed: StoreBed, ids: list[str], new: Kek, reader: Reader) -> None:
    rewrapped(bed, new)

    assert bed.write(lambda records: sql(records).data_keys.forget_former(SYSTEM, new)) == 1

    assert reader.words(ids, new) == WORDS
    assert new.id in (reader.sealed(bed.kek) or "")
    assert bed.write(lambda records: sql(records).data_keys.forget_former(SYSTEM, new)) == 0


def test_a_kek_that_does_not_open_all_data_keys_by_itself_retires_nothing(
    bed: StoreBed, ids: list[str], new: Kek, reader: Reader
) -> None:
    rewrapped(bed, new)

    with pytest.raises(Unavailable, match="wrong key encryption key"):
        bed.write(lambda records: sql(records).data_keys.forget_former(SYSTEM, bed.kek))

    assert reader.words(ids, bed.kek) == WORDS


def test_a_rewrap_is_whole_or_nothing(bed: StoreBed, new: Kek, reader: Reader) -> None:
    """One data key that opens by no KEK of ours stops it before any is changed."""
    added(bed)
    foreign = new_kek(bed.chance)

    def spoil(records: Records) -> None:
        oldest = generations(bed)[-1].id
        session_of(records).connection.execute(
            update(data_keys).where(data_keys.c.id == oldest).values(kek_id=foreign.id)
        )

    bed.write(spoil)
    fresh = reader.opened(bed.kek)
    with pytest.raises(Unavailable, match=foreign.id):
        fresh.write(lambda records: sql(records).data_keys.rewrap(SYSTEM, new))
    fresh.close()
    assert {one.former_kek_id for one in generations(bed)} == {None}


def test_a_running_master_finds_a_rotated_kek_by_itself_where_its_own_came_from(
    bed: StoreBed, ids: list[str], new: Kek
) -> None:
    """It has the former KEK; the former wrap is gone, and a new data key is under the new KEK only."""
    asked: list[str] = []

    def again() -> list[Kek]:
        asked.append("once")
        return [new]

    ring = Keyring(bed.kek, reread=again)
    running = open_store(bed.url, kek=ring, clock=bed.clock, chance=bed.chance, exclusive=False)
    rewrapped(bed, new)
    bed.write(lambda records: sql(records).data_keys.forget_former(SYSTEM, new))

    with running.read() as records:
        assert [records.secrets.read(SYSTEM, "test", one) for one in ids] == WORDS
    assert asked == ["once"]
    running.close()
