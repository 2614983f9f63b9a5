"""Everything secret in the database is under the vault: each column is classed by hand, a new one fails until it is."""

import pytest
from sqlalchemy import Column, LargeBinary

from certline_master.store.columns import Time
from certline_master.store.tables import metadata
from tests.unit.master.column_classes import CLASSES, SEALED, SECRET_ID, TIMES, VAULT, WRAPPED

COLUMNS = {(table.name, column.name): column for table in metadata.sorted_tables for column in table.columns}


def classed(kind: str) -> set[tuple[str, str]]:
    return {(table, name) for table, columns in CLASSES.items() for name, one in columns.items() if one == kind}


def test_every_column_has_a_class_and_every_class_a_column() -> None:
    assert {(table, name) for table, columns in CLASSES.items() for name in columns} == set(COLUMNS)


def test_what_is_sealed_stands_in_these_places_and_no_other() -> None:
    assert classed(VAULT) == {("secrets", "data")}
    assert classed(SEALED) == {("sealed_keys", "data")}
    assert classed(WRAPPED) == {("data_keys", "wrapped"), ("data_keys", "former_wrapped")}


@pytest.mark.parametrize("place", sorted(COLUMNS), ids=".".join)
def test_a_column_is_of_its_class(place: tuple[str, str]) -> None:
    column = COLUMNS[place]
    kind = CLASSES[place[0]][place[1]]
    assert _refers_to_a_secret(column) == (kind == SECRET_ID)
    assert isinstance(column.type, Time) == (kind == TIMES)
    if kind in (VAULT, SEALED, WRAPPED):
        assert isinstance(column.type, LargeBinary)


def _refers_to_a_secret(column: "Column[object]") -> bool:
    return any(key.column.table.name == "secrets" for key in column.foreign_keys)
