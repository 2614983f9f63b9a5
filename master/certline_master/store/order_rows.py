"""Orders as rows: how they are put in, and which of the store's own columns follow from their fields."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import insert

from certline_master.domain.issuance import LIVE
from certline_master.domain.model import Order
from certline_master.store.session import Session, Shape
from certline_master.store.tables import orders

ORDER = Shape(Order, orders)
_ADD = insert(orders)


def names_sha256(names: Collection[str]) -> str:
    """The same for the same set of names, whatever their order."""
    return hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()


def is_live(order: Order) -> bool:
    return order.state in LIVE


def add(session: Session, orders: Sequence[Order]) -> None:
    """Those after the first of the same (issuer, names, profile) wait for their turn."""
    seen: set[tuple[str, str, str]] = set()
    rows = []
    for order in orders:
        key = (order.issuer_id, names_sha256(order.names), order.profile)
        rows.append(_new_row(order, key[1], queued=key in seen))
        seen.add(key)
    session.run(_ADD, rows)


def _new_row(order: Order, sha256: str, *, queued: bool) -> dict[str, Any]:
    return ORDER.write(order) | {
        "names_sha256": sha256,
        "worker": None,
        "lease_until": None,
        "fence": 0,
        "ready_at": order.due if is_live(order) and not queued else None,
        "in_flight": is_live(order) and order.url is not None,
        "queued": queued,
    }
