"""Ten thousand followers: enrolling, polling, waiting in long-polls, and coming back all at once after an outage.

    python -m bench.fleet [--followers N] [--postgres] [--seconds N] [--json FILE]

The master is `certline serve`, its followers are simulated in this process, each with its own key and over TLS. Master
and followers share the machine: latencies include what the simulation itself waits for a core.
"""

import argparse
import asyncio
import resource
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import uvloop

from bench._fleet_master import FleetMaster, Identity, Invitation
from bench._herd import Herd, Simulated, Tally, within
from bench._report import Report
from tests.testbed.ports import free_port
from tests.testbed.postgres import postgres_server

INTERVAL = 300.0
OUTAGE_SPREAD = 60.0
CONVERGED_WITHIN = 600.0
FASTEST = 64  # connections that poll as fast as they can


def main() -> int:
    asked = _arguments()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    report = Report("fleet on Postgres" if asked.postgres else "fleet on SQLite")
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="certline-fleet-")))
        database = parts.enter_context(postgres_server()).new_database() if asked.postgres else None
        master = FleetMaster(folder / "master", free_port(), database, long_polls=asked.followers + 1000)
        identities, invitations = master.fill(asked.followers, asked.enrolments)
        uvloop.run(_Measuring(master, report, asked).all(identities, invitations))
    return 0 if report.close(asked.json) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--followers", type=int, default=10_000)
    parser.add_argument("--enrolments", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=INTERVAL, help="how long polling is watched (300)")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL instead of SQLite")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


class _Measuring:
    def __init__(self, master: FleetMaster, report: Report, asked: argparse.Namespace) -> None:
        self.master, self.report, self.asked = master, report, asked

    async def all(self, identities: list[Identity], invitations: list[Invitation]) -> None:
        herd = Herd(identities, self.master.port, str(self.master.folder / "tls" / "ca.pem"))
        try:
            await self._begin(herd)
            await self._enrolling(herd, invitations)
            await self._polling(herd)
            await self._ceiling(herd)
            await self._outage(herd)
            await self._waiting(herd)
        finally:
            herd.close()
            self.master.stop()

    async def _begin(self, herd: Herd) -> None:
        self.master.start()
        await self._answers(herd)
        began = time.monotonic()
        tally = await herd.each(Simulated.poll, 200)
        self._note("first_manifests", tally, time.monotonic() - began)

    async def _answers(self, herd: Herd) -> None:
        """Connections that are refused before it listens tell nothing of it."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                await herd.followers[0].poll()
                return
            except OSError:
                await asyncio.sleep(0.1)

    async def _enrolling(self, herd: Herd, invitations: list[Invitation]) -> None:
        began = time.monotonic()
        tally = await herd.enrol(invitations, 50)
        seconds = time.monotonic() - began
        self._note("enrolling", tally, seconds)
        self.report.goal(f"{len(invitations)} enrolments, s", seconds, 60)
        self.report.goal("enrolments that failed", len(invitations) - tally.statuses["200"], 0)

    async def _polling(self, herd: Herd) -> None:
        cpu, began = self.master.cpu_seconds(), time.monotonic()
        tally = await herd.at_their_pace(INTERVAL, self.asked.seconds)
        seconds = time.monotonic() - began
        share = (self.master.cpu_seconds() - cpu) / seconds
        peak = self.master.peak_mb()
        self._note("polling", tally, seconds, core=share, rss_mb=self.master.rss_mb(), peak_mb=peak)
        self.report.goal("polling every 5 minutes, p99 s", tally.quantile(0.99), 0.050)
        self.report.goal("polling every 5 minutes, share of a core", share, 1 / 3)
        self.report.goal("polling every 5 minutes, peak memory of the master, MB", peak, 300)

    async def _ceiling(self, herd: Herd) -> None:
        await herd.as_fast_as_they_can(FASTEST, 1)
        cpu, began = self.master.cpu_seconds(), time.monotonic()
        tally = await herd.as_fast_as_they_can(FASTEST, 15)
        seconds, used = time.monotonic() - began, self.master.cpu_seconds() - cpu
        per_core = len(tally.seconds) / used
        self._note("ceiling", tally, seconds, core=used / seconds, polls_per_second_and_core=per_core)
        self.report.goal("CPU of an unchanged poll, ms", used / len(tally.seconds) * 1000, 1.0)

    async def _outage(self, herd: Herd) -> None:
        self.master.stop()
        herd.close()
        self.master.start()
        await self._answers(herd)
        tally = await herd.come_back(OUTAGE_SPREAD, CONVERGED_WITHIN)
        slowest = max(tally.converged.values(), default=0.0)
        self._note("outage", tally, slowest, peak_mb=self.master.peak_mb())
        strange = sum(count for status, count in tally.statuses.items() if status not in ("200", "304", "503"))
        self.report.goal("herd, all served within s", slowest, CONVERGED_WITHIN)
        self.report.goal("herd, followers not served", len(herd.followers) - len(tally.converged), 0)
        self.report.goal("herd, answers other than 200, 304, 503", strange, 0)

    async def _waiting(self, herd: Herd) -> None:
        """All wait in long-polls; then something changes for all of them."""
        before, tally = self.master.rss_mb(), Tally()
        tasks = herd.wait_for_news(OUTAGE_SPREAD, tally)
        await self._all_wait(tally, len(tasks))
        open_mb, waiting = self.master.rss_mb(), tally.open
        self.master.command("signing-key", "rotate")
        changed = time.monotonic()
        await within(CONVERGED_WITHIN, tasks)
        told = [at - changed for at in tally.converged.values() if at >= changed]
        figures = {
            "statuses": dict(tally.statuses),
            "waiting": waiting,
            "memory_of_a_poll_kb": round((open_mb - before) / max(1, waiting) * 1000, 1),
            "rss_mb": round(open_mb, 1),
            "rss_mb_when_told": round(self.master.rss_mb(), 1),
            "seconds_to_the_last_told": round(max(told, default=0.0), 2),
        }
        self.report.figures["long_polls"] = figures
        self.report.goal("long-polls, memory of the master, MB", open_mb, 600)
        self.report.goal("long-polls, followers that did not wait", len(tasks) - waiting, len(tasks) // 100)
        self.report.goal("long-polls, followers not told", len(tasks) - len(told), 0)

    async def _all_wait(self, tally: Tally, followers: int) -> None:
        """Those that were sent away come back by and by; one in a hundred is about to ask anew."""
        deadline = time.monotonic() + OUTAGE_SPREAD + CONVERGED_WITHIN
        await asyncio.sleep(OUTAGE_SPREAD)
        while tally.open < followers * 0.99 and time.monotonic() < deadline:  # noqa: ASYNC110 a counter tells nothing
            await asyncio.sleep(1)

    def _note(self, name: str, tally: Tally, seconds: float, **more: float) -> None:
        self.report.figures[name] = {
            "statuses": dict(tally.statuses),
            "seconds": round(seconds, 2),
            "p50_ms": round(tally.quantile(0.5) * 1000, 2),
            "p99_ms": round(tally.quantile(0.99) * 1000, 2),
            **{key: round(value, 3) for key, value in more.items()},
        }
        print(f"{name}: {self.report.figures[name]}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
