"""The follower's own cost: `status`, and a `sync` with nothing to do, as real processes against a fake master.

python -m bench.follower [--rounds N] [--json FILE]
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench._report import Report
from tests.fakes.master import FakeMaster
from tests.integration.follower.host_bed import Bed

MOST_STATUS_SECONDS = 0.100
MOST_SYNC_SECONDS = 0.35
MOST_SYNC_MIB = 45.0
OUTPUTS = 50
MOST_LOOK_SECONDS = 0.005

# The peak of the program's own memory map: getrusage would count that of the process which started it too.
_PEAK = """
import sys
from certline_follower import cli
code = cli.main(sys.argv[1:])
print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")], file=sys.stderr)
sys.exit(code)
"""


def main() -> int:
    asked = _arguments()
    report = Report("follower")
    with tempfile.TemporaryDirectory() as folder, FakeMaster(Path(folder)).running() as master:
        bed = _host(Path(folder) / "host", master)
        for command in ("status", "sync"):
            times = [_seconds(bed, command) for _ in range(asked.rounds)]
            report.figures[f"{command}_seconds"] = round(statistics.median(times), 4)
            report.figures[f"{command}_seconds_worst"] = round(max(times), 4)
            report.figures[f"{command}_peak_mib"] = _peak_mib(bed, command)
        report.figures["look_at_outputs_seconds"] = round(_look_seconds(Path(folder) / "many", master, asked.rounds), 5)
    report.figures["python_alone_seconds"] = round(statistics.median(_bare() for _ in range(asked.rounds)), 4)
    report.goal("status, s", report.figures["status_seconds"], MOST_STATUS_SECONDS)
    report.goal("sync with nothing to do, s", report.figures["sync_seconds"], MOST_SYNC_SECONDS)
    report.goal("sync with nothing to do, peak MiB", report.figures["sync_peak_mib"], MOST_SYNC_MIB)
    report.goal(f"look at {OUTPUTS} outputs, s", report.figures["look_at_outputs_seconds"], MOST_LOOK_SECONDS)
    return 0 if report.close(asked.json) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the follower's commands.")
    parser.add_argument("--rounds", type=int, default=15, help="runs of each command, of which the median counts (15)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def _host(folder: Path, master: FakeMaster) -> Bed:
    """An enrolled host with one installed line."""
    folder.mkdir()
    master.grant("shop.example.org")
    bed = Bed(folder, master)
    bed.configure(bed.line("shop", "shop.example.org"))
    bed.enrol()
    bed.settle()
    bed.close()
    return bed


def _look_seconds(folder: Path, master: FakeMaster, rounds: int) -> float:
    """What each turn spends on the places of its outputs, half of them copies."""
    folder.mkdir()
    bed = Bed(folder, master)
    more = [
        f'[[line.output]]\nkind = "cert"\npath = "{folder}/{n}.crt"\nas = "{("link", "copy")[n % 2]}"\n'
        for n in range(1, OUTPUTS)
    ]
    bed.configure(bed.line("shop", "shop.example.org") + "".join(more))
    bed.enrol()
    host = bed.host()
    bed.settle(host)
    bed.close()
    assert not host.installer.astray()
    return statistics.median(_timed(host.installer.astray) for _ in range(rounds))


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _seconds(bed: Bed, command: str) -> float:
    start = time.perf_counter()
    _run([sys.executable, "-m", "certline_follower.entry", "--config", str(bed.file), command])
    return time.perf_counter() - start


def _peak_mib(bed: Bed, command: str) -> float:
    done = _run([sys.executable, "-c", _PEAK, "--config", str(bed.file), command])
    return round(int(done.stderr.split()[-1]) / 1024, 1)


def _bare() -> float:
    start = time.perf_counter()
    _run([sys.executable, "-c", "pass"])
    return time.perf_counter() - start


def _run(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Raises CalledProcessError for any other end than 0: nothing to do."""
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)


if __name__ == "__main__":
    sys.exit(main())
