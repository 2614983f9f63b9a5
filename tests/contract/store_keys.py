"""What the tests of data keys and their KEK share."""

from certline_master.domain.access import SYSTEM
from certline_master.store.data_keys import Carried, Generation
from certline_master.store.kek import Kek
from certline_master.store.keyring import Keyring
from certline_master.store.opening import SqlStore, open_store
from certline_master.store.records import sql
from tests.contract.store_bed import StoreBed

WORDS = [f"secret number {number}".encode() for number in range(7)]


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
