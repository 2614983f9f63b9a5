"""Two hosts with one identity are noticed, and no follower goes back to an older protocol (T1, T16, G11)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import FollowerState
from certline_shared.messages import Report, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient

REPORTS = "/v1/follower/reports"
MANIFEST = "/v1/follower/manifest"


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        yield running


@pytest.fixture
def host(bed: Bed) -> FollowerClient:
    return bed.follower()


def report(host: FollowerClient, seq: int | None, agent: str = "certline-follower test") -> httpx.Response:
    return host.ask("POST", REPORTS, encode(Report(agent, 0, (), seq=seq)))


def alarms(bed: Bed) -> list[Any]:
    return [event.data for event in bed.events("follower.possible-clone")]


def test_a_host_that_counts_up_is_one_host(bed: Bed, host: FollowerClient) -> None:
    assert [report(host, seq).status_code for seq in (5, 6, 900, 901)] == [204] * 4
    assert alarms(bed) == []


def test_the_same_request_again_after_a_lost_answer_is_no_clone(bed: Bed, host: FollowerClient) -> None:
    assert [report(host, 5).status_code for _ in range(3)] == [204] * 3
    assert alarms(bed) == []


@pytest.mark.parametrize(("seq", "agent"), [(4, "certline-follower test"), (5, "another")])
def test_a_number_that_does_not_rise_is_an_alarm_naming_both_and_is_let_through(
    bed: Bed, host: FollowerClient, seq: int, agent: str
) -> None:
    report(host, 5)
    assert report(host, seq, agent).status_code == 204
    assert alarms(bed) == [
        {"sequence": seq, "address": "127.0.0.1", "former_sequence": 5, "former_address": "127.0.0.1"}
    ]


def test_two_hosts_are_told_of_once_an_hour_for_as_long_as_both_go_on(bed: Bed, host: FollowerClient) -> None:
    for step in range(4):
        report(host, 1_000 + step)
        report(host, 500 + step)
    assert len(alarms(bed)) == 1
    bed.clock.advance(timedelta(hours=1))
    report(host, 2_000)
    report(host, 600)
    assert len(alarms(bed)) == 2


def test_a_host_put_back_to_a_snapshot_is_told_of_once(bed: Bed, host: FollowerClient) -> None:
    report(host, 1_000)
    for step in range(5):
        bed.clock.advance(timedelta(hours=2))
        report(host, 10 + step)
    assert len(alarms(bed)) == 1


def test_a_wish_counts_too(bed: Bed, host: FollowerClient) -> None:
    report(host, 10)
    answer = host.ask("PUT", "/v1/follower/lines/blog", b'{"names":["blog.example.com"],"seq":9}')
    assert answer.status_code in (200, 422)
    assert len(alarms(bed)) == 1


def test_with_lock_clones_the_follower_is_suspended_until_an_operator_looks(bed: Bed, host: FollowerClient) -> None:
    stored = bed.stored_follower()
    bed.store.write(lambda records: records.followers.save(SYSTEM, replace(stored, lock_clones=True)))
    report(host, 10)
    refused = report(host, 5)
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:certline:problem:suspended")
    assert bed.stored_follower().state is FollowerState.SUSPENDED
    assert host.manifest().status_code == 403
    assert len(alarms(bed)) == 1
    assert [event.data for event in bed.events("follower.suspended")] == [{"reason": "possible clone"}]


def test_an_older_release_does_not_count_and_is_served(host: FollowerClient) -> None:
    assert [report(host, None).status_code for _ in range(2)] == [204] * 2


def test_who_counted_once_is_not_served_without_a_number_any_more(bed: Bed, host: FollowerClient) -> None:
    report(host, 5)
    refused = report(host, None)
    assert refused.status_code == 400
    assert "counted its requests before" in refused.json()["detail"]
    assert [event.data["reason"] for event in bed.events("follower.downgrade")] == ["no sequence"]


# --- versions of the protocol -----------------------------------------------------------------------------------------


def asked(host: FollowerClient, version: str) -> httpx.Response:
    headers = host.signed("GET", MANIFEST) | {"Certline-Protocol": version}
    return host.send("GET", MANIFEST, headers)


@pytest.fixture
def of_two(bed: Bed) -> Bed:
    """The same master, as it would be with a second version of the protocol."""
    bed.services.protocols = (1, 2)
    return bed


def test_a_follower_may_rise_to_a_higher_version_and_is_held_to_it(of_two: Bed, host: FollowerClient) -> None:
    assert [asked(host, version).status_code for version in ("1", "2", "2")] == [200] * 3
    assert of_two.stored_follower().protocol == 2
    refused = asked(host, "1")
    assert refused.status_code == 400
    assert "this follower used 2 before" in refused.json()["detail"]
    assert [event.data["reason"] for event in of_two.events("follower.downgrade")] == ["lower protocol"]


@pytest.mark.usefixtures("of_two")
def test_no_version_means_the_first_and_is_refused_after_the_second(host: FollowerClient) -> None:
    asked(host, "2")
    assert host.send("GET", MANIFEST, host.signed("GET", MANIFEST)).status_code == 400


def test_one_follower_s_version_says_nothing_of_anothers(of_two: Bed, host: FollowerClient) -> None:
    asked(host, "2")
    assert asked(of_two.follower("web-2"), "1").status_code == 200


@pytest.mark.parametrize("version", ["0", "3", "2.0", "", "x" * 300])
def test_a_version_that_nobody_speaks_is_refused(of_two: Bed, host: FollowerClient, version: str) -> None:
    assert asked(host, version).status_code == 400
    assert of_two.stored_follower().protocol == 1


def test_who_cannot_sign_raises_nobodys_version(of_two: Bed, host: FollowerClient) -> None:
    stranger = FollowerClient(of_two, b"x" * 32, b"", follower_id=host.follower_id)
    assert asked(stranger, "2").status_code == 401
    assert of_two.stored_follower().protocol == 1


@pytest.mark.parametrize("tag", ["certs/v1", "certline/0", "certline/2", "certline-answer/1"])
def test_a_signature_with_another_tag_is_refused(host: FollowerClient, tag: str) -> None:
    headers = host.signed("GET", MANIFEST)
    headers["Signature-Input"] = headers["Signature-Input"].replace('tag="certline/1"', f'tag="{tag}"')
    assert host.send("GET", MANIFEST, headers).status_code == 401


def test_the_master_of_this_release_speaks_one_version(bed: Bed) -> None:
    assert bed.services.protocols == (1,)
