"""What is taken away while the master is at work for it: the order ends, nothing is issued, nothing stays in DNS."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import VersionState
from certline_shared.manifest import check_versions
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient, opened

NAME = "blog.example.com"
A_WHILE = timedelta(seconds=5)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.configure()
        yield running


@pytest.fixture
def host(bed: Bed) -> FollowerClient:
    """A follower whose order waits until its record is seen in DNS."""
    bed.engine.solver.invisible_looks = 5
    host = bed.follower("web-9", (NAME, "shop.example.com"))
    assert host.wish("blog", NAME).status_code == 200
    bed.engine.run(timedelta(milliseconds=50))
    assert bed.engine.solver.standing
    return host


def states(bed: Bed) -> list[VersionState]:
    with bed.store.read() as records:
        line = records.lines.get(SYSTEM, "blog@web-9")
        return [version.state for version in records.versions.all(SYSTEM, line.id)]


def nothing_came_of_it(bed: Bed) -> None:
    bed.engine.run(A_WHILE)
    assert bed.engine.ca.issued == []
    assert bed.engine.solver.standing == set()
    with bed.store.read() as records:
        assert records.orders.live(SYSTEM) == []


def test_the_order_goes_through_when_nobody_stops_it(bed: Bed, host: FollowerClient) -> None:
    bed.engine.run(A_WHILE)
    assert opened(host).lines[0].version == 1


def test_a_follower_that_is_revoked_gets_no_certificate_from_the_order_that_runs(
    bed: Bed, host: FollowerClient
) -> None:
    bed.ask("POST", f"/v1/followers/{host.name}/revoke")
    nothing_came_of_it(bed)
    assert states(bed) == [VersionState.FAILED]
    (event,) = bed.events("line.stopped")
    assert "was revoked" in event.text
    assert "its order was stopped" in event.text


def test_a_grant_that_is_withdrawn_stops_the_order_that_runs_and_both_sides_are_told(
    bed: Bed, host: FollowerClient
) -> None:
    bed.ask("PUT", f"/v1/followers/{host.name}", {"grants": {"request": ["shop.example.com"]}})
    nothing_came_of_it(bed)
    (event,) = bed.events("line.stopped")
    assert (event.subject, NAME in event.text) == ("line:blog@web-9", True)
    assert opened(host).lines[0].error == f"no grant for {NAME}"


def test_a_live_line_whose_grant_is_withdrawn_says_so_and_is_not_renewed(bed: Bed, host: FollowerClient) -> None:
    bed.engine.run(A_WHILE)
    bed.ask("PUT", f"/v1/followers/{host.name}", {"grants": {"request": []}})
    bed.engine.run(timedelta(days=120))
    assert len(bed.engine.ca.issued) == 1
    line = opened(host).lines[0]
    assert (line.version, line.error) == (1, f"no grant for {NAME}")
    assert [event.subject for event in bed.events("line.stopped")] == ["line:blog@web-9"]


def test_a_grant_given_back_lets_the_line_go_on(bed: Bed, host: FollowerClient) -> None:
    bed.ask("PUT", f"/v1/followers/{host.name}", {"grants": {"request": []}})
    nothing_came_of_it(bed)
    bed.ask("PUT", f"/v1/followers/{host.name}", {"grants": {"request": [NAME]}})
    bed.engine.run(timedelta(minutes=2))
    assert opened(host).lines[0].version == 2


@pytest.mark.parametrize("path", ["/v1/lines/blog@web-9", "/v1/followers/web-9"])
def test_what_is_deleted_while_its_order_runs_is_not_issued(bed: Bed, host: FollowerClient, path: str) -> None:
    answer = bed.ask("DELETE", path)
    assert answer.status_code == 200, answer.text
    nothing_came_of_it(bed)
    assert host.name == "web-9"


def test_a_line_that_is_made_again_goes_on_counting_so_that_its_host_does_not_take_it_for_an_old_one(
    bed: Bed, host: FollowerClient
) -> None:
    bed.engine.run(A_WHILE)
    before = opened(host)
    bed.ask("DELETE", "/v1/lines/blog@web-9")
    host.wish("blog", NAME)
    bed.engine.run(A_WHILE)
    after = opened(host)
    check_versions(after, {line.name: line.version or 0 for line in before.lines})
    assert after.lines[0].version == 2
