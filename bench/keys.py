"""Rollover of a shared RSA-4096 and ECDSA key on 50 hosts: from the command to the last report, and what of it goes
into making keys before the new version is live.

    python -m bench.keys [--followers N] [--json FILE]

The master's API, engine and store are the real ones, on SQLite; the CA answers at once. A host is a thread that polls,
pulls, opens both sealed keys, and reports the version as served: what it does to files and services is not in it.
"""

import argparse
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import httpx

from bench._report import Report
from certline_master.api.app import build_app
from certline_master.api.services import MasterIdentity, Services
from certline_master.domain.access import SYSTEM, Role
from certline_master.store.bell import LocalBell
from certline_master.store.kek import Kek
from certline_master.store.opening import open_store
from certline_master.store.schema import migrate
from certline_master.work import keys as key_work
from certline_master.work.context import Context
from certline_master.work.runner import Runner
from certline_shared import sealing, signing
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from certline_shared.codec import from_base64url
from certline_shared.keys import KeyType, PrivateKey, generate
from certline_shared.messages import DeploymentReport, VersionContent, decode, encode
from certline_shared.messages import Report as HostReport
from tests.fakes.ca import FakeAuthorities, FakeCa
from tests.fakes.dns import FakeDnsView
from tests.fakes.solver import FakeSolver
from tests.integration.api_bed import Bed, _make_token, serving
from tests.integration.api_hosts import (
    HOST,
    MASTER_PRIVATE,
    MASTER_PUBLIC,
    SEALING_PRIVATE,
    FollowerClient,
    opened,
)

CLOCK, CHANCE = SystemClock(), SystemChance()
DEADLINE = 120.0
KEY_TYPES = ["rsa-4096", "ecdsa-p256"]
LINE = {"custody": "master", "names": ["shop.example.com"], "key": "front", "key_types": KEY_TYPES}


@dataclass
class Making:
    """Every key that is made: its kind, when it was begun, and how long it took."""

    made: list[tuple[str, float, float]] = field(default_factory=list)

    def generate(self, key_type: KeyType) -> PrivateKey:
        begun = time.perf_counter()
        private = generate(key_type)
        self.made.append((key_type, begun, time.perf_counter() - begun))
        return private

    def seconds(self, since: float, until: float) -> float:
        """Spent between the two moments."""
        return sum(max(0.0, min(begun + took, until) - max(begun, since)) for _, begun, took in self.made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--followers", type=int, default=50)
    asked = parser.parse_args()
    report = Report("keys")
    with ExitStack() as stack:
        making = Making()
        stack.enter_context(patch.object(key_work, "generate", making.generate))
        bed = _running(stack, Path(stack.enter_context(tempfile.TemporaryDirectory())))
        _run(bed, making, asked.followers, report)
    sys.exit(0 if report.close(asked.json) else 1)


def _running(stack: ExitStack, folder: Path) -> Bed:
    url = f"sqlite:///{folder}/bench.sqlite"
    migrate(url)
    store = open_store(url, kek=Kek(b"k" * 32), clock=CLOCK, chance=CHANCE)
    store.initialise()
    stack.callback(store.close)
    ca, dns, bell = FakeCa(CLOCK), FakeDnsView(), LocalBell()
    solvers = {name: FakeSolver() for name in ("rfc2136", "responder", "listener")}
    authorities = FakeAuthorities(ca)
    identity = MasterIdentity(MASTER_PRIVATE, MASTER_PUBLIC, signing.thumbprint(MASTER_PUBLIC), None, 1, ("ab" * 32,))
    services = Services(
        store=store, authorities=authorities, solvers=solvers, dns=dns, bell=bell, clock=CLOCK, chance=CHANCE,
        identity=identity, origins=(f"https://{HOST}",), trust="pin", long_polls=1000, ready=lambda: None,
        version="bench",
    )  # fmt: skip
    runner = Runner(Context(store, authorities, solvers, dns, bell, CLOCK, CHANCE, "bench"))
    runner.start()
    stack.callback(runner.stop)
    app = build_app(services)
    tokens = {role: _make_token(store, role, cast("Any", CHANCE), cast("Any", CLOCK)) for role in (Role.ADMIN,)}
    address = stack.enter_context(serving(app))
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    http = stack.enter_context(httpx.Client(base_url=address, timeout=DEADLINE, limits=limits))
    engine = SimpleNamespace(store=store, clock=CLOCK, chance=CHANCE)
    return Bed(cast("Any", engine), services, http, address, tokens, app, [])


def _run(bed: Bed, making: Making, count: int, report: Report) -> None:
    bed.ask("PUT", "/v1/issuers/ca", {"directory": "https://fake-ca.example/dir", "default": True})
    bed.ask("PUT", "/v1/zones/example.com", {"solver": "rfc2136"})
    bed.ask("PUT", "/v1/keys/front", {})
    hosts = [bed.follower(f"web-{number}", (), pulls=("shop",)) for number in range(count)]
    begun = time.perf_counter()
    assert bed.ask("PUT", "/v1/lines/shop", LINE).status_code == 200
    _all(hosts, 1)
    report.figures["first_version_seconds"] = round(time.perf_counter() - begun, 3)
    _wait_for_next_keys(bed)
    asked = time.perf_counter()
    assert bed.ask("POST", "/v1/keys/front/rollover", {}).status_code == 200
    moments: list[float] = []
    live = threading.Thread(target=_note_live, args=(bed, moments))
    live.start()
    _all(hosts, 2)
    served = time.perf_counter()
    live.join()
    report.figures |= {
        "followers": count,
        "command_to_live_seconds": round(moments[0] - asked, 3),
        "command_to_last_served_seconds": round(served - asked, 3),
        "keys_made": [(kind, round(took, 3)) for kind, _, took in making.made],
    }
    report.goal("seconds of key generation before the new version is live", making.seconds(asked, moments[0]), 0)


def _wait_for_next_keys(bed: Bed) -> None:
    while len([one for one in bed.ask("GET", "/v1/keys/front").json()["keys"] if one["slot"] == "next"]) < 2:
        CLOCK.pause(0.05, threading.Event())


def _note_live(bed: Bed, moments: list[float]) -> None:
    while True:
        with bed.store.read() as records:
            line = records.lines.get(SYSTEM, "shop")
            live = records.versions.live(SYSTEM, [line.id]).get(line.id)
        if live is not None and live.number == 2:
            moments.append(time.perf_counter())
            return
        CLOCK.pause(0.005, threading.Event())


def _all(hosts: list[FollowerClient], number: int) -> None:
    with ThreadPoolExecutor(len(hosts)) as pool:
        list(pool.map(lambda host: _serve(host, number), hosts))


def _serve(host: FollowerClient, number: int) -> None:
    """Poll until the version is there, pull it, open its keys, report it."""
    deadline, tag = time.perf_counter() + DEADLINE, None
    while True:
        (line,) = opened(host).lines
        if line.version == number:
            break
        if time.perf_counter() > deadline:
            raise TimeoutError(f"{host.name} has no version {number}")
        tag = host.manifest(tag, wait=20).headers.get("etag", tag)
    answer = host.ask("GET", f"/v1/follower/lines/shop/versions/{number}")
    content = decode(VersionContent, answer.content)
    for kind in KEY_TYPES:
        info = sealing.key_info(host.follower_id, "shop", number, kind)
        sealing.open_sealed(from_base64url(content.files[f"{kind}/key.sealed"]), SEALING_PRIVATE, info)
    said = DeploymentReport("shop", number, "served", goal="served")
    host.ask("POST", "/v1/follower/reports", encode(HostReport("bench", 1, (said,))))


if __name__ == "__main__":
    main()
