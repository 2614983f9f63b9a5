"""A line that three hosts share, with a version that all have: what tests of a line's versions begin with."""

from datetime import timedelta
from typing import Any

from certline_master.domain.access import Role
from certline_shared.messages import DeploymentReport, Report, encode
from tests.integration.api_bed import Bed
from tests.integration.api_fleet import FLEET
from tests.integration.api_hosts import FollowerClient
from tests.integration.shared_keys import SHOP, applied, enrolled, installs, line_of, materials

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NAMES = ("web-1", "web-2", "web-3")
WAVES = {"canaries": ["web-2"], "wave": 2, "after": "30m"}

Hosts = dict[str, FollowerClient]


def wished(bed: Bed, *, rollout: Any = None, **options: Any) -> None:
    pulls = {"grants": {"pull": ["shop"]}}
    line = SHOP | ({"rollout": rollout} if rollout else {}) | ({"options": options} if options else {})
    applied(bed, FLEET | {"http": {}, "followers": dict.fromkeys(NAMES, pulls), "lines": {"shop": line}})


def with_the_first(bed: Bed, *, rollout: Any = None, **options: Any) -> Hosts:
    """Three hosts that have version 1, and a next key that was made ahead."""
    wished(bed, rollout=rollout, **options)
    hosts = {name: enrolled(bed, name) for name in NAMES}
    bed.engine.run()
    for host in hosts.values():
        assert versions(host) == (1, None)
        installs(host, 1)
    bed.engine.run(HOUR)
    bed.engine.watch.turn()
    assert len(materials(bed, ahead=True)) == 1
    return hosts


def versions(host: FollowerClient) -> tuple[int | None, int | None]:
    """What the host is to have, and to stage."""
    line = line_of(host)
    assert line is not None
    return line.version, line.staged.number if line.staged else None


def do(bed: Bed, deed: str, body: Any = None, status: int = 200) -> dict[str, Any]:
    answer = bed.ask("POST", f"/v1/lines/shop/{deed}", body or {}, role=Role.OPERATOR)
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


def states(bed: Bed) -> dict[int, str]:
    return {one["number"]: one["state"] for one in shown(bed)["versions"]}


def shown(bed: Bed) -> dict[str, Any]:
    found: dict[str, Any] = bed.ask("GET", "/v1/lines/shop").json()
    return found


def standing(bed: Bed, name: str) -> dict[str, Any]:
    return next(one for one in shown(bed)["hosts"] if one["follower"] == name)


def tells(host: FollowerClient, version: int, state: str, error: str | None = None) -> None:
    said = DeploymentReport("shop", version, state, error, goal="installed")
    answer = host.ask("POST", "/v1/follower/reports", encode(Report("certline-follower test", 1, (said,))))
    assert answer.status_code == 204, answer.text


def rolled_over(bed: Bed) -> None:
    do(bed, "rollover")
    bed.engine.run()


def renewed(bed: Bed) -> None:
    do(bed, "issue", {"force": True})
    bed.engine.run(MINUTE)
