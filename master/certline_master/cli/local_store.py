"""The store for commands that work on it directly, beside a running master: one short change at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from certline_master.cli.local_faults import local_faults
from certline_master.cli.main import settings_path
from certline_master.settings import Settings, load
from certline_master.store.opening import SqlStore
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock


@contextmanager
def local_store(config: str | None) -> Iterator[tuple[Settings, SqlStore]]:
    """The settings and the store that they name. What goes wrong inside is told as CommandFailed."""
    from certline_master.wiring import open_settings_store

    with local_faults():
        settings = load(settings_path(config))
    with local_faults(settings.file):
        store = open_settings_store(settings, SystemClock(), SystemChance(), exclusive=False)
        try:
            yield settings, store
        finally:
            store.close()


def unsealed(store: SqlStore) -> SqlStore:
    """The same, when its secrets can be read. Raises Sealed."""
    from certline_master.domain.errors import Sealed

    if why := store.sealed:
        raise Sealed(why)
    return store
