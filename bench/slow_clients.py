"""What followers notice of thousands of hostile connections: the latency of their polls without them, and with them.

    python -m bench.slow_clients [--sockets N] [--seconds N] [--json FILE]

Half of the connections say nothing, most others send half a TLS hello, and one in ten is silent after its handshake.
What the master cuts off is opened anew. They are of another process, but all share the machine with the master.
"""

import argparse
import asyncio
import json
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvloop

from bench._fleet_master import FleetMaster, Identity
from bench._herd import Herd, Tally
from bench._report import Report
from certline_master.door import raise_file_limit
from tests.testbed.ports import free_port

FOLLOWERS = 165
INTERVAL = 5.0  # 33 polls a second, as of ten thousand followers every five minutes
RAMP = 10.0  # in which the hostile ones come, and the pace at which they come back
HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
MOST_ADDED_P99 = 0.050
CUT_WITHIN = 12.0  # the limit is 10 s; the rest is for a machine that is busy with both sides


def main() -> int:
    asked = _arguments()
    raise_file_limit()
    if asked.hostile_to:
        print(json.dumps(uvloop.run(_hostile(asked.hostile_to, asked.sockets))))
        return 0
    report = Report("slow clients")
    with tempfile.TemporaryDirectory(prefix="certline-slow-") as folder:
        master = FleetMaster(Path(folder) / "master", free_port(), None, long_polls=1000)
        identities, _ = master.fill(FOLLOWERS, 0)
        with master.serving():
            uvloop.run(_measured(master, identities, asked, report))
    return 0 if report.close(asked.json) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=5_000, help="hostile connections (5000)")
    parser.add_argument("--seconds", type=float, default=20, help="how long each half is watched (20)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--hostile-to", type=int, metavar="PORT", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- those who want something ---


async def _measured(master: FleetMaster, identities: list[Identity], asked: argparse.Namespace, report: Report) -> None:
    herd = Herd(identities, master.port, str(master.folder / "tls" / "ca.pem"))
    await _until_it_answers(herd)
    await herd.at_their_pace(INTERVAL, INTERVAL)  # connections, first manifests
    alone = await _watched(herd, master, asked.seconds, report, "alone")
    with _crowd(master.port, asked.sockets, report):
        await asyncio.sleep(RAMP)
        beset = await _watched(herd, master, asked.seconds, report, "beset")
    herd.close()
    added = beset.quantile(0.99) - alone.quantile(0.99)
    report.goal("p99 of polls beside hostile connections, more than alone, s", added, MOST_ADDED_P99)
    report.goal("polls that failed", len(beset.seconds) - beset.statuses["304"] - beset.statuses["200"], 0)
    report.goal("a hostile connection lived at most, s", report.figures["hostile"]["longest_s"], CUT_WITHIN)


async def _until_it_answers(herd: Herd) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError):
            await herd.followers[0].poll()
            return
        await asyncio.sleep(0.1)


async def _watched(herd: Herd, master: FleetMaster, seconds: float, report: Report, name: str) -> Tally:
    cpu, began = master.cpu_seconds(), time.monotonic()
    tally = await herd.at_their_pace(INTERVAL, seconds)
    report.figures[name] = {
        "core": round((master.cpu_seconds() - cpu) / (time.monotonic() - began), 3),
        "polls": len(tally.seconds),
        "p50_s": round(tally.quantile(0.5), 4),
        "p99_s": round(tally.quantile(0.99), 4),
        "statuses": dict(tally.statuses),
        "rss_mb": round(master.rss_mb(), 1),
    }
    return tally


@contextmanager
def _crowd(port: int, sockets: int, report: Report) -> Iterator[None]:
    words = [sys.executable, "-m", "bench.slow_clients", "--hostile-to", str(port), "--sockets", str(sockets)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    report.figures["hostile"] = json.loads(said)


# --- those who do not ---


class _Hostile:
    """Connections that want nothing but to be there."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.opened = 0
        self.lived: list[float] = []
        self.ends: Counter[str] = Counter()
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    async def one(self, number: int, first: float) -> None:
        """Open it again and again, until cancelled."""
        await asyncio.sleep(first)
        while True:
            began = time.monotonic()
            try:
                await self._once(number % 10)
                self.ends["cut"] += 1
            except OSError as fault:
                self.ends[type(fault).__name__] += 1
                await asyncio.sleep(1)
            self.lived.append(time.monotonic() - began)

    async def _once(self, kind: int) -> None:
        tls = self._tls if kind == 9 else None
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=tls)
        self.opened += 1
        try:
            if 5 <= kind < 9:
                writer.write(HALF_A_HELLO)
            await reader.read(1)
        finally:
            writer.transport.abort()


async def _hostile(port: int, sockets: int) -> dict[str, Any]:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    hostile = _Hostile(port)
    tasks = [asyncio.create_task(hostile.one(number, RAMP * number / sockets)) for number in range(sockets)]
    await told.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    longest = round(max(hostile.lived, default=0.0), 2)
    return {"opened": hostile.opened, "ends": dict(hostile.ends), "longest_s": longest}


if __name__ == "__main__":
    sys.exit(main())
