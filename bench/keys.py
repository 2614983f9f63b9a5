"""A rollover of a line with RSA-4096 and ECDSA on all its hosts: from the command to every host serving the new keys.

    python -m bench.keys [--followers N] [--json FILE]

The API is the real one over HTTP, with the engine's own threads, on SQLite on this disk; the CA and DNS answer at once.
Hosts are simulated in this process: each waits in a long-poll, pulls the version, opens its sealed keys and reports.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench._report import Report
from certline_master.domain.access import SYSTEM
from certline_master.work.context import Context
from certline_master.work.runner import Runner
from certline_shared import sealing
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.codec import from_base64url
from certline_shared.keys import KeyType, generate
from certline_shared.manifest import ManifestLine, from_wire, open_signed
from certline_shared.messages import DeploymentReport, encode
from certline_shared.messages import Report as HostReport
from tests.fakes.ca import FakeAuthorities
from tests.fakes.clock import FakeClock
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET
from tests.integration.api_hosts import MASTER_PUBLIC, SEALING_PRIVATE, FollowerClient
from tests.integration.shared_keys import SHOP, applied, pulled

KEY_TYPES = (KeyType.RSA_4096, KeyType.ECDSA_P256)
POLL = 20
PATIENCE = 300.0  # seconds: RSA keys are found by chance


class MachineClock(FakeClock):
    """The machine's time, where a clock of the tests is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._machine = SystemClock()

    def now(self) -> datetime:
        return self._machine.now()

    def monotonic(self) -> float:
        return self._machine.monotonic()

    def pause(self, seconds: float, wake: threading.Event) -> bool:
        return self._machine.pause(seconds, wake)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--followers", type=int, default=50)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    report = Report("keys")
    report.figures["followers"] = asked.followers
    report.figures["generate_seconds"] = {kind: round(_seconds_to_make(kind), 3) for kind in KEY_TYPES}
    with tempfile.TemporaryDirectory(prefix="certline-keys-") as folder, _master(folder, asked.followers) as bed:
        made = _roll_over(bed, asked.followers, report)
    report.goal("keys made between the command and the last host", made, 0)
    return 0 if report.close(asked.json) else 1


def _seconds_to_make(kind: KeyType) -> float:
    """What a rollover would wait for each key that is not made ahead."""
    began = time.perf_counter()
    generate(kind)
    return time.perf_counter() - began


@contextmanager
def _master(folder: str, followers: int) -> Iterator[Bed]:
    clock = MachineClock()
    with running_master(sqlite_url(Path(folder)), long_polls=followers + 10, clock=clock) as bed:
        engine = bed.engine
        solvers = {"rfc2136": engine.solver, "listener": engine.solver}
        authorities = FakeAuthorities(engine.ca)
        context = Context(bed.store, authorities, solvers, engine.dns, engine.bell, clock, SystemChance(), "bench")
        runner = Runner(context)
        runner.start()
        try:
            yield bed
        finally:
            runner.stop()


def _roll_over(bed: Bed, followers: int, report: Report) -> int:
    """How many of the keys that are in use afterwards were made after the command."""
    applied(bed, FLEET | {"http": {}, "followers": {}, "lines": {"shop": SHOP | {"key_types": list(KEY_TYPES)}}})
    hosts = [bed.follower(f"web-{number}", (), pulls=("shop",)) for number in range(followers)]
    with ThreadPoolExecutor(followers) as pool:
        list(pool.map(partial(_serve, number=1), hosts))
        _wait_until(lambda: len(_pins(bed, "next")) == len(KEY_TYPES))
        ahead, began = _pins(bed, "next"), time.perf_counter()
        waiting = [pool.submit(_serve, host, 2) for host in hosts]
        answer = bed.ask("POST", "/v1/lines/shop/rollover", {"force": False})
        if answer.status_code != 200:
            raise RuntimeError(answer.text)
        served = sorted(one.result() - began for one in waiting)
    report.figures |= {
        "first_served_seconds": round(served[0], 3),
        "median_served_seconds": round(statistics.median(served), 3),
        "all_served_seconds": round(served[-1], 3),
    }
    return len(_pins(bed, "current") - ahead)


def _serve(host: FollowerClient, number: int) -> float:
    """The host waits for that version, takes it and says that it serves it; when that was."""
    line = _offered(host, number)
    content = pulled(host, number)
    for kind in KEY_TYPES:
        info = sealing.key_info(host.follower_id, content.line, content.version, kind)
        sealing.open_sealed(from_base64url(content.files[f"{kind}/key.sealed"]), SEALING_PRIVATE, info)
    said = DeploymentReport("shop", line.version or 0, "served", goal="served")
    answer = host.ask("POST", "/v1/follower/reports", encode(HostReport("bench", 1, (said,))))
    if answer.status_code != 204:
        raise RuntimeError(answer.text)
    return time.perf_counter()


def _offered(host: FollowerClient, number: int) -> ManifestLine:
    etag: str | None = None
    until = time.perf_counter() + PATIENCE
    while time.perf_counter() < until:
        answer = host.manifest(etag, wait=POLL if etag else 0)
        if answer.status_code == 304:
            continue
        etag = answer.headers["ETag"]
        line = _line_in(host, answer.content)
        if line is not None and line.version == number:
            return line
    raise TimeoutError(f"{host.name} was not offered version {number}")


def _line_in(host: FollowerClient, body: bytes) -> ManifestLine | None:
    signed = from_wire(body)
    seen = open_signed(signed, keys=(MASTER_PUBLIC,), follower_id=host.follower_id, epoch=0, serial=0, now=None)
    return next((line for line in seen.lines if line.name == "shop"), None)


def _pins(bed: Bed, slot: str) -> set[str]:
    """Of the line's key, as the master has it."""
    with bed.store.read() as records:
        key = records.keys.get(SYSTEM, "shop")
        kept: Any = records.keys.materials(SYSTEM, [key.id]).get(key.id, [])
    return {one.spki_sha256 for one in kept if one.slot == slot}


def _wait_until(come: Callable[[], bool]) -> None:
    until = time.perf_counter() + PATIENCE
    while not come():
        if time.perf_counter() > until:
            raise TimeoutError("the next keys were not made")
        threading.Event().wait(0.2)


if __name__ == "__main__":
    sys.exit(main())
