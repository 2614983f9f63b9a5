"""All tables as rows that any database can take: texts, numbers, times in ISO 8601, bytes in base64."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Table,
    Text,
    column,
    func,
    insert,
    select,
    table,
    text,
)
from sqlalchemy.types import TypeEngine

from certline_master.store.columns import Time
from certline_master.store.tables import metadata

_AT_ONCE = 500
_TYPES: dict[str, TypeEngine[Any]] = {
    "bytes": LargeBinary(), "time": Time(), "flag": Boolean(), "number": BigInteger(), "text": Text(),
}  # fmt: skip
_WRITTEN_AS: dict[str, type] = {"flag": bool, "number": int}  # in JSON; the others as texts


@dataclass(frozen=True, slots=True)
class Shape:
    """A table's name, and its columns with their portable types."""

    name: str
    columns: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        """Raises ValueError: it may come from a file."""
        texts = [self.name, *(name for name, _ in self.columns)]
        if not all(isinstance(one, str) for one in texts) or not {kind for _, kind in self.columns} <= set(_TYPES):
            raise ValueError("this is no table's shape")


def shapes() -> list[Shape]:
    """Of this release's tables; those that others refer to come first."""
    return [
        Shape(found.name, tuple((one.name, _type_of(one)) for one in found.columns)) for found in metadata.sorted_tables
    ]


def _type_of(found: "Column[Any]") -> str:
    """What the domain's own types write is text: how it is to be read is the release's, not the backup's."""
    for name, kinds in (("time", Time), ("bytes", LargeBinary), ("flag", Boolean), ("number", Integer)):
        if isinstance(found.type, kinds):
            return name
    return "text"


def _clause(shape: Shape) -> Any:
    return table(shape.name, *(column(name, _TYPES[kind]) for name, kind in shape.columns))


def rows(connection: Connection, shape: Shape) -> Iterator[bytes]:
    """Each row as one line of JSON; not all are held in memory."""
    kinds = [kind for _, kind in shape.columns]
    found = connection.execute(select(_clause(shape)).execution_options(yield_per=_AT_ONCE))
    for row in found:
        said = [_out(value, kind) for value, kind in zip(row, kinds, strict=True)]
        yield json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def put(connection: Connection, shape: Shape, lines: Sequence[bytes]) -> None:
    """Raises ValueError for a line that is no row of this shape, RecursionError for one that is a trap."""
    found = [_read(line, shape) for line in lines]
    for start in range(0, len(found), _AT_ONCE):
        connection.execute(insert(_clause(shape)), found[start : start + _AT_ONCE])


def _read(line: bytes, shape: Shape) -> dict[str, Any]:
    values = json.loads(line)
    if not isinstance(values, list) or len(values) != len(shape.columns):
        raise ValueError(f"a row of {shape.name} has not {len(shape.columns)} values")
    return {name: _in(value, kind) for value, (name, kind) in zip(values, shape.columns, strict=True)}


def _out(value: Any, kind: str) -> Any:
    if value is None or kind in ("flag", "number", "text"):
        return value
    return base64.b64encode(value).decode("ascii") if kind == "bytes" else value.astimezone(UTC).isoformat()


def _in(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if not _is_written_so(value, kind):
        raise ValueError(f"a {kind} is not written so")
    if kind == "bytes":
        return base64.b64decode(value, validate=True)
    return datetime.fromisoformat(value) if kind == "time" else value


def _is_written_so(value: Any, kind: str) -> bool:
    return type(value) is _WRITTEN_AS.get(kind, str)


def filled(connection: Connection) -> list[str]:
    """The names of the tables that hold rows."""
    return [found.name for found in metadata.sorted_tables if _has_rows(connection, found)]


def _has_rows(connection: Connection, found: Table) -> bool:
    return connection.execute(select(func.count()).select_from(select(found).limit(1).subquery())).scalar_one() > 0


def continue_counting(connection: Connection) -> None:
    """After rows came with their numbers, Postgres has to be told where its counters stand (SQLite sees it)."""
    if connection.dialect.name != "postgresql":
        return
    for found in metadata.sorted_tables:
        if (counter := found.autoincrement_column) is not None:
            said = f"SELECT setval(pg_get_serial_sequence('{found.name}', '{counter.name}'), max({counter.name}))"
            connection.execute(text(f"{said} FROM {found.name} HAVING count(*) > 0"))
