"""Data keys: rewrapped under another KEK, replaced by a new generation, and what is left of the old ones."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Forbidden, Unavailable
from certline_master.domain.ports import Records
from certline_master.store.data_keys import Carried, Generation
from certline_master.store.kek import Kek, new_kek
from certline_master.store.keyring import Keyring
from certline_master.store.opening import SqlStore, open_store
from certline_master.store.records import session_of, sql
from certline_master.store.tables import data_keys, secrets
from tests.contract.store_bed import ADMIN, OPERATOR, StoreBed

WORDS = [f"secret number {number}".encode() for number in range(7)]


@pytest.fixture
def ids(bed: StoreBed) -> list[str]:
    """Seven secrets."""
    return bed.write(lambda records: [records.secrets.add(SYSTEM, "test", word) for word in WORDS])


@pytest.fixture
def new(bed: StoreBed) -> Kek:
    return new_kek(bed.chance)


class Reader:
    """Fresh stores, as after a start, with what KEKs are given."""

    def __init__(self, bed: StoreBed) -> None:
        self._bed = bed

    def opened(self, *keks: Kek) -> SqlStore:
        ring = Keyring(keks[0], keks[1:])
        return open_store(self._bed.url, kek=ring, clock=self._bed.clock, chance=self._bed.chance, exclusive=False)

    def words(self, ids: list[str], *keks: Kek) -> list[bytes]:
        store = self.opened(*keks)
        try:
            with store.read() as records:
                return [records.secrets.read(SYSTEM, "test", one) for one in ids]
        finally:
            store.close()

    def sealed(self, *keks: Kek) -> str | None:
        store = self.opened(*keks)
        try:
            return store.sealed
        finally:
            store.close()


@pytest.fixture
def reader(bed: StoreBed) -> Reader:
    return Reader(bed)


def rewrapped(bed: StoreBed, kek: Kek) -> int:
    return bed.write(lambda records: sql(records).data_keys.rewrap(SYSTEM, kek))


def generations(bed: StoreBed) -> list[Generation]:
    return bed.read(lambda records: sql(records).data_keys.all(SYSTEM))


def added(bed: StoreBed) -> str:
    return bed.write(lambda records: sql(records).data_keys.add(SYSTEM))


def carried(bed: StoreBed, most: int = 100, after: str = "") -> Carried:
    return bed.write(lambda records: sql(records).data_keys.carry_over(SYSTEM, after=after, most=most))


def dropped(bed: StoreBed) -> list[str]:
    return bed.write(lambda records: sql(records).data_keys.drop_unused(SYSTEM))


# --- the KEK ----------------------------------------------------------------------------------------------------------


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


# --- generations of data keys -----------------------------------------------------------------------------------------


def test_a_new_generation_seals_what_is_new_while_old_secrets_stay_readable(
    bed: StoreBed, ids: list[str], reader: Reader
) -> None:
    made = added(bed)
    fresh = bed.write(lambda records: records.secrets.add(SYSTEM, "test", b"a new one"))

    assert reader.words([*ids, fresh], bed.kek) == [*WORDS, b"a new one"]
    assert [(one.id == made, one.secrets) for one in generations(bed)] == [(True, 1), (False, 7)]


def test_a_generation_is_the_newest_also_when_the_clock_was_set_back(bed: StoreBed) -> None:
    def in_the_future(records: Records) -> None:
        later = bed.clock.now().replace(year=2100)
        session_of(records).connection.execute(update(data_keys).values(created=later))

    bed.write(in_the_future)

    assert generations(bed)[0].id != added(bed) == generations(bed)[0].id


@pytest.mark.parametrize("most", [1, 3, 7, 100])
def test_secrets_are_carried_over_in_batches_and_each_batch_can_be_the_last_before_a_kill(
    bed: StoreBed, ids: list[str], reader: Reader, most: int
) -> None:
    added(bed)
    done, batches = 0, 0
    while done < len(ids):
        done += carried(bed, most).count  # from the beginning: a kill forgets where it was
        batches += 1
        assert reader.words(ids, bed.kek) == WORDS
        assert [one.secrets for one in generations(bed)] == [done, 7 - done]

    assert batches == -(-7 // most)
    assert carried(bed, most) == Carried(0, None, ())
    assert len(dropped(bed)) == 1
    assert reader.words(ids, bed.kek) == WORDS


@pytest.mark.usefixtures("ids")
def test_a_generation_under_which_a_secret_is_stays(bed: StoreBed) -> None:
    added(bed)
    carried(bed, 6)

    assert dropped(bed) == []
    assert len(generations(bed)) == 2


def test_the_newest_generation_stays_though_no_secret_is_under_it(bed: StoreBed) -> None:
    assert dropped(bed) == []
    assert len(generations(bed)) == 1


def test_a_secret_that_cannot_be_read_is_told_and_stops_no_other(bed: StoreBed, ids: list[str], reader: Reader) -> None:
    def damage(records: Records) -> None:
        spoilt = session_of(records).connection.execute(select(secrets.c.data).where(secrets.c.id == ids[3])).scalar()
        assert spoilt is not None
        session_of(records).connection.execute(
            update(secrets).where(secrets.c.id == ids[3]).values(data=spoilt[:-1] + bytes([spoilt[-1] ^ 1]))
        )

    bed.write(damage)
    added(bed)

    assert carried(bed) == Carried(6, None, (ids[3],))
    assert carried(bed) == Carried(0, None, (ids[3],))
    assert dropped(bed) == []
    assert reader.words([*ids[:3], *ids[4:]], bed.kek) == [*WORDS[:3], *WORDS[4:]]


def test_a_carried_secret_gets_a_new_version_and_its_old_content_put_back_does_not_open(
    bed: StoreBed, ids: list[str]
) -> None:
    def content(records: Records) -> bytes:
        row = (
            session_of(records)
            .connection.execute(select(secrets.c.data, secrets.c.version).where(secrets.c.id == ids[0]))
            .one()
        )
        return bytes(row.data)

    before = bed.read(content)
    added(bed)
    carried(bed)

    def put_back(records: Records) -> None:
        session_of(records).connection.execute(update(secrets).where(secrets.c.id == ids[0]).values(data=before))

    bed.write(put_back)
    with pytest.raises(Unavailable, match="damaged, or was moved there"):
        bed.read(lambda records: records.secrets.read(SYSTEM, "test", ids[0]))


def test_contents_swapped_between_two_rows_do_not_open(bed: StoreBed, ids: list[str]) -> None:
    def swap(records: Records) -> None:
        connection = session_of(records).connection
        one, other = (
            connection.execute(select(secrets.c.data).where(secrets.c.id == which)).scalar() for which in ids[:2]
        )
        connection.execute(update(secrets).where(secrets.c.id == ids[0]).values(data=other))
        connection.execute(update(secrets).where(secrets.c.id == ids[1]).values(data=one))

    bed.write(swap)
    for which in ids[:2]:
        with pytest.raises(Unavailable, match="damaged, or was moved there from another row"):
            bed.read(lambda records, which=which: records.secrets.read(SYSTEM, "test", which))  # type: ignore[misc]  # a default binds it


def test_a_kind_changed_in_the_row_does_not_open(bed: StoreBed, ids: list[str]) -> None:
    def rename(records: Records) -> None:
        session_of(records).connection.execute(update(secrets).where(secrets.c.id == ids[0]).values(kind="other"))

    bed.write(rename)
    with pytest.raises(Unavailable, match="damaged, or was moved there"):
        bed.read(lambda records: records.secrets.read(SYSTEM, "other", ids[0]))


def test_on_postgres_a_writer_that_still_seals_by_a_generation_keeps_it(
    new_postgres_database: Callable[[], str],
) -> None:
    """Its row is locked for as long as the writer's transaction lasts; on SQLite there is one writer at a time."""
    with StoreBed(new_postgres_database()) as bed:
        added(bed)
        old, other = generations(bed)[-1].id, bed.second_master()

        def impatient(records: Records) -> None:
            session_of(records).connection.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
            sql(records).data_keys.drop_unused(SYSTEM)

        def seals_meanwhile(records: Records) -> None:
            """Holds the old generation as `add` holds the newest one."""
            held = select(data_keys.c.id).where(data_keys.c.id == old).with_for_update(read=True, key_share=True)
            assert session_of(records).connection.execute(held).scalar() == old
            with pytest.raises(Unavailable, match="lock timeout"):
                other.write(impatient)

        bed.write(seals_meanwhile)
        assert dropped(bed) == [old]


@pytest.mark.parametrize("caller", [OPERATOR, ADMIN], ids=["operator", "admin"])
def test_only_the_master_itself_may_touch_data_keys(bed: StoreBed, new: Kek, caller: Caller) -> None:
    for use in (
        lambda records: sql(records).data_keys.all(caller),
        lambda records: sql(records).data_keys.rewrap(caller, new),
        lambda records: sql(records).data_keys.forget_former(caller, new),
        lambda records: sql(records).data_keys.add(caller),
        lambda records: sql(records).data_keys.carry_over(caller),
        lambda records: sql(records).data_keys.drop_unused(caller),
    ):
        with pytest.raises(Forbidden):
            bed.write(use)
