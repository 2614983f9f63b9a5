"""Opening a database: at head or refused with what to do; migrations lead to the declared tables (security test C7)."""

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, Table, Update, create_engine, func, text, update

from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import Invalid, Unavailable
from certline_master.store.kek import Kek, new_kek
from certline_master.store.opening import open_store
from certline_master.store.schema import HEAD, at_head, migrate
from certline_master.store.tables import metadata, secrets
from certline_migrations.check import differences, main
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from tests.contract.store_bed import StoreBed

if TYPE_CHECKING:
    from tests.testbed.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'certline.sqlite'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


def _execute(url: str, statement: str | Update) -> None:
    """As somebody would who gets at the database."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement) if isinstance(statement, str) else statement)
    engine.dispose()


def _open(url: str, kek: Kek | None = None) -> None:
    open_store(url, kek=kek, clock=SystemClock(), chance=SystemChance()).close()


def test_migrating_brings_an_empty_database_to_head_once(empty_url: str) -> None:
    assert not at_head(empty_url)
    assert migrate(empty_url)
    assert at_head(empty_url)
    assert not migrate(empty_url)
    _open(empty_url)


def test_masters_that_migrate_at_once_do_not_get_in_each_others_way(postgres: "PostgresServer") -> None:
    url, script = (
        postgres.new_database(),
        "import sys; from certline_master.store.schema import migrate as m; m(sys.argv[1])",
    )
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(lambda _n: subprocess.run([sys.executable, "-c", script, url], check=False), range(3)))
    assert [process.returncode for process in done] == [0, 0, 0]
    assert at_head(url)


def test_an_older_database_is_refused_with_the_command_that_helps(empty_url: str) -> None:
    if empty_url.startswith("sqlite"):
        with pytest.raises(Unavailable, match="there is no database"):
            _open(empty_url)
        _execute(empty_url, "VACUUM")
    with pytest.raises(Unavailable, match=f"revision none, this certline needs {HEAD}: run `certline migrate`"):
        _open(empty_url)


def test_a_newer_database_is_refused_and_not_migrated(empty_url: str) -> None:
    migrate(empty_url)
    _execute(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    for use in (_open, migrate):
        with pytest.raises(Unavailable, match=r"revision 9999, which this certline .* a newer release"):
            use(empty_url)


def test_the_head_that_the_master_asks_for_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", "certline_migrations:")
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_the_migrations_lead_to_the_declared_tables(empty_url: str) -> None:
    assert differences(empty_url) is None


def test_a_table_without_a_migration_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    stray = Table("stray", metadata, Column("id", Integer, primary_key=True))
    try:
        assert main([]) == 1
        assert "stray" in capsys.readouterr().err
    finally:
        metadata.remove(stray)
    assert main([]) == 0


def test_an_sqlite_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "certline.sqlite"
    migrate(f"sqlite:///{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://x/y", "mysql is not supported"),
        ("sqlite://", "SQLite needs a file"),
        ("sqlite:///:memory:", "SQLite needs a file"),
        ("certline.db", "not a database URL"),
        ("", "not a database URL"),
    ],
)
def test_a_url_that_is_no_use_is_told_with_an_example(url: str, why: str) -> None:
    with pytest.raises(Invalid, match=rf"/store/url: .*{why}.*use sqlite:////"):
        _open(url)


# --- the vault in the database ----------------------------------------------------------------------------------------


def _secret(bed: StoreBed, secret: bytes) -> str:
    return bed.write(lambda records: records.secrets.add(SYSTEM, "tsig", secret))


def _read(bed: StoreBed, secret_id: str) -> bytes:
    return bed.read(lambda records: records.secrets.read(SYSTEM, "tsig", secret_id))


def _reopen(bed: StoreBed, kek: Kek | None) -> None:
    bed.store.close()
    bed.store = open_store(bed.url, kek=kek, clock=bed.clock, chance=bed.chance)


def test_initialising_again_changes_nothing(bed: StoreBed) -> None:
    secret = _secret(bed, b"key")
    assert not bed.store.initialise()
    assert bed.store.sealed is None
    assert _read(bed, secret) == b"key"


def test_without_a_kek_the_store_works_sealed(bed: StoreBed) -> None:
    secret = _secret(bed, b"key")
    _reopen(bed, None)
    assert "sealed" in (bed.store.sealed or "")
    for use in (lambda: _read(bed, secret), lambda: _secret(bed, b"new"), bed.store.initialise):
        with pytest.raises(Unavailable, match="sealed"):
            use()
    bed.follower()
    assert len(bed.read(lambda records: records.followers.all(SYSTEM))) == 1


def test_a_wrong_kek_is_named_and_never_starts_a_new_data_key(bed: StoreBed) -> None:
    secret, wrong = _secret(bed, b"key"), new_kek(bed.chance)
    _reopen(bed, wrong)
    needed = f"wrong key encryption key; the database needs the one with id {bed.kek.id}, given was {wrong.id}"
    assert needed in (bed.store.sealed or "")
    for use in (lambda: _read(bed, secret), lambda: _secret(bed, b"new"), bed.store.initialise):
        with pytest.raises(Unavailable, match=needed):
            use()
    _reopen(bed, bed.kek)
    assert _read(bed, secret) == b"key"


def test_a_damaged_data_key_is_told_from_a_wrong_kek(bed: StoreBed) -> None:
    secret = _secret(bed, b"key")
    _execute(bed.url, "UPDATE data_keys SET wrapped = substr(wrapped, 1, 60)")
    _reopen(bed, bed.kek)
    assert "is damaged (the key encryption key is the right one)" in (bed.store.sealed or "")
    with pytest.raises(Unavailable, match="restore the database"):
        _read(bed, secret)


def test_secrets_swapped_between_two_rows_open_in_neither(bed: StoreBed) -> None:
    one, other = _secret(bed, b"one"), _secret(bed, b"other")
    for old, new in ((one, "between"), (other, one), ("between", other)):  # the row changes its id, which is the same
        _rename(bed, old, new)
    for secret in (one, other):
        with pytest.raises(Unavailable, match=f"the secret {secret} .* is damaged, or was moved"):
            _read(bed, secret)


def _rename(bed: StoreBed, old: str, new: str) -> None:
    _execute(bed.url, update(secrets).where(secrets.c.id == old).values(id=new))


def test_one_damaged_secret_leaves_the_others_readable(bed: StoreBed) -> None:
    bad, good = _secret(bed, b"bad"), _secret(bed, b"good")
    _execute(bed.url, update(secrets).where(secrets.c.id == bad).values(data=func.substr(secrets.c.data, 1, 40)))
    with pytest.raises(Unavailable, match=f"the secret {bad}"):
        _read(bed, bad)
    assert _read(bed, good) == b"good"


def test_no_new_data_key_is_made_where_secrets_need_a_lost_one(bed: StoreBed) -> None:
    secret = _secret(bed, b"key")
    _execute(bed.url, "DELETE FROM data_keys")
    _reopen(bed, bed.kek)
    for use in (bed.store.initialise, lambda: _secret(bed, b"new"), lambda: _read(bed, secret)):
        with pytest.raises(Unavailable, match="data key"):
            use()


def test_a_store_that_was_never_set_up_says_so(database_url: str) -> None:
    store = open_store(database_url, kek=new_kek(SystemChance()), clock=SystemClock(), chance=SystemChance())
    with pytest.raises(Unavailable, match="run `certline init`"):
        store.write(lambda records: records.secrets.add(SYSTEM, "tsig", b"k"))
    store.close()


def test_no_secret_and_no_key_stands_in_the_database(sqlite_bed: StoreBed) -> None:
    _secret(sqlite_bed, b"a very particular secret")
    path = Path(sqlite_bed.url.removeprefix("sqlite:///"))
    everything = b"".join(found.read_bytes() for found in path.parent.iterdir())
    assert b"tsig" in everything
    assert b"a very particular secret" not in everything
    assert sqlite_bed.kek.key not in everything
    assert sqlite_bed.kek.text.encode() not in everything
