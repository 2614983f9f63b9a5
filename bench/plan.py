"""Planning: all of 10,000 lines at once, a fleet file of as many, and a turn in which nothing is due.

    python -m bench.plan [--lines N] [--json FILE]

The store is SQLite on this disk, time stands still, and no CA is asked: only deciding is measured, and reading what it
needs.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from bench._report import Report
from certline_master.domain.access import SYSTEM
from certline_master.domain.fleet import FILE, Current, DesiredFleet, DesiredIssuer, DesiredLine, normal
from certline_master.domain.fleet_changes import difference
from certline_master.domain.fleet_faults import faults
from certline_master.domain.fleet_warnings import Wished
from certline_master.domain.model import (
    Certificate,
    Custody,
    Line,
    LineCsr,
    LineOptions,
    LineSnapshot,
    Owner,
    Renewal,
    Version,
    VersionState,
)
from certline_master.domain.planning import plan
from certline_master.domain.ports import Records
from certline_shared.keys import KeyType
from tests.fakes.ca import FakeCa
from tests.fakes.chance import SeededChance
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Engine, open_fresh_store

FEW = 100
AT_ONCE = 500
ROUNDS = 5
IDLE_TURNS = 100
KEY_TYPES = (KeyType.ECDSA_P256, KeyType.RSA_2048)
MOST_SECONDS = 1.0
MOST_TIMES = 2.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    report = Report("plan")
    with _filled(FEW) as few, _filled(asked.lines) as many:
        idle_few, idle_many = _idle_turn(few), _idle_turn(many)
        read, decided = _whole_fleet(many)
        wished = _fleet_file(many)
    report.figures |= {
        "lines": asked.lines,
        "read_seconds": round(read, 3),
        "decide_seconds": round(decided, 3),
        "fleet_file_seconds": round(wished, 3),
        f"idle_turn_ms_at_{FEW}": round(idle_few * 1000, 3),
        f"idle_turn_ms_at_{asked.lines}": round(idle_many * 1000, 3),
    }
    report.goal(f"deciding on {asked.lines} lines, s", decided, MOST_SECONDS)
    report.goal(f"a fleet file of {asked.lines} lines beside what is there, s", wished, MOST_SECONDS)
    report.goal(f"a turn without work, {asked.lines} lines to {FEW}", idle_many / idle_few, MOST_TIMES)
    return 0 if report.close(asked.json) else 1


@contextmanager
def _filled(lines: int) -> Iterator[Engine]:
    """A master of which every line has a live certificate of two key types and nothing is due."""
    with tempfile.TemporaryDirectory(prefix="certline-plan-") as folder:
        clock, chance = FakeClock(), SeededChance()
        store = open_fresh_store(Path(folder), clock, chance)
        engine = Engine(store, clock, chance, FakeCa(clock))
        engine.configure(profiles=("classic",))
        for start in range(0, lines, AT_ONCE):
            store.write(partial(_add_all, engine, range(start, min(lines, start + AT_ONCE))))
        try:
            yield engine
        finally:
            store.close()


def _add_all(engine: Engine, numbers: Iterable[int], records: Records) -> None:
    for number in numbers:
        _add(engine, records, number)


def _add(engine: Engine, records: Records, number: int) -> None:
    now, name = engine.clock.now(), _name(number)
    renewal = Renewal(now + timedelta(days=60), "inside the CA's window", now + timedelta(days=30))
    line = Line(f"l-{number}", name, Owner.FILE, "follower", _names(number), KEY_TYPES, options=_options())
    records.lines.save(SYSTEM, line)
    certificates = []
    for kind in KEY_TYPES:
        csr = LineCsr(kind, b"request", f"{kind}-{number}", tuple(sorted(line.names)))
        records.lines.put_csr(SYSTEM, line.id, csr)
        made = Certificate(f"c-{number}-{kind}", f"v-{number}", kind, csr.csr, csr.spki_sha256, csr.names, "PEM", "01")
        ends = now + timedelta(days=90)
        certificates.append(replace(made, not_before=now, not_after=ends, renewal=renewal))
    version = Version(f"v-{number}", line.id, 1, VersionState.ORDERED, now, "the first", tuple(certificates))
    records.versions.open(SYSTEM, version, [])
    records.versions.set_state(SYSTEM, version.id, VersionState.LIVE, now=now)
    records.lines.set_next_look(SYSTEM, line.id, now + timedelta(days=30))


def _name(number: int) -> str:
    return f"line-{number:05}"


def _names(number: int) -> tuple[str, ...]:
    return (f"{_name(number)}.example.com", f"www.{_name(number)}.example.com")


def _options() -> LineOptions:
    return LineOptions(renew_before="30d", inherited={"renew_before": "defaults"})


def _whole_fleet(engine: Engine) -> tuple[float, float]:
    """Seconds to read all that is needed of all lines, and to decide on them."""
    began = time.perf_counter()
    snapshots: list[LineSnapshot] = []
    with engine.store.read() as records:
        ids = [line.id for line in records.lines.all(SYSTEM, limit=1_000_000)]
        for start in range(0, len(ids), AT_ONCE):
            snapshots += records.lines.snapshots(SYSTEM, ids[start : start + AT_ONCE])
    read, now = time.perf_counter() - began, engine.clock.now()
    return read, _seconds(lambda: [plan(snapshot, now) for snapshot in snapshots])


def _fleet_file(engine: Engine) -> float:
    """Seconds to look for faults, differences and warnings of a fleet that is as it is wished."""
    with engine.store.read() as records:
        current = Current(
            issuers=tuple(records.issuers.all(SYSTEM)),
            lines=tuple(records.lines.all(SYSTEM, limit=1_000_000)),
            followers=tuple(records.followers.all(SYSTEM)),
        )
    lines = {
        line.name: DesiredLine(line.names, "web-1", key_types=KEY_TYPES, custody=Custody.FOLLOWER, options=_options())
        for line in current.lines
    }
    issuers = {
        one.name: DesiredIssuer("https://acme-v02.api.letsencrypt.org/directory", default=True)
        for one in current.issuers
    }
    wanted, now = DesiredFleet(issuers=issuers, lines=lines), engine.clock.now()

    def decide() -> None:
        faults(wanted, current, FILE, ())
        normalised = normal(wanted)
        difference(current, normalised, FILE, str)
        Wished(normalised, current, FILE, now).warnings()

    return _seconds(decide)


def _idle_turn(engine: Engine) -> float:
    """The median of many turns in which nothing is due."""
    engine.turn()
    return statistics.median(_once(engine.turn) for _ in range(IDLE_TURNS))


def _seconds(work: Callable[[], object]) -> float:
    return statistics.median(_once(work) for _ in range(ROUNDS))


def _once(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
