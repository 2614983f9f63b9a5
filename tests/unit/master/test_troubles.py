"""What is told of a line that fails, and of a version that its host does not use."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from certline_master.domain.model import (
    Certificate,
    Deployment,
    DeploymentState,
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
from certline_master.domain.troubles import LATE, NotDeployed, not_deployed, standing_with, why_failing
from certline_shared.keys import KeyType

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
AGO = NOW - timedelta(hours=2)
RELOAD = "service nginx: its reload failed"

FOLLOWER = Follower("f", "web-1", Owner.FILE, FollowerState.ACTIVE, last_seen=NOW - timedelta(minutes=5))
LINE = Line("l", "shop", Owner.FILE, "f", ("shop.example.com",))
ORDER = Order("o", "c3", "i", LINE.names, "classic", OrderState.PUBLISHING, AGO, NOW, attempts=2, waiting="no answer")


def version(number: int, state: VersionState, failure: str | None = None) -> Version:
    certificate = Certificate(f"c{number}", f"v{number}", KeyType.ECDSA_P256, b"csr", "aa" * 32, LINE.names)
    why = Failure(FailureClass.RETRY_SOON, failure) if failure else None
    return Version(f"v{number}", "l", number, state, AGO, "the first certificate", (certificate,), why)


def line(*versions: Version, state: FollowerState = FollowerState.ACTIVE) -> LineSnapshot:
    return LineSnapshot(LINE, None, (), versions, replace(FOLLOWER, state=state))


def reported(
    number: int, error: str | None = None, *, state: DeploymentState = DeploymentState.PULLED, at: datetime = NOW
) -> Deployment:
    return Deployment("f", "l", number, state, error, at)


LIVE = version(3, VersionState.LIVE)


def missing(snapshot: LineSnapshot, said: Deployment | None, since: datetime | None = AGO) -> str | None:
    found = not_deployed(snapshot, said, since, NOW)
    return found.text if found else None


# --- orders -----------------------------------------------------------------------------------------------------------


def test_a_line_without_a_failure_is_not_failing() -> None:
    assert why_failing(line(LIVE), [ORDER]) == "2 failures in a row, tried again at 2026-11-20 12:00 UTC: no answer"
    assert why_failing(line(LIVE), [replace(ORDER, attempts=0), replace(ORDER, certificate_id="of another")]) is None


def test_a_failed_try_counts_until_one_succeeds() -> None:
    failed = version(3, VersionState.FAILED, "no address for shop.example.com")
    for versions in ([failed], [version(4, VersionState.ORDERED), failed], [failed, version(2, VersionState.LIVE)]):
        assert why_failing(line(*versions), []) == "no address for shop.example.com"
    assert why_failing(line(version(4, VersionState.LIVE)), []) is None


# --- deployments ------------------------------------------------------------------------------------------------------


def test_an_error_of_the_host_is_told_with_its_version_and_since_when() -> None:
    assert not_deployed(line(LIVE), reported(3, RELOAD), AGO, NOW) == NotDeployed(
        "shop", "web-1", 3, NOW, RELOAD, f"version 3 is held back on web-1 since 2026-11-20 12:00 UTC: {RELOAD}"
    )


@pytest.mark.parametrize("state", [DeploymentState.INSTALLED, DeploymentState.RELOADED, DeploymentState.SERVED])
def test_a_version_in_use_is_well(state: DeploymentState) -> None:
    assert missing(line(LIVE), reported(3, state=state, at=AGO)) is None
    assert missing(line(LIVE), reported(3, RELOAD, state=state, at=AGO)) is not None


@pytest.mark.parametrize("said", [None, reported(2, state=DeploymentState.RELOADED, at=AGO), reported(2, RELOAD)])
def test_a_live_version_that_nobody_pulled_in_time_is_told_with_when_its_host_was_seen(said: Deployment | None) -> None:
    told = "web-1 has not pulled version 3 yet (last seen 2026-11-20 11:55 UTC)"
    assert missing(line(LIVE), said, since=NOW - LATE) == told
    assert missing(line(LIVE), said, since=None) == told  # then since it was ordered


def test_a_follower_has_its_time_for_a_new_version() -> None:
    just = NOW - LATE + timedelta(seconds=1)
    assert missing(line(LIVE), None, since=just) is None
    assert missing(line(LIVE), reported(2, RELOAD), since=just) is not None  # the former trouble lasts


def test_a_version_that_was_pulled_but_never_installed_is_told() -> None:
    assert missing(line(LIVE), reported(3)) is None
    assert missing(line(LIVE), reported(3, at=AGO)) == (
        "web-1 has not installed version 3 yet (last seen 2026-11-20 11:55 UTC)"
    )


@pytest.mark.parametrize("state", [FollowerState.REVOKED, FollowerState.SUSPENDED])
def test_of_a_follower_that_was_shut_out_nothing_is_expected(state: FollowerState) -> None:
    assert missing(line(LIVE, state=state), None) is None


def test_without_a_live_version_there_is_nothing_to_deploy() -> None:
    assert missing(line(version(3, VersionState.ORDERED)), None) is None


def test_a_standing_says_what_is_wrong_once() -> None:
    trouble = not_deployed(line(LIVE), None, AGO, NOW)
    assert trouble is not None
    assert standing_with("version 3 is live", None, None) == "version 3 is live"
    assert standing_with("tried again at noon: no zone", "no zone", None) == "tried again at noon: no zone"
    assert standing_with("an order is under way", "no zone", trouble) == (
        f"an order is under way; no zone; {trouble.text}"
    )
