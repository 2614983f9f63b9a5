"""What every bench writes: the machine, the figures, and which goals hold."""

import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Report:
    """Collects figures and goals; prints them and, if asked, writes them as JSON."""

    title: str
    figures: dict[str, Any] = field(default_factory=dict)
    goals: dict[str, dict[str, Any]] = field(default_factory=dict)

    def goal(self, name: str, value: float, at_most: float) -> None:
        self.goals[name] = {"value": round(value, 4), "goal": at_most, "holds": value <= at_most}

    def close(self, file: Path | None) -> bool:
        """Print, write, and tell whether all goals hold."""
        found = {"machine": machine(), "figures": self.figures, "goals": self.goals}
        print(json.dumps(found, indent=2))
        for name, goal in self.goals.items():
            print(f"{'holds' if goal['holds'] else 'FAILS'}  {name}: {goal['value']} (goal: at most {goal['goal']})")
        if file is not None:
            file.write_text(json.dumps(found, indent=2) + "\n")
        return all(goal["holds"] for goal in self.goals.values())


def machine() -> dict[str, Any]:
    """What the figures depend on; the commit time is that of the disk under the temporary folder."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "commit_ms": commit_ms(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit_ms(rounds: int = 50) -> float:
    """Median time of one durable SQLite commit (WAL, synchronous=FULL)."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "commit.sqlite", isolation_level=None)
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (x)")
        times = []
        for number in range(rounds):
            start = time.perf_counter()
            connection.execute("INSERT INTO t VALUES (?)", (number,))
            times.append(time.perf_counter() - start)
        connection.close()
    return round(statistics.median(times) * 1000, 3)
