"""Rows that have an id and a unique name, and are saved whole: what issuers, zones and http names have in common."""

from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Table, delete, select

from certline_master.domain.access import Caller
from certline_master.domain.errors import NotFound
from certline_master.store.scope import sees_all
from certline_master.store.session import Session, Shape, Upsert, param


class _Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


class NamedTable(Generic[N]):
    """`what` is the domain's word for one of them."""

    def __init__(self, what: str, kind: type[N], table: Table) -> None:
        self.what = what
        self._shape: Shape[N] = Shape(kind, table)
        found = select(*self._shape.columns)
        self._all = found.order_by(table.c.name)
        self._by_name = found.where(table.c.name == param("wanted"))
        self._by_id = found.where(table.c.id == param("wanted"))
        self._delete = delete(table).where(table.c.id == param("wanted"))
        self._save = Upsert(table, ("id",), [name for name in self._shape.names if name != "id"])

    def all(self, session: Session, caller: Caller) -> list[N]:
        return [self._shape.read(row) for row in session.rows(self._all)] if sees_all(caller) else []

    def get(self, session: Session, caller: Caller, name: str) -> N:
        return self._one(session, caller, self._by_name, name)

    def by_id(self, session: Session, caller: Caller, row_id: str) -> N:
        return self._one(session, caller, self._by_id, row_id)

    def save(self, session: Session, item: N, **changes: Any) -> None:
        """Raises Conflict when the name is another's."""
        with session.all_or_nothing(f"there is another {self.what} {item.name!r} already"):
            session.run(self._save.on(session), self._shape.write(item) | changes)

    def delete(self, session: Session, item: N, in_use: str) -> None:
        """Raises Conflict with `in_use` while another row refers to it."""
        with session.all_or_nothing(in_use):
            session.run(self._delete, {"wanted": item.id})

    def _one(self, session: Session, caller: Caller, statement: Any, wanted: str) -> N:
        row = session.row(statement, {"wanted": wanted}) if sees_all(caller) else None
        if row is None:
            raise NotFound(self.what, wanted)
        return self._shape.read(row)
