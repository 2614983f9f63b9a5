"""The rules of the house are kept by tools: each breach, planted on purpose, is refused with words that explain it."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("shared/certline_shared", "follower/certline_follower", "master/certline_master")
MIGRATIONS = "migrations/certline_migrations"
FOLDERS = ("api", "ca", "challenges", "cli", "domain", "store", "work")

TIME = "Time has one door: certline_shared.clock"
CHANCE = "Chance has one door: certline_shared.chance"


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree with the project's settings and its packages, which are empty but for what a test plants."""

    folder: Path

    def plant(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, tool: str, *words: str | Path) -> tuple[int, str]:
        """Run one of the project's tools on this tree; its status and all it said."""
        command = [Path(sys.executable).with_name(tool), *words]
        roots = ":".join(str((self.folder / path).parent) for path in (*PACKAGES, MIGRATIONS))
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            env={"PYTHONPATH": roots, "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    made.plant("README.md", "")
    packages = [*PACKAGES, MIGRATIONS, *(f"master/certline_master/{folder}" for folder in FOLDERS)]
    for package in packages:
        made.plant(f"{package}/__init__.py", '"""A package."""\n')
    return made


def assert_refused(outcome: tuple[int, str], *expected: str) -> None:
    status, said = outcome
    assert status != 0, said
    for words in expected:
        assert words in said


# time and chance

DOORS = [
    ("import datetime as dt\n\nNOW = dt.datetime.now(dt.UTC)\n", TIME),
    ("from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n", TIME),
    ("import datetime as dt\n\nTODAY = dt.date.today()\n", TIME),
    ("import time\n\nNOW = time.time()\n", TIME),
    ("import time\n\nNOW = time.monotonic()\n", TIME),
    ("import time\n\ntime.sleep(1)\n", TIME),
    ("from time import sleep\n\nsleep(1)\n", TIME),
    ("import random\n\nDICE = random.Random()\n", CHANCE),
    ("from secrets import token_hex\n\nTOKEN = token_hex()\n", CHANCE),
    ("import os\n\nTOKEN = os.urandom(16)\n", CHANCE),
    ("from uuid import uuid4\n\nNAME = uuid4()\n", CHANCE),
]


@pytest.mark.parametrize(("breach", "reason"), DOORS)
@pytest.mark.parametrize("package", PACKAGES)
def test_time_and_chance_have_one_door(tree: Tree, package: str, breach: str, reason: str) -> None:
    planted = tree.plant(f"{package}/planted.py", f'"""Planted."""\n\n{breach}')
    assert_refused(tree.run("ruff", "check", "--no-cache", planted), "TID251", reason)


def test_the_doors_themselves_may_ask_the_system(tree: Tree) -> None:
    clock = tree.plant("shared/certline_shared/clock.py", f'"""Clock."""\n\n{DOORS[1][0]}')
    chance = tree.plant("shared/certline_shared/chance.py", f'"""Chance."""\n\n{DOORS[8][0]}')
    assert tree.run("ruff", "check", "--no-cache", clock, chance)[0] == 0


# form and types


def test_unformatted_code_is_refused(tree: Tree) -> None:
    planted = tree.plant("follower/certline_follower/planted.py", '"""Planted."""\n\nX = [1,2]\n')
    assert_refused(tree.run("ruff", "format", "--check", "--no-cache", planted), "would be reformatted")


@pytest.mark.parametrize("folder", ["follower/certline_follower", "tests/unit"])
def test_a_function_without_types_is_refused_in_code_and_tests(tree: Tree, folder: str) -> None:
    planted = tree.plant(f"{folder}/planted.py", '"""Planted."""\n\n\ndef twice(x):\n    return 2 * x\n')
    outcome = tree.run("mypy", "--no-incremental", "--cache-dir", "/dev/null", planted)
    assert_refused(outcome, "Function is missing a type annotation")


# import directions

MASTER = "certline_master"
IMPORTS = [
    ("certline_follower", "sqlalchemy", "The follower and shared stay light"),
    ("certline_follower", "pydantic", "The follower and shared stay light"),
    ("certline_follower", "certline_master.domain", "The two sides meet only in shared"),
    ("certline_follower", "httpx", "HTTP requests leave each side by one module"),
    (MASTER, "certline_follower", "The two sides meet only in shared"),
    (MASTER, "certline_migrations", "The two sides meet only in shared"),
    ("certline_shared", "httpx", "Shared has no network"),
    ("certline_shared", "socket", "Shared has no network"),
    ("certline_shared", "certline_master.domain", "The two sides meet only in shared"),
    (f"{MASTER}.domain", "certline_master.store", "Inside the master"),
    (f"{MASTER}.domain", "certline_master.api", "Inside the master"),
    (f"{MASTER}.domain", "sqlalchemy", "The domain imports no library"),
    (f"{MASTER}.store", "certline_master.ca", "Inside the master"),
    (f"{MASTER}.api", "certline_master.work", "Inside the master"),
    (f"{MASTER}.work", "certline_master.store", "API and work know the world by the ports only"),
    (f"{MASTER}.api", "certline_master.challenges", "API and work know the world by the ports only"),
    (f"{MASTER}.work", "acme.client", "The library acme only in ca"),
    (f"{MASTER}.cli", "josepy", "The library acme only in ca"),
    (f"{MASTER}.work", "fastapi", "FastAPI only in the API"),
    (f"{MASTER}.api", "sqlalchemy.orm", "SQLAlchemy only in the store"),
    (f"{MASTER}.challenges", "urllib3", "HTTP requests leave each side by one module"),
    (f"{MASTER}.ca", "httpx", "HTTP requests leave each side by one module"),
]


@pytest.mark.parametrize(("package", "imported", "contract"), IMPORTS)
def test_an_import_in_a_forbidden_direction_is_refused(tree: Tree, package: str, imported: str, contract: str) -> None:
    name, *folders = package.split(".")
    root = {Path(path).name: path for path in PACKAGES}[name]
    tree.plant("/".join([root, *folders, "planted.py"]), f'"""Planted."""\n\nimport {imported}\n')
    status, said = tree.run("lint-imports", "--no-cache")
    assert status != 0, said
    broken = [line for line in said.splitlines() if " BROKEN" in line]
    assert any(line.startswith(contract) for line in broken), said
    assert f"{package}.planted -> {imported.partition('.')[0]}" in said


def test_what_is_allowed_breaks_no_contract(tree: Tree) -> None:
    allowed = {
        "follower/certline_follower/master_client.py": "import certline_shared\nimport httpx\n",
        "master/certline_master/ca/transport.py": "import acme.messages\nimport httptools\n",
        "master/certline_master/store/tables.py": "import sqlalchemy\n",
        "master/certline_master/api/app.py": "import certline_master.domain\nimport fastapi\n",
        "master/certline_master/wiring.py": "import certline_master.api\nimport certline_master.store\n",
        "migrations/certline_migrations/env.py": "import certline_master.store\nimport sqlalchemy\n",
    }
    for path, imports in allowed.items():
        tree.plant(path, f'"""Planted."""\n\n{imports}')
    status, said = tree.run("lint-imports", "--no-cache")
    assert status == 0, said


# the schema

PLANT_A_COLUMN = """
import runpy
from certline_master.store import tables
from sqlalchemy import Column, Integer, MetaData

metadata = next(value for value in vars(tables).values() if isinstance(value, MetaData))
next(iter(metadata.tables.values())).append_column(Column("planted", Integer))
runpy.run_module("certline_migrations.check", run_name="__main__")
"""


def run_python(*words: str) -> tuple[int, str]:
    command: Sequence[str] = [sys.executable, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_column_without_a_migration_is_refused() -> None:
    assert_refused(run_python("-c", PLANT_A_COLUMN), "planted")


def test_the_migrations_lead_to_the_tables_as_they_are() -> None:
    status, said = run_python("-m", "certline_migrations.check")
    assert status == 0, said
