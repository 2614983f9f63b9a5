"""A process that writes until it is killed, or until it may write no further: `python -m ... URL KEK [BYTES]`.

Each work sets two facts to the same number; the number is printed once it is said to be kept. With BYTES no file may
grow beyond that many more: a write that the kernel refuses, as a failing disk does.
"""

import resource
import sys
from pathlib import Path

from sqlalchemy import make_url

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Unavailable
from certline_master.domain.ports import Records
from certline_master.store.kek import read_kek
from certline_master.store.opening import SqlStore, open_store
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock


def _say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _write(store: SqlStore, number: int) -> None:
    def both(records: Records) -> None:
        records.instance.set(SYSTEM, "one", str(number))
        records.instance.set(SYSTEM, "other", str(number))

    store.write(both)
    _say(number)


def _until_refused(store: SqlStore, number: int) -> None:
    try:
        while True:
            number += 1
            _write(store, number)
    except Unavailable as error:
        _say(f"refused: {error}")


def main(url: str, kek: str, most: int | None = None) -> None:
    store = open_store(url, kek=read_kek("env:KEK", environ={"KEK": kek}), clock=SystemClock(), chance=SystemChance())
    if most is None:
        _until_refused(store, 0)
        return
    _write(store, 1)
    log = Path(f"{make_url(url).database}-wal")
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + most, unlimited[1]))
    _until_refused(store, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    _until_refused(store, 1_000_000)
    with store.read() as records:
        _say(f"read: {records.instance.get(SYSTEM, 'one')}")
    _say(f"broken: {store.broken}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)
