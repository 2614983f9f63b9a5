"""Audit records: written once, never changed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select

from certline_master.domain.access import Caller
from certline_master.domain.model import Event
from certline_master.store.scope import sees_all
from certline_master.store.session import Session, Shape, number, param
from certline_master.store.tables import events

_EVENT = Shape(Event, events)
_ADD = insert(events)
_ALL = select(*_EVENT.columns).where(events.c.id > number("after")).limit(number("most"))
_OF_SUBJECT = _ALL.where(events.c.subject == param("wanted"))
_FIND = {
    (about_one, newest_first): statement.order_by(events.c.id.desc() if newest_first else events.c.id)
    for about_one, statement in ((False, _ALL), (True, _OF_SUBJECT))
    for newest_first in (False, True)
}


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
        row = {"at": now, "kind": kind, "actor": caller.actor, "subject": subject, "text": text, "data": data or {}}
        self._session.run(_ADD, row)

    def all(
        self, caller: Caller, *, subject: str | None = None, after: int = 0, limit: int = 100, newest_first: bool = True
    ) -> list[Event]:
        """Those with an id above `after`."""
        if not sees_all(caller):
            return []
        wanted = {"after": after, "most": limit} | ({"wanted": subject} if subject is not None else {})
        return [_EVENT.read(row) for row in self._session.rows(_FIND[subject is not None, newest_first], wanted)]
