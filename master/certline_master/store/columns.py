"""Column types: how the domain's values stand in SQLite and Postgres."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import TIMESTAMP, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from certline_shared import codec

MOST_CODED_BYTES = 1_000_000


def _time_text(value: datetime) -> str:
    """Always 26 characters, so that texts sort as times do."""
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Time(TypeDecorator[datetime]):
    """Aware UTC with microseconds: timestamptz on Postgres, a sortable text on SQLite, which has no type for it."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else TIMESTAMP(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone must not reach the store")
        return _time_text(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return _read_time(value) if dialect.name == "sqlite" else value.astimezone(UTC)


class Word(TypeDecorator[Any]):
    """A member of one StrEnum."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 SQLAlchemy's
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 as above
        return None if value is None else self.kind(value)


class Many(TypeDecorator[tuple[Any, ...]]):
    """A tuple of texts or of members of one StrEnum, as a JSON list."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[str] = str) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: tuple[Any, ...] | None, dialect: Dialect) -> str | None:  # noqa: ARG002 as above
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Any, ...] | None:  # noqa: ARG002 as above
        return None if value is None else tuple(self.kind(item) for item in json.loads(value))


class Json(TypeDecorator[dict[str, Any]]):
    """A JSON object."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Any] | None, dialect: Dialect) -> str | None:  # noqa: ARG002 as above
        return None if value is None else json.dumps(dict(value), sort_keys=True)

    def process_result_value(self, value: Any, dialect: Dialect) -> dict[str, Any] | None:  # noqa: ARG002 as above
        return None if value is None else dict(json.loads(value))


class Composite(TypeDecorator[Any]):
    """A small dataclass that is written and read whole, as a JSON object; `readers` make its fields of texts."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[Any], readers: tuple[tuple[str, Callable[[str], Any]], ...]) -> None:
        super().__init__()
        self.kind, self.readers = kind, readers

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 as above
        if value is None:
            return None
        found = {field.name: getattr(value, field.name) for field in fields(self.kind)}
        return json.dumps({name: _time_text(v) if isinstance(v, datetime) else v for name, v in found.items()})

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 as above
        if value is None:
            return None
        found = json.loads(value)
        for name, read in self.readers:
            if found[name] is not None:
                found[name] = read(found[name])
        return self.kind(**found)


class Coded(TypeDecorator[Any]):
    """A dataclass of plain members as the codec writes it: a member that came later has its default in older rows."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[Any]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 as above
        return None if value is None else codec.write(value).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 as above
        return None if value is None else codec.read(self.kind, value.encode(), most_bytes=MOST_CODED_BYTES)


def times(*names: str) -> tuple[tuple[str, Callable[[str], Any]], ...]:
    """Readers for the fields of a Composite that are times."""
    return tuple((name, _read_time) for name in names)
