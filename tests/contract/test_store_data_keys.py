"""Data keys: replaced by a new generation, and what is left of the old ones."""

from collections.abc import Callable

import pytest
from sqlalchemy import select, update

from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Forbidden, Unavailable
from certline_master.domain.ports import Records
from certline_master.store.data_keys import Carried
from certline_master.store.kek import Kek
from certline_master.store.records import session_of, sql
from certline_master.store.tables import data_keys, secrets
from tests.contract.store_bed import ADMIN, OPERATOR, StoreBed
from tests.contract.store_keys import WORDS, Reader, added, carried, dropped, generations


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
