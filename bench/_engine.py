"""The master's engine as it is wired for `serve`, on a fresh SQLite database, as a process of its own.

Prints {"seconds": ..., "cpu_seconds": ..., "requests": ...}: from the moment the lines become due to the last live
version.
"""

import argparse
import json
import tempfile
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

from certline_master.ca.authorities import AcmeAuthorities
from certline_master.challenges import responder
from certline_master.challenges.endpoint import Endpoint
from certline_master.challenges.own_zones import OwnZonesFirst
from certline_master.challenges.registry import Registry
from certline_master.challenges.resolver import Resolver
from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Follower, FollowerState, Issuer, Line, LineCsr, Owner, VersionState, Zone
from certline_master.domain.ports import Records
from certline_master.store.bell import LocalBell
from certline_master.store.kek import Kek
from certline_master.store.opening import SqlStore, open_store
from certline_master.store.schema import migrate
from certline_master.work.context import Context, Limits
from certline_master.work.runner import Runner
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.keys import KeyType, generate, make_csr, read_csr

CLOCK, CHANCE = SystemClock(), SystemChance()


class Bench:
    """A store with one issuer, one zone and one follower; lines are added and timed."""

    def __init__(self, store: SqlStore, directory: str, ca_file: str, dns_port: int, at_once: int) -> None:
        self.store, self.counts = store, Counter[str]()
        issuer = Issuer(
            "i", "pebble", Owner.FILE, directory, ca_certificates=Path(ca_file).read_text(), is_default=True
        )
        zone = Zone("z", "bench.example", Owner.FILE, "responder")

        def fill(records: Records) -> None:
            records.issuers.save(SYSTEM, issuer)
            records.zones.save(SYSTEM, zone)
            records.followers.save(SYSTEM, Follower("f", "bench", Owner.FILE, FollowerState.ACTIVE))

        store.write(fill)
        self.runner = Runner(self._context(dns_port, at_once))
        self.server = responder.server(Endpoint("127.0.0.1", dns_port), self._zones, self._values, CLOCK)

    def _context(self, dns_port: int, at_once: int) -> Context:
        solvers = Registry({responder.NAME: responder.ResponderSolver(Endpoint("127.0.0.1", dns_port))})
        authorities = AcmeAuthorities(CLOCK, CHANCE, count=lambda kind: self.counts.update([kind]))
        dns = OwnZonesFirst(self._zones, Resolver())
        self.bell = LocalBell()
        limits = Limits(orders_at_once=at_once, lease=timedelta(seconds=30))
        return Context(self.store, authorities, solvers, dns, self.bell, CLOCK, CHANCE, "bench", limits)

    def _zones(self) -> list[Zone]:
        with self.store.read() as records:
            return records.zones.all(SYSTEM)

    def _values(self, record: str) -> list[str]:
        with self.store.read() as records:
            return records.orders.challenge_values(SYSTEM, record)

    def run(self, prefix: str, count: int, deadline: float) -> dict[str, float]:
        """Issue `count` certificates. Raises TimeoutError."""
        lines = [self._line(f"{prefix}{number}") for number in range(count)]
        news = threading.Event()
        hang_up = self.bell.listen("follower:f", news.set)
        self.counts.clear()
        start, cpu = time.perf_counter(), time.process_time()
        self.store.write(lambda records: self._due(records, lines))
        self.bell.ring("work")
        while not self._all_live(lines):
            if time.perf_counter() - start > deadline:
                raise TimeoutError
            news.wait(0.5)
            news.clear()
        seconds, spent = time.perf_counter() - start, time.process_time() - cpu
        hang_up()
        counted = sum(n for kind, n in self.counts.items() if kind not in ("newNonce", "renewalInfo", "directory"))
        return {"seconds": seconds, "cpu_seconds": spent, "requests": counted}

    def _line(self, name: str) -> str:
        names = (f"{name}.bench.example",)
        der = make_csr(generate(KeyType.ECDSA_P256), names)
        facts = read_csr(der)
        line = Line(f"line-{name}", name, Owner.FILE, "f", names)
        csr = LineCsr(facts.key_type, der, facts.spki_sha256, facts.names)

        def write(records: Records) -> None:
            records.lines.save(SYSTEM, line)
            records.lines.put_csr(SYSTEM, line.id, csr)

        self.store.write(write)
        return line.id

    def _due(self, records: Records, lines: list[str]) -> None:
        now = CLOCK.now()
        for line_id in lines:
            records.lines.set_next_look(SYSTEM, line_id, now)

    def _all_live(self, lines: list[str]) -> bool:
        with self.store.read() as records:
            live = records.versions.live(SYSTEM, lines)
        return len(live) == len(lines) and all(v.state is VersionState.LIVE for v in live.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", required=True)
    parser.add_argument("--ca-file", required=True)
    parser.add_argument("--dns-port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--at-once", type=int, required=True)
    parser.add_argument("--deadline", type=float, default=30)
    parser.add_argument("--profile")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/bench.sqlite"
        migrate(url)
        store = open_store(url, kek=Kek(b"k" * 32), clock=CLOCK, chance=CHANCE)
        store.initialise()
        bench = Bench(store, asked.directory, asked.ca_file, asked.dns_port, asked.at_once)
        bench.server.start()
        bench.runner.start()
        try:
            bench.run("warm", 1, asked.deadline)  # the account, connections, code paths
            print(json.dumps(bench.run(f"n{asked.at_once}-", asked.count, asked.deadline)))
        finally:
            bench.runner.stop()
            bench.server.stop()
            store.close()


if __name__ == "__main__":
    main()
