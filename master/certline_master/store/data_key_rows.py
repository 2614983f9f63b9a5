"""Rows of data_keys, and the id of the installation that they are bound to."""

from typing import Any

from sqlalchemy import select

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Unavailable
from certline_master.store.instance import Instance
from certline_master.store.session import Session, param
from certline_master.store.tables import data_keys
from certline_master.store.vault import WrappedKey

INSTANCE_ID = "instance.id"

KEY = select(
    data_keys.c.id, data_keys.c.kek_id, data_keys.c.wrapped, data_keys.c.former_kek_id, data_keys.c.former_wrapped
)
KEY_BY_ID = KEY.where(data_keys.c.id == param("wanted"))
NEWEST_FIRST = (data_keys.c.created.desc(), data_keys.c.id)
_NEWEST = KEY.order_by(*NEWEST_FIRST).limit(1)
_NEWEST_HELD = _NEWEST.with_for_update(read=True, key_share=True)


def wrapped(row: Any) -> WrappedKey:
    return WrappedKey(*row)


def newest_key(session: Session) -> WrappedKey | None:
    """The data key for new secrets."""
    row = session.row(_NEWEST)
    return None if row is None else wrapped(row)


def newest_key_held(session: Session) -> WrappedKey | None:
    """The same, for a writer: on Postgres the row cannot be dropped before the transaction ends.

    It is read again where the row was dropped while we waited for it.
    """
    row = session.row(_NEWEST_HELD) or session.row(_NEWEST_HELD)
    return None if row is None else wrapped(row)


def instance_id(session: Session) -> str:
    found = Instance(session).get(SYSTEM, INSTANCE_ID)
    if found is None:
        raise Unavailable("the store is not set up: run `certline init`")
    return found
