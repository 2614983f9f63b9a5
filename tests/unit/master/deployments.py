"""Versions, receivers and deployments of a line on several hosts, for tests of the domain."""

from datetime import UTC, datetime, timedelta
from typing import Any

from certline_master.domain.deployment import Receiver
from certline_master.domain.model import Certificate, Deployment, DeploymentState, FollowerState, Version, VersionState
from certline_shared.keys import KeyType

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

WANTED, STAGED, PULLED, INSTALLED, RELOADED, SERVED = DeploymentState
LIVE, RETIRED = VersionState.LIVE, VersionState.RETIRED


def version(
    number: int, state: VersionState = LIVE, *, days: float = 90, left: float = 80, since: datetime = NOW
) -> Version:
    """A version of so many days, of which so many are left at NOW."""
    ends = NOW + left * DAY
    certificate = Certificate(
        f"c{number}", f"v{number}", KeyType.ECDSA_P256, b"csr", "aa" * 32, ("shop.example.com",),
        not_before=ends - days * DAY, not_after=ends,
    )  # fmt: skip
    return Version(f"v{number}", "l", number, state, since - MINUTE, "renewal", (certificate,), live_since=since)


def host(name: str = "web-1", **fields: Any) -> Receiver:
    known: dict[str, Any] = {"state": FollowerState.ACTIVE, "enrolled": NOW - 30 * DAY, "last_seen": NOW - 5 * MINUTE}
    return Receiver(f"id-{name}", name, **(known | fields))


def told(
    number: int, state: DeploymentState, error: str | None = None, *, at: datetime = NOW, by: str = "web-1", **more: Any
) -> Deployment:
    return Deployment(f"id-{by}", "l", number, state, error, at, **more)
