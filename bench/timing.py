"""Whether the time of a refusal tells what was wrong: pairs of refused requests, asked in turn, and how they spread.

python -m bench.timing [--tries N] [--json FILE]
"""

import argparse
import statistics
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench._report import Report
from certline_master.api.limits import Limits, Rate, Rates
from certline_master.domain.access import Role
from certline_shared import signing
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient, NewHost

PATH = "/v1/follower/manifest"
MOST_TELLING = 0.05
"""Of two refusals, how much more often than in half of all pairs the one takes longer."""

Try = Callable[[], object]


def main() -> int:
    asked = _arguments()
    report = Report("timing")
    with tempfile.TemporaryDirectory() as folder, running_master(sqlite_url(Path(folder))) as bed:
        bed.services.limits = Limits(bed.clock, Rates(failures=Rate(1, 0)))
        for name, pair in _pairs(bed).items():
            first, second = _measured(*pair, asked.tries)
            report.figures[name] = {"one": _spread(first), "other": _spread(second)}
            report.goal(f"{name}: how telling", abs(_share_longer(first, second) - 0.5), MOST_TELLING)
    return 0 if report.close(asked.json) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures whether refusals differ in time.")
    parser.add_argument("--tries", type=int, default=10_000, help="of each kind (10000)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args()


def _pairs(bed: Bed) -> dict[str, tuple[Try, Try]]:
    known = bed.follower()
    stranger = FollowerClient(bed, *signing.generate_identity())
    thief = FollowerClient(bed, *signing.generate_identity(), follower_id=known.follower_id)
    good = bed.tokens[Role.ADMIN]
    tails = "A" * 43
    bed.ask("PUT", "/v1/followers/new", {})
    string = bed.enrolment_string("new")
    unknown, wrong = replace(string, token_id=bed.engine.chance.uuid()), replace(string, secret=b"w" * 32)
    return {
        "unknown and known follower": (_as_follower(bed, stranger), _as_follower(bed, thief)),
        "unknown and known prefix of an admin token": (
            _as_admin(bed, f"certline_00000000_{tails}"),
            _as_admin(bed, f"certline_{good.split('_')[1]}_{tails}"),
        ),
        "unknown and known enrolment token": (
            _enrolling(bed, NewHost(bed, unknown)),
            _enrolling(bed, NewHost(bed, wrong)),
        ),
    }


def _as_follower(bed: Bed, client: FollowerClient) -> Try:
    headers = client.signed("GET", PATH)
    return lambda: bed.http.get(PATH, headers=headers)


def _as_admin(bed: Bed, token: str) -> Try:
    return lambda: bed.http.get("/v1/status", headers={"Authorization": f"Bearer {token}"})


def _enrolling(bed: Bed, host: NewHost) -> Try:
    body, headers = host.prepared()
    return lambda: bed.http.post("/v1/enroll", content=body, headers=headers)


def _measured(one: Try, other: Try, tries: int) -> tuple[list[float], list[float]]:
    """In turn, so that whatever else the machine does meets both; the first hundred do not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(2 * (tries + 100)):
        began = time.perf_counter()
        (one, other)[number % 2]()
        if number >= 200:
            times[number % 2].append(time.perf_counter() - began)
    return times


def _spread(times: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {f"p{percent}_ms": round(cuts[percent - 1] * 1000, 4) for percent in (5, 25, 50, 75, 95, 99)}


def _share_longer(first: Sequence[float], second: Sequence[float]) -> float:
    """Of all pairs, in how many the second took longer; 0.5 when nobody can tell them apart (Mann and Whitney)."""
    ranked = sorted(second)
    longer = sum(len(ranked) - (bisect_left(ranked, one) + bisect_right(ranked, one)) / 2 for one in first)
    return longer / (len(first) * len(second))


if __name__ == "__main__":
    sys.exit(main())
