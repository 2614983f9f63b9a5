"""Two masters on one Postgres: leases by the database's clock, fences, take-overs; each wish is done once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import URL, Engine, create_engine, make_url

from certline_master.store.schema import migrate
from tests.fakes.clock import FakeClock
from tests.integration.engine_model import Model
from tests.integration.test_engine_random_crashes import LOOKS_LONGER, SETTINGS, TwoEngines, opened

if TYPE_CHECKING:
    from tests.testbed.postgres import PostgresServer

# Postgres decides on leases by its own clock, so that one is set too: ours is found before the built-in one.
_SEARCH = "-c search_path=fake,public,pg_catalog"
_CLOCK = (
    "CREATE SCHEMA fake",
    "CREATE TABLE fake.clock (at timestamptz NOT NULL)",
    "INSERT INTO fake.clock VALUES (now())",
    "CREATE FUNCTION fake.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM fake.clock'",
)


class DatabasesClock(FakeClock):
    """A clock that moves the database's with it."""

    def __init__(self, database: Engine) -> None:
        super().__init__()
        self._database = database
        self.advance(0)

    def advance(self, by: timedelta | float) -> datetime:
        now = super().advance(by)
        with self._database.connect() as connection:
            connection.exec_driver_sql("UPDATE fake.clock SET at = %s", (now,))
        return now


@pytest.fixture(scope="module")
def new_database(postgres: PostgresServer) -> Callable[[], URL]:
    """Makes databases at head with a clock that can be set."""
    template = make_url(postgres.new_database())
    migrate(template.render_as_string(hide_password=False))
    _run(template, *_CLOCK)
    numbers = count(1)

    def make() -> URL:
        name = f"two_masters_{next(numbers)}"
        _run(template.set(database="postgres"), f"CREATE DATABASE {name} TEMPLATE {template.database}")
        return template.set(database=name).update_query_dict({"options": _SEARCH})

    return make


def _run(url: URL, *statements: str) -> None:
    database = create_engine(url, isolation_level="AUTOCOMMIT")
    with database.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    database.dispose()


def test_two_masters_do_each_wish_once_whatever_stands_still_or_dies(new_database: Callable[[], URL]) -> None:
    """security.md A7, C6"""

    class TwoMasters(TwoEngines):
        def make(self) -> Model:
            url = new_database()
            self.database = create_engine(url, isolation_level="AUTOCOMMIT")
            clock = DatabasesClock(self.database)
            text = url.render_as_string(hide_password=False)
            self.stores = [opened(text, clock, seed) for seed in ("one", "two")]
            return Model(self.stores, text, clock)

        def teardown(self) -> None:
            super().teardown()
            if hasattr(self, "database"):
                self.database.dispose()

    few = SETTINGS if LOOKS_LONGER else settings(SETTINGS, max_examples=12)
    run_state_machine_as_test(TwoMasters, settings=few)
