"""Audit records: written once, never changed, each linked to the one that this process wrote before."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, insert, or_, select

from certline_master.domain.access import Caller
from certline_master.domain.audit import link_hash
from certline_master.domain.model import Event
from certline_master.store.scope import sees_all
from certline_master.store.session import Session, Shape, number, param
from certline_master.store.tables import events, seals

_EVENT = Shape(Event, events)
_ADD = insert(events)
_ALL = select(*_EVENT.columns).where(events.c.id > number("after")).limit(number("most"))
_OF_SUBJECT = _ALL.where(events.c.subject == param("wanted"))
_FIND = {
    (about_one, newest_first): statement.order_by(events.c.id.desc() if newest_first else events.c.id)
    for about_one, statement in ((False, _ALL), (True, _OF_SUBJECT))
    for newest_first in (False, True)
}

_END = (
    select(events.c.link, events.c.hash)
    .where(events.c.chain == param("wanted"))
    .order_by(events.c.link.desc())
    .limit(1)
)
_LAST_SEAL = select(seals.c.hash).order_by(seals.c.id.desc()).limit(1)
_PAGE = select(*_EVENT.columns).limit(number("most"))
_UNCHAINED = _PAGE.where(events.c.chain.is_(None), events.c.id > number("after")).order_by(events.c.id)
_CHAINED = _PAGE.where(
    or_(events.c.chain > param("chain"), and_(events.c.chain == param("chain"), events.c.link > number("after")))
).order_by(events.c.chain, events.c.link)


class Events:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self,
        caller: Caller,
        kind: str,
        subject: str,
        text: str,
        *,
        now: datetime,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Every caller may leave a trace; its name is taken from the caller, not given."""
        chain = self._session.chain
        link, previous = self._end_of(chain)
        kept = json.loads(json.dumps(dict(data or {})))  # as it will be read: what is hashed must be what is stored
        made = Event(0, now, kind, caller.actor, subject, text, kept, chain, link + 1)
        row = _EVENT.write(replace(made, hash=link_hash(previous, made)))
        del row["id"]
        self._session.run(_ADD, row)

    def _end_of(self, chain: str) -> tuple[int, str]:
        """The chain's last link and its hash; a chain begins on the last seal."""
        row = self._session.row(_END, {"wanted": chain})
        if row is not None:
            return row.link, row.hash
        return 0, self._session.connection.scalar(_LAST_SEAL) or ""

    def in_chains(self, caller: Caller, *, after: tuple[str, int], limit: int) -> list[Event]:
        """By chain and link, those in no chain first (chain "", link: the id)."""
        if not sees_all(caller):
            return []
        chain, link = after
        if not chain:
            found = self._session.rows(_UNCHAINED, {"after": link, "most": limit})
            if found:
                return [_EVENT.read(row) for row in found]
            link = 0
        rows = self._session.rows(_CHAINED, {"chain": chain, "after": link, "most": limit})
        return [_EVENT.read(row) for row in rows]

    def all(
        self, caller: Caller, *, subject: str | None = None, after: int = 0, limit: int = 100, newest_first: bool = True
    ) -> list[Event]:
        """Those with an id above `after`."""
        if not sees_all(caller):
            return []
        wanted = {"after": after, "most": limit} | ({"wanted": subject} if subject is not None else {})
        return [_EVENT.read(row) for row in self._session.rows(_FIND[subject is not None, newest_first], wanted)]
