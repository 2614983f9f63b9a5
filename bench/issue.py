"""Issuing: one certificate, and 50 with distinct names at 10 and 50 at once, against Pebble, beside a bare floor.

    python -m bench.issue [--json FILE]

Floor and engine ask the same Pebble in the same run; each figure is the median of its rounds. Pebble can lock itself up
with many orders at once: a run that gets no answer within its deadline is noticed, Pebble is restarted, the run is
repeated, and the figures tell how often.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench._report import Report
from bench._request_to_file import request_to_file
from tests.testbed.pebble import Pebble, pebble
from tests.testbed.ports import free_port

DEADLINE = 30.0
COUNT = 50
MOST_TIMES_THE_FLOOR = 6.0
MOST_CPU_SECONDS = 0.025
MOST_SECONDS_TO_FILE = 0.5


@dataclass(frozen=True, slots=True)
class Run:
    """What one process does."""

    module: str
    count: int
    at_once: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    report = Report("issue")
    dns_port = free_port()
    restarts = 0
    with pebble("calm", dns_server=f"127.0.0.1:{dns_port}") as ca:
        report.figures["one_engine_seconds"] = round(
            _median(ca, dns_port, Run("bench._engine", 1, 1), asked.rounds)[0], 4
        )
        for at_once in (10, COUNT):
            figures, again = _fifty(ca, dns_port, at_once, asked.rounds)
            restarts += again
            report.figures[f"fifty_at_{at_once}"] = figures
    report.figures["pebble_restarts"] = restarts
    report.figures["one_seconds"] = round(request_to_file(asked.rounds), 4)
    fifty = report.figures["fifty_at_50"]
    report.goal("50 at once: wall time, in floors", fifty["seconds"] / fifty["floor_seconds"], MOST_TIMES_THE_FLOOR)
    report.goal("50 at once: CPU seconds a certificate", fifty["cpu_seconds_per_certificate"], MOST_CPU_SECONDS)
    report.goal(
        "one: request on the follower to installed file, s", report.figures["one_seconds"], MOST_SECONDS_TO_FILE
    )
    sys.exit(0 if report.close(asked.json) else 1)


def _fifty(ca: Pebble, dns_port: int, at_once: int, rounds: int) -> tuple[dict[str, float], int]:
    floor_seconds, floor_cpu, _, floor_restarts = _median(ca, dns_port, Run("bench._floor", COUNT, at_once), rounds)
    seconds, cpu, requests, restarts = _median(ca, dns_port, Run("bench._engine", COUNT, at_once), rounds)
    figures = {
        "seconds": round(seconds, 4),
        "floor_seconds": round(floor_seconds, 4),
        "certificates_per_second": round(COUNT / seconds, 1),
        "cpu_seconds_per_certificate": round(cpu / COUNT, 5),
        "floor_cpu_seconds_per_certificate": round(floor_cpu / COUNT, 5),
        "round_trips_per_certificate": round(requests / COUNT, 2),
    }
    return figures, floor_restarts + restarts


def _median(ca: Pebble, dns_port: int, run: Run, rounds: int) -> tuple[float, float, float, int]:
    runs: list[dict[str, float]] = []
    restarts = 0
    while len(runs) < rounds:
        found = _run(ca, dns_port, run)
        if found is None:
            restarts += 1
            if restarts > 10:
                raise SystemExit("Pebble locked itself up eleven times; the figures would mean nothing")
            told = f"no answer from Pebble within {DEADLINE:.0f} s; restarted, the run is repeated"
            print(f"{run.module}: {told}", file=sys.stderr)
            ca.restart()
        else:
            runs.append(found)
    kinds = ("seconds", "cpu_seconds", "requests")
    seconds, cpu, requests = (statistics.median(done[kind] for done in runs) for kind in kinds)
    return seconds, cpu, requests, restarts


def _run(ca: Pebble, dns_port: int, run: Run) -> dict[str, float] | None:
    """One process; None when Pebble is stuck. Any other failure is told and ends the bench."""
    command = [
        sys.executable,
        "-m",
        run.module,
        "--directory",
        ca.directory_url,
        "--ca-file",
        str(ca.authority.ca_file),
    ]
    command += ["--dns-port", str(dns_port), "--count", str(run.count), "--at-once", str(run.at_once)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired:
        return None
    if done.returncode == 0:
        found: dict[str, float] = json.loads(done.stdout)
        return found
    if ca.is_stuck(2):
        return None
    raise SystemExit(f"{run.module} failed:\n{done.stderr}")


if __name__ == "__main__":
    main()
