"""The databases that the store's contract is held to: SQLite, and a real PostgreSQL."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, make_url

from certline_master.domain.access import SYSTEM
from certline_master.store.kek import Kek, new_kek
from certline_master.store.schema import migrate
from tests.contract.store_backups import backed_up
from tests.contract.store_bed import StoreBed
from tests.contract.store_fleet import Fleet, make_fleet
from tests.contract.store_keys import WORDS, Reader

if TYPE_CHECKING:
    from tests.testbed.postgres import PostgresServer


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database at head, to be copied."""
    path = tmp_path_factory.mktemp("template") / "certline.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def new_postgres_database(postgres: PostgresServer) -> Callable[[], str]:
    """Makes databases at head from one that was migrated; each call gives the URL of another."""
    template = make_url(postgres.new_database())
    migrate(template.render_as_string(hide_password=False))
    numbers = count(1)

    def make() -> str:
        name = f"copy_{next(numbers)}"
        engine = create_engine(template.set(database="postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template.database}")
        engine.dispose()
        return template.set(database=name).render_as_string(hide_password=False)

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database at head."""
    if request.param == "postgres":
        make: Callable[[], str] = request.getfixturevalue("new_postgres_database")
        return make()
    return _copy(request.getfixturevalue("sqlite_template"), tmp_path)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A fresh SQLite database at head, for what is SQLite's alone."""
    return _copy(sqlite_template, tmp_path)


def _copy(template: Path, folder: Path) -> str:
    path = folder / "certline.sqlite"
    shutil.copyfile(template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def bed(database_url: str) -> Iterator[StoreBed]:
    """A store on each database, initialised, with builders for what a test needs in it."""
    with StoreBed(database_url) as made:
        yield made


@pytest.fixture
def fleet(bed: StoreBed) -> Fleet:
    """Two followers with a line each in that store; the line of the second has a live version."""
    return make_fleet(bed)


@pytest.fixture
def sqlite_bed(sqlite_url: str) -> Iterator[StoreBed]:
    """The same on SQLite alone."""
    with StoreBed(sqlite_url) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "backups" / "one.tar.gz"


@pytest.fixture
def target(tmp_path: Path) -> str:
    """An SQLite database that is not there yet."""
    return f"sqlite:///{tmp_path / 'new' / 'certline.sqlite'}"


@pytest.fixture
def whole(sqlite_bed: StoreBed, file: Path) -> Path:
    backed_up(sqlite_bed, file)
    return file


@pytest.fixture
def ids(bed: StoreBed) -> list[str]:
    """Seven secrets."""
    return bed.write(lambda records: [records.secrets.add(SYSTEM, "test", word) for word in WORDS])


@pytest.fixture
def new(bed: StoreBed) -> Kek:
    return new_kek(bed.chance)


@pytest.fixture
def reader(bed: StoreBed) -> Reader:
    return Reader(bed)
