"""What is told of a line that fails, and of a version that its host does not use."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from certline_master.domain.deployment import NotDeployed
from certline_master.domain.model import (
    Certificate,
    Failure,
    FailureClass,
    Follower,
    FollowerState,
    Line,
    LineSnapshot,
    Order,
    OrderState,
    Owner,
    Version,
    VersionState,
)
from certline_master.domain.troubles import standing_with, why_failing
from certline_shared.keys import KeyType

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
AGO = NOW - timedelta(hours=2)

FOLLOWER = Follower("f", "web-1", Owner.FILE, FollowerState.ACTIVE, last_seen=NOW - timedelta(minutes=5))
LINE = Line("l", "shop", Owner.FILE, "f", ("shop.example.com",))
ORDER = Order("o", "c3", "i", LINE.names, "classic", OrderState.PUBLISHING, AGO, NOW, attempts=2, waiting="no answer")


def version(number: int, state: VersionState, failure: str | None = None) -> Version:
    certificate = Certificate(f"c{number}", f"v{number}", KeyType.ECDSA_P256, b"csr", "aa" * 32, LINE.names)
    why = Failure(FailureClass.RETRY_SOON, failure) if failure else None
    return Version(f"v{number}", "l", number, state, AGO, "the first certificate", (certificate,), why)


def line(*versions: Version) -> LineSnapshot:
    return LineSnapshot(LINE, None, (), versions, FOLLOWER)


LIVE = version(3, VersionState.LIVE)


# --- orders -----------------------------------------------------------------------------------------------------------


def test_a_line_without_a_failure_is_not_failing() -> None:
    assert why_failing(line(LIVE), [ORDER]) == "2 failures in a row, tried again at 2026-11-20 12:00 UTC: no answer"
    assert why_failing(line(LIVE), [replace(ORDER, attempts=0), replace(ORDER, certificate_id="of another")]) is None


def test_a_failed_try_counts_until_one_succeeds() -> None:
    failed = version(3, VersionState.FAILED, "no address for shop.example.com")
    for versions in ([failed], [version(4, VersionState.ORDERED), failed], [failed, version(2, VersionState.LIVE)]):
        assert why_failing(line(*versions), []) == "no address for shop.example.com"
    assert why_failing(line(version(4, VersionState.LIVE)), []) is None


# --- beside the planner's word ----------------------------------------------------------------------------------------


def missing(host: str) -> NotDeployed:
    return NotDeployed("shop", host, 3, AGO, None, f"{host} has not pulled version 3 yet")


def test_a_standing_says_what_is_wrong_once() -> None:
    trouble = missing("web-1")
    assert standing_with("version 3 is live", None, ()) == "version 3 is live"
    assert standing_with("tried again at noon: no zone", "no zone", ()) == "tried again at noon: no zone"
    assert standing_with("an order is under way", "no zone", [trouble]) == (
        f"an order is under way; no zone; {trouble.text}"
    )


def test_of_many_hosts_a_few_are_told_and_the_others_counted() -> None:
    told = standing_with("version 3 is live", None, [missing(f"web-{number}") for number in range(1, 6)])
    assert "web-3 has not pulled" in told
    assert told.endswith("; and 2 more")
