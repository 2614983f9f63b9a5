"""From a follower's request to the file on its disk: real processes, `certline-follower sync` timed whole."""

import statistics
import time

from tests.end_to_end.harness import ZONE, bed, fleet
from tests.end_to_end.host import CHANGED, FollowerHost, HostLine


def request_to_file(rounds: int) -> float:
    """Median seconds of a `sync` that asks for a new name, waits for the certificate and installs it.

    The start of the interpreter is in it. The first round, which registers the account, is not.
    """
    names = [f"r{number}.{ZONE}" for number in range(rounds + 1)]
    with bed() as parts:
        master = parts.master()
        master.start()
        master.apply(fleet(parts.ca, {"bench": names})).well()
        host = parts.enrolled(master, "bench")
        return statistics.median([_one(host, number, name) for number, name in enumerate(names)][1:])


def _one(host: FollowerHost, number: int, name: str) -> float:
    host.configure(HostLine(f"r{number}", (name,), outputs={"fullchain": f"r{number}.pem"}))
    start = time.perf_counter()
    done = host.sync()
    seconds = time.perf_counter() - start
    if done.code != CHANGED or not (host.tls / f"r{number}.pem").exists():
        raise SystemExit(f"sync did not install {name}: {done}")
    return seconds
