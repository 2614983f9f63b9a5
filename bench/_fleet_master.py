"""The fleet bench's master: a store filled with followers that have a live line each, and `certline serve` on it."""

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from certline_master import settings as master_settings
from certline_master import wiring
from certline_master.api.enrolment import SECRET_KIND
from certline_master.domain.access import SYSTEM
from certline_master.domain.model import (
    Certificate,
    Follower,
    FollowerState,
    Issuer,
    Line,
    LineCsr,
    Owner,
    Version,
    VersionState,
)
from certline_master.domain.ports import EnrolmentToken, Records
from certline_shared import enrolment, signing
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.keys import KeyType, generate, make_csr, read_csr

CLOCK, CHANCE = SystemClock(), SystemChance()
AT_ONCE = 500  # followers in a transaction
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Identity:
    """A simulated follower's side."""

    follower_id: str
    name: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Invitation:
    """A token of a follower that is yet to enrol."""

    token_id: str
    secret: bytes


class FleetMaster:
    def __init__(self, folder: Path, port: int, database: str | None, long_polls: int) -> None:
        self.folder, self.port = folder, port
        self.config = folder / "certline.toml"
        words = [_program("certline"), "init", "--origin", self.origin, "--dir", str(folder)]
        words += ["--listen", f"127.0.0.1:{port}", *(["--database", database] if database else [])]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        text = self.config.read_text().replace("[api]", f"[api]\nlong_polls = {long_polls}\nconnections = 30000", 1)
        self.config.write_text(text + '\n[logging]\nlevel = "warning"\n')
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    # --- its store, while it does not serve ---

    def fill(self, followers: int, invited: int) -> tuple[list[Identity], list[Invitation]]:
        """Followers that are enrolled, each with a line that has a live version; and some with a token."""
        store = wiring.open_settings_store(master_settings.load(self.config), CLOCK, CHANCE)
        der = make_csr(generate(KeyType.ECDSA_P256), ("bench.example",))
        facts = read_csr(der)  # one request for all: the master looks only at what it keeps beside it
        csr = LineCsr(facts.key_type, der, facts.spki_sha256, facts.names)
        try:
            store.write(lambda records: records.issuers.save(SYSTEM, _issuer()))
            made: list[Identity] = []
            for start in range(0, followers, AT_ONCE):
                some = range(start, min(start + AT_ONCE, followers))
                made += store.write(partial(_add_some, some, csr))
            return made, [store.write(partial(_invite, number)) for number in range(invited)]
        finally:
            store.close()

    # --- its life ---

    @contextmanager
    def serving(self) -> Iterator[None]:
        self.start()
        try:
            yield
        finally:
            self.stop()

    def start(self) -> None:
        words = [_program("certline"), "--config", str(self.config), "serve"]
        self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)
            self._process = None

    def command(self, *words: str) -> None:
        subprocess.run(
            [_program("certline"), "--config", str(self.config), *words], check=True, stdout=subprocess.DEVNULL
        )

    # --- what it costs ---

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_mb(self) -> float:
        return self._status("VmRSS")

    def peak_mb(self) -> float:
        return self._status("VmHWM")

    def _status(self, field: str) -> float:
        for line in Path(f"/proc/{self._pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1000
        return 0.0

    @property
    def _pid(self) -> int:
        if self._process is None:
            raise RuntimeError("the master does not serve")
        return self._process.pid


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _issuer() -> Issuer:
    return Issuer("bench-issuer", "bench", Owner.FILE, "https://127.0.0.1:9/dir", is_default=True, profiles=())


def _add_some(numbers: Iterable[int], csr: LineCsr, records: Records) -> list[Identity]:
    return [_add(records, number, csr) for number in numbers]


def _add(records: Records, number: int, csr: LineCsr) -> Identity:
    """An enrolled follower with its own line, live for 90 days."""
    private, public = signing.generate_identity()
    name = f"web-{number}"
    follower = Follower(CHANCE.uuid(), name, Owner.FILE, FollowerState.ACTIVE, identity_key=public)
    records.followers.save(SYSTEM, follower)
    line = Line(CHANCE.uuid(), f"www@{name}", Owner.FOLLOWER, follower.id, (f"{name}.bench.example",))
    records.lines.save(SYSTEM, line)
    records.lines.put_csr(SYSTEM, line.id, replace(csr, names=line.names))
    _go_live(records, line, csr)
    return Identity(follower.id, name, private)


def _go_live(records: Records, line: Line, csr: LineCsr) -> None:
    now, version_id = CLOCK.now(), CHANCE.uuid()
    certificate = Certificate(
        id=CHANCE.uuid(),
        version_id=version_id,
        key_type=csr.key_type,
        csr=csr.csr,
        spki_sha256=csr.spki_sha256,
        names=line.names,
        chain="-----BEGIN CERTIFICATE-----\n" + base64.b64encode(CHANCE.token(2000)).decode() + "\n",
        serial="01",
        not_before=now,
        not_after=now + timedelta(days=90),
    )
    version = Version(version_id, line.id, 1, VersionState.LIVE, now, "the first certificate", (certificate,))
    records.versions.open(SYSTEM, version, [])


def _invite(number: int, records: Records) -> Invitation:
    follower = Follower(CHANCE.uuid(), f"new-{number}", Owner.FILE, FollowerState.INVITED)
    records.followers.save(SYSTEM, follower)
    secret = CHANCE.token(32)
    mac_key = records.secrets.add(SYSTEM, SECRET_KIND, enrolment.mac_key(secret))
    token = EnrolmentToken(CHANCE.uuid(), follower.id, mac_key, CLOCK.now() + timedelta(hours=1))
    records.followers.add_token(SYSTEM, token)
    return Invitation(token.id, secret)
