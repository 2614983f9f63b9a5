"""What every repository works with: one transaction, and the doors to time, chance and the vault."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Executable, Insert, Integer, Row, Table, Text, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from certline_master.domain.errors import Conflict
from certline_master.domain.placement import MANIFESTS_MARK
from certline_master.store import changes
from certline_master.store.tables import instance
from certline_shared.chance import Chance
from certline_shared.clock import Clock

if TYPE_CHECKING:
    from certline_master.store.vault import Vault

T = TypeVar("T")
Parameters = Mapping[str, Any]


@dataclass(slots=True)
class Pending:
    """What a work has to write down at its end."""

    manifests_changed: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    connection: Connection
    clock: Clock
    chance: Chance
    vault: "Vault"
    is_postgres: bool
    chain: str  # of the events that this process writes
    pending: Pending = field(default_factory=Pending)

    def rows(self, statement: Executable, parameters: Parameters | None = None) -> Sequence[Row[Any]]:
        return self.connection.execute(statement, parameters).all()

    def row(self, statement: Executable, parameters: Parameters | None = None) -> Row[Any] | None:
        return self.connection.execute(statement, parameters).first()

    def run(self, statement: Executable, parameters: Parameters | Sequence[Parameters]) -> int:
        """The number of rows it changed; several sets of parameters run it for each, none at all not once."""
        if not parameters:
            return 0
        self.pending.manifests_changed |= changes.shows(statement)
        return self.connection.execute(statement, parameters).rowcount

    def count(self, statement: Executable) -> int:
        """Of a statement that selects one number."""
        return int(self.connection.execute(statement).scalar_one())

    def take(self, statement: Executable, parameters: Parameters) -> list[Row[Any]]:
        """The rows that an UPDATE ... RETURNING changed."""
        self.pending.manifests_changed |= changes.shows(statement)
        return list(self.connection.execute(statement, parameters))

    def end_work(self) -> None:
        """Before what a work wrote is kept: it says that manifests may have changed, if so."""
        if self.pending.manifests_changed:
            self.pending.manifests_changed = False
            self.connection.execute(_MARK.on(self), {"key": MANIFESTS_MARK, "value": self.chance.token(8).hex()})

    @contextmanager
    def all_or_nothing(self, clash: str) -> Iterator[None]:
        """Undo what is inside when rows clash, and raise Conflict with these words; the transaction can go on."""
        self.connection.exec_driver_sql("SAVEPOINT inner_part")
        try:
            yield
        except IntegrityError:
            self.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT inner_part")
            raise Conflict(clash) from None
        self.connection.exec_driver_sql("RELEASE SAVEPOINT inner_part")


class Shape(Generic[T]):
    """A dataclass and the table whose columns bear its fields' names."""

    def __init__(self, kind: type[T], table: Table, *, without: tuple[str, ...] = ()) -> None:
        self._kind = kind
        self.names = tuple(field.name for field in fields(kind) if field.name not in without)  # type: ignore[arg-type]  # T is a dataclass
        self.columns: list[Column[Any]] = [table.c[name] for name in self.names]

    def read(self, row: Sequence[Any], **rest: Any) -> T:
        """From a row that begins with `columns`; `rest` are the fields that stand elsewhere."""
        return self._kind(**dict(zip(self.names, row, strict=False)), **rest)

    def write(self, item: T) -> dict[str, Any]:
        return {name: getattr(item, name) for name in self.names}


class Upsert:
    """Insert, or update what has the same key; the two databases say it alike but SQLAlchemy has one type for each."""

    def __init__(
        self,
        table: Table,
        key: Sequence[str],
        update: Sequence[str],
        where: "Callable[[Any], ColumnElement[bool]] | None" = None,
    ) -> None:
        """`where`: what is there is left as it is unless this holds, of it and the new row; then no row is counted."""
        self._of: dict[bool, Insert] = {}
        for is_postgres, insert in ((True, postgresql.insert(table)), (False, sqlite.insert(table))):
            said = (
                insert.on_conflict_do_update(
                    index_elements=key,
                    set_={name: insert.excluded[name] for name in update},
                    where=where(insert.excluded) if where else None,
                )
                if update
                else insert.on_conflict_do_nothing(index_elements=key)
            )
            self._of[is_postgres] = said.execution_options(preserve_rowcount=True)  # else lost for an INSERT

    def on(self, session: Session) -> Insert:
        return self._of[session.is_postgres]


_MARK = Upsert(instance, ("key",), ("value",))


def param(name: str, column: "Column[Any] | None" = None) -> Any:
    """A named parameter with a column's type; its name must differ from the columns an UPDATE sets."""
    return bindparam(name, type_=Text() if column is None else column.type)


def number(name: str) -> Any:
    """A named parameter that is a whole number."""
    return bindparam(name, type_=Integer())


def several(name: str) -> Any:
    """A named parameter for `in_`: a list of texts."""
    return bindparam(name, type_=Text(), expanding=True)
