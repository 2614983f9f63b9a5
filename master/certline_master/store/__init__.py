"""The store: state on SQLite or Postgres, and the vault for secrets in it."""

from certline_master.store.bell import LocalBell
from certline_master.store.kek import Kek, new_kek, read_kek
from certline_master.store.opening import SqlStore, open_store

__all__ = ["Kek", "LocalBell", "SqlStore", "new_kek", "open_store", "read_kek"]
