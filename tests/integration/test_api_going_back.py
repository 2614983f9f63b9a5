"""A master whose database went back in time: it hears of it, and takes back from hosts what it lost, and only that."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import Version, VersionState
from certline_master.domain.ports import Records
from certline_master.store.records import sql
from certline_master.store.returning import after_going_back
from certline_shared.keys import KeyType, generate, make_csr
from certline_shared.messages import Report, VersionContent, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient, opened

FLEET = {
    "issuers": {"ca": {"directory": "https://fake-ca.example/dir", "default": True}},
    "zones": {"example.com": {"solver": "rfc2136"}},
}
HOUR = timedelta(hours=1)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        assert running.apply(FLEET).status_code == 200
        yield running


@pytest.fixture
def host(bed: Bed) -> FollowerClient:
    """With a line and its first version."""
    made = bed.follower()
    made.wish("blog", "blog.example.com")
    bed.engine.run(timedelta(minutes=2))
    return made


def versions(bed: Bed) -> list[Version]:
    with bed.store.read() as records:
        return records.versions.all(SYSTEM, records.lines.get(SYSTEM, "blog@web-1").id)


def go_back(bed: Bed) -> None:
    def work(records: Records) -> None:
        after_going_back(SYSTEM, sql(records), hold=HOUR, now=bed.clock.now(), why="for a test")

    bed.store.write(work)


def issued(bed: Bed, host: FollowerClient, *names: str, key: Any = None) -> str:
    """A chain of the CA's for these names and the host's key."""
    csr = make_csr(key or host.key, names)
    return bed.engine.ca.issuing.issue(csr, bed.clock.now(), timedelta(days=90))


def orders(bed: Bed) -> int:
    return len(bed.engine.ca.orders)


def hand_back(host: FollowerClient, number: int, chain: str, *, line: str = "blog", **changes: Any) -> httpx.Response:
    content = VersionContent(changes.get("said", line), number, {"ecdsa-p256/chain.pem": chain})
    return host.ask("PUT", f"/v1/follower/lines/{line}/versions/{number}", encode(content))


# --- the alarm --------------------------------------------------------------------------------------------------------


def behind(bed: Bed) -> list[dict[str, Any]]:
    return [event.data for event in bed.events("master.behind")]


def test_a_follower_that_has_seen_a_later_manifest_raises_an_alarm_once_an_hour(bed: Bed) -> None:
    host, other = bed.follower("web-1"), bed.follower("web-2")
    for one in (host, other, host):
        assert one.ask("POST", "/v1/follower/reports", encode(Report("a", 99, ()))).status_code == 204
    assert behind(bed) == [{"follower": "web-1", "seen": [1, 99], "here": [1, 0]}]
    bed.clock.advance(3601)
    other.ask("POST", "/v1/follower/reports", encode(Report("a", 99, ())))
    assert [one["follower"] for one in behind(bed)] == ["web-2", "web-1"]


def test_a_later_epoch_is_an_alarm_and_a_serial_of_an_earlier_epoch_is_none(bed: Bed) -> None:
    host = bed.follower()
    host.ask("POST", "/v1/follower/reports", encode(Report("a", 99, (), epoch=0)))
    assert behind(bed) == []
    host.ask("POST", "/v1/follower/reports", encode(Report("a", 0, (), epoch=2)))
    assert behind(bed) == [{"follower": "web-1", "seen": [2, 0], "here": [1, 0]}]


# --- handing back -----------------------------------------------------------------------------------------------------


def test_a_lost_version_is_taken_back_and_live(bed: Bed, host: FollowerClient) -> None:
    go_back(bed)

    assert hand_back(host, 2, issued(bed, host, "blog.example.com")).status_code == 204

    newest, first = versions(bed)
    assert (newest.number, newest.state, first.state) == (2, VersionState.LIVE, VersionState.RETIRED)
    assert opened(host).lines[0].version == 2
    [event] = bed.events("version.handed-back")
    assert event.actor == "follower:web-1"
    before = orders(bed)
    bed.engine.run(timedelta(hours=2))
    assert orders(bed) == before  # it is watched as any other, and not due


def test_the_same_again_changes_nothing(bed: Bed, host: FollowerClient) -> None:
    go_back(bed)
    chain = issued(bed, host, "blog.example.com")
    assert [hand_back(host, 2, chain).status_code for _ in range(2)] == [204, 204]
    assert len(versions(bed)) == 2


def test_a_master_that_did_not_go_back_takes_nothing(bed: Bed, host: FollowerClient) -> None:
    answer = hand_back(host, 2, issued(bed, host, "blog.example.com"))
    assert answer.status_code == 409
    assert "did not go back" in answer.json()["detail"]
    assert len(versions(bed)) == 1


@pytest.mark.parametrize(("number", "status"), [(1, 409), (0, 422), (2**31, 422)])
def test_what_is_not_higher_than_what_is_known_is_not_taken(
    bed: Bed, host: FollowerClient, number: int, status: int
) -> None:
    go_back(bed)
    assert hand_back(host, number, issued(bed, host, "blog.example.com")).status_code == status
    assert len(versions(bed)) == 1


def test_a_certificate_that_is_not_the_lines_is_not_taken(bed: Bed, host: FollowerClient) -> None:
    go_back(bed)
    stranger = generate(KeyType.ECDSA_P256)
    for chain, told in (
        (issued(bed, host, "blog.example.com", key=stranger), "another key"),
        (issued(bed, host, "shop.example.com"), "lacks the names blog.example.com"),
        ("no certificate", ""),
    ):
        answer = hand_back(host, 2, chain)
        assert answer.status_code == 422
        assert told in answer.json()["detail"]
    assert hand_back(host, 2, "", said="other").json()["errors"][0]["field"] == "/line"
    assert len(versions(bed)) == 1


def test_an_expired_certificate_is_not_taken(bed: Bed, host: FollowerClient) -> None:
    go_back(bed)
    chain = issued(bed, host, "blog.example.com")
    bed.clock.advance(timedelta(days=400).total_seconds())
    assert hand_back(host, 2, chain).status_code == 422


def test_anothers_line_is_not_there(bed: Bed, host: FollowerClient) -> None:
    go_back(bed)
    other = bed.follower("web-2")
    assert hand_back(other, 2, issued(bed, host, "blog.example.com")).status_code == 404


def test_nothing_new_is_ordered_while_hosts_have_time_to_come_and_then_it_is(bed: Bed, host: FollowerClient) -> None:
    """The host's key changed, which alone would be a reason to order at once."""
    go_back(bed)
    before = orders(bed)
    host.key = generate(KeyType.ECDSA_P256)
    host.wish("blog", "blog.example.com")
    bed.engine.run(timedelta(minutes=50))
    assert orders(bed) == before
    bed.engine.run(timedelta(minutes=20))
    assert orders(bed) == before + 1


def test_an_operator_may_order_at_once_all_the_same(bed: Bed, host: FollowerClient) -> None:
    go_back(bed)
    before = orders(bed)
    del host
    assert bed.ask("POST", "/v1/lines/blog@web-1/issue", {"force": True}).is_success
    bed.engine.run(timedelta(minutes=2))
    assert orders(bed) == before + 1
