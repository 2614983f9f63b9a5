"""A canary in every field that holds a secret, and all that is done with the database: none of them gets out (G9).

What may hold one is the key's own file, and the answer of a command that is asked for it.
"""

import base64
import gzip
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from certline_master.domain.access import SYSTEM
from certline_master.domain.custody import Key, KeyMaterial
from certline_master.domain.model import Follower, FollowerState, Issuer, Owner, Slot, Zone
from certline_master.domain.ports import EnrolmentToken, Records
from certline_master.store.kek import read_kek
from certline_master.store.records import session_of
from certline_master.store.tables import metadata, secrets
from certline_shared.clock import SystemClock
from certline_shared.keys import KeyType
from tests.integration.cli_bed import Commands, Master, Said, initialised, installed
from tests.integration.cli_store import opened
from tests.integration.test_attacks_canaries import said_in
from tests.unit.master.column_classes import CLASSES, SECRET_ID

PASSWORD = "CanaryOfTheDatabasePassword"
PRINTED = "CanaryThatAProgramPrints"


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    """Initialised, its log at its loudest, not started."""
    made = initialised(tmp_path / "etc")
    with made.config.open("a") as file:
        file.write('[logging]\nlevel = "debug"\n')
    yield made
    made.stop()


def planted(master: Master) -> dict[tuple[str, str], bytes]:
    """A canary for each column that refers to a secret."""
    now = SystemClock().now()
    canaries = {
        (table, column): f"canary-of-{table}-{column}-0123456789".encode()
        for table, columns in CLASSES.items()
        for column, kind in columns.items()
        if kind == SECRET_ID
    }

    def write(records: Records) -> None:
        kept = {place: records.secrets.add(SYSTEM, f"test-{place[0]}", one) for place, one in canaries.items()}
        issuer = Issuer("i", "ca", Owner.API, "https://127.0.0.1:9/directory", is_default=True)
        records.issuers.save(SYSTEM, issuer)
        records.issuers.set_account(SYSTEM, "i", key=kept.pop(("issuers", "account_key")), url=None)
        zone = Zone("z", "example.test", Owner.API, "responder")
        records.zones.save(SYSTEM, replace(zone, secret=kept.pop(("zones", "secret"))))
        records.followers.save(SYSTEM, Follower("f", "web-1", Owner.API, FollowerState.INVITED))
        mac_key = kept.pop(("enrolment_tokens", "mac_key"))
        records.followers.add_token(SYSTEM, EnrolmentToken("e", "f", mac_key, now + timedelta(hours=1)))
        records.keys.save(SYSTEM, Key("k", "shared", Owner.API))
        secret = kept.pop(("key_materials", "secret"))
        material = KeyMaterial("m", "k", KeyType.ECDSA_P256, Slot.CURRENT, "ab" * 32, secret, now)
        records.keys.add_material(SYSTEM, material)
        assert kept == {}, "plant a canary there too"

    store = opened(master)
    store.write(write)
    store.close()
    return canaries


def everything_secret(master: Master) -> list[bytes]:
    """All that the vault holds, and its key."""
    store = opened(master)
    with store.read() as records:
        rows = session_of(records).connection.execute(select(secrets.c.id, secrets.c.kind)).all()
        found = [records.secrets.read(SYSTEM, row.kind, row.id) for row in rows]
    store.close()
    return [*found, read_kek(f"file:{master.folder / 'kek'}").key]


def program(folder: Path, text: str) -> str:
    made = folder / "program"
    made.write_text(f"#!{sys.executable}\n{text}\n")
    made.chmod(0o700)
    return str(made)


def drive(master: Master, command: Commands, folder: Path) -> dict[str, bytes]:
    """Every command that works on the database, well and badly; what each said, and what each wrote."""
    heard: dict[str, bytes] = {}

    def run(*words: str | Path, code: int | None = 0) -> Said:
        said = command(*words)
        heard[f"{len(heard)}: {' '.join(map(str, words))}"] = f"{said.out}{said.err}".encode()
        assert code is None or said.code == code, f"{words}: {said}"
        return said

    run("backup", folder)
    [file] = folder.iterdir()
    heard["the backup"] = gzip.decompress(file.read_bytes())
    run("backup", "verify", file)
    for local in ("kek status", "config show", "epoch raise"):
        run(*local.split(), "--output", "json", code=None)
        run(*local.split())
    run("kek", "rotate", "--to", f"exec:{program(master.folder, f'print({PRINTED!r}); exit(0)')}", code=2)
    run("kek", "rotate", "--to", f"exec:{program(master.folder, f'import sys; sys.exit({PRINTED!r})')}", code=2)
    run("kek", "rotate")
    run("datakey", "rotate", code=3)
    run("kek", "retire")
    run("datakey", "rotate")
    run("restore", file, code=3)
    former = master.folder / "kek"
    run("restore", file, "--force", "--backup-kek", f"file:{former}", code=3)
    heard["with a wrong password"] = wrong_password(master)
    kek = former.rename(master.folder / "aside")
    for local in ("kek rotate", "datakey rotate", f"restore {file} --force"):
        run(*local.split(), code=3)
    master.start()
    for asked in ("status", "event list", "event export", "follower list"):
        run(*asked.split(), code=5)
    master.stop()
    kek.rename(former)
    master.start()
    for asked in ("status", "event list", "event export", "follower list", "line list"):
        run(*asked.split())
    heard |= {name: Path(f"/proc/{master.process.pid}/{name}").read_bytes() for name in ("cmdline", "environ")}
    master.stop()
    heard["log"] = master.log.read_bytes()
    return heard


def wrong_password(master: Master) -> bytes:
    text = master.config.read_text()
    url = f'url = "postgresql://certline:{PASSWORD}@127.0.0.1:9/none"'
    other = master.folder / "postgres.toml"
    other.write_text("\n".join(url if line.startswith("url = ") else line for line in text.splitlines()))
    said = [
        installed("--config", other, *words, cwd=master.folder) for words in (("kek", "status"), ("config", "show"))
    ]
    other.unlink()
    return "".join(one.out + one.err for one in said).encode()


def test_no_secret_leaves_the_vault_whatever_is_done_with_the_database(
    master: Master, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canaries = planted(master)
    assert len(canaries) == len(list(_secret_columns()))
    (tmp_path / "backups").mkdir()
    looked_for = [*everything_secret(master), PASSWORD.encode(), PRINTED.encode()]
    assert set(canaries.values()) <= set(looked_for)

    heard = drive(master, Commands(master.config, capsys), tmp_path / "backups")

    looked_for += everything_secret(master)
    heard |= {path.name: path.read_bytes() for path in (master.folder / "data").iterdir() if path.is_file()}
    found = [(where, said) for where, text in heard.items() for said in looked_for if said_in(said, text)]
    assert [(where, shown(said)) for where, said in found] == []


def _secret_columns() -> Iterator[str]:
    for table in metadata.sorted_tables:
        for column in table.columns:
            if any(key.column.table.name == "secrets" for key in column.foreign_keys):
                yield f"{table.name}.{column.name}"


def shown(secret: bytes) -> str:
    return base64.b64encode(secret[:40]).decode()
