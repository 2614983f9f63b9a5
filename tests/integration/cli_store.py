"""The store of a master that the commands work on, opened beside it."""

from certline_master import wiring
from certline_master.domain.access import SYSTEM
from certline_master.settings import load
from certline_master.store.data_keys import Generation
from certline_master.store.opening import SqlStore
from certline_master.store.records import sql
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from tests.integration.cli_bed import Master


def opened(master: Master) -> SqlStore:
    """As `serve` opens it at its next start, with what is on disk."""
    return wiring.open_settings_store(load(master.config), SystemClock(), SystemChance(), exclusive=False)


def generations(master: Master) -> list[Generation]:
    store = opened(master)
    with store.read() as records:
        found = sql(records).data_keys.all(SYSTEM)
    store.close()
    return found
