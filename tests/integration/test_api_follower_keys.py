"""A follower changes its own keys without a gap: announced, taken with the first request, the former refused then."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from certline_follower.rotation import change_of
from certline_shared import sealing, signing
from certline_shared.failpoints import watched
from certline_shared.messages import KeyChange, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient
from tests.testbed.postgres import PostgresServer

PATH = "/v1/follower/keys"


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        yield running


@pytest.fixture
def host(bed: Bed) -> FollowerClient:
    return bed.follower()


class Next:
    """A new pair of that host."""

    def __init__(self, host: FollowerClient, seq: int = 10) -> None:
        self.private, self.public = signing.generate_identity()
        self.sealing = sealing.generate()[0]
        self.change = change_of(self.private, self.sealing, seq)
        self.client = replace(host, private=self.private, public=self.public)

    def announced_by(self, host: FollowerClient, **changes: Any) -> httpx.Response:
        return host.ask("POST", PATH, encode(replace(self.change, **changes)))


def unauthorized(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["type"]) == (401, "urn:certline:problem:unauthorized")


def test_until_the_first_request_with_it_a_new_key_changes_nothing(bed: Bed, host: FollowerClient) -> None:
    coming, before = Next(host), bed.stored_follower()
    assert coming.announced_by(host).status_code == 204
    follower = bed.stored_follower()
    assert (follower.identity_key, follower.sealing_key) == (host.public, before.sealing_key)
    assert host.manifest().status_code == 200


def test_the_first_request_with_the_new_key_ends_the_former_one(bed: Bed, host: FollowerClient) -> None:
    coming = Next(host)
    coming.announced_by(host)
    assert coming.client.manifest().status_code == 200
    follower = bed.stored_follower()
    assert (follower.identity_key, follower.sealing_key) == (coming.public, sealing.public_of(coming.sealing))
    assert unauthorized(host.manifest())
    assert coming.client.manifest().status_code == 200
    assert len(bed.events("follower.keys_announced")) == 1
    (changed,) = bed.events("follower.keys_changed")
    assert changed.data == {
        "former": signing.thumbprint(host.public), "present": signing.thumbprint(coming.public),
    }  # fmt: skip


def test_announcing_the_same_again_is_no_change_with_either_key(bed: Bed, host: FollowerClient) -> None:
    coming = Next(host)
    for seq in (11, 12):
        assert Next.announced_by(coming, host, **_proved(coming, seq)).status_code == 204
    assert len(bed.events("follower.keys_announced")) == 1
    coming.client.manifest()
    assert coming.announced_by(coming.client, **_proved(coming, 13)).status_code == 204
    assert bed.stored_follower().next_identity_key is None
    assert len(bed.events("follower.keys_announced")) == 1


def _proved(coming: Next, seq: int) -> dict[str, Any]:
    made = change_of(coming.private, coming.sealing, seq)
    return {"seq": made.seq, "proof": made.proof}


def test_a_new_key_that_nobody_used_lapses_after_a_day(bed: Bed, host: FollowerClient) -> None:
    coming = Next(host)
    coming.announced_by(host)
    bed.clock.advance(timedelta(hours=24))
    assert unauthorized(coming.client.manifest())
    assert host.manifest().status_code == 200


def test_a_later_announcement_takes_the_place_of_the_former_one(host: FollowerClient) -> None:
    lost, kept = Next(host, 1), Next(host, 2)
    lost.announced_by(host)
    kept.announced_by(host)
    assert unauthorized(lost.client.manifest())
    assert kept.client.manifest().status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"proof": b"x" * 64}, "/proof"),
        ({"seq": 11}, "/proof"),
        ({"sealing_suite": "rot13"}, "/sealing_suite"),
        ({"sealing_key": b"short"}, "/sealing_key"),
        ({"identity_key": b"short"}, "/identity_key"),
    ],
)
def test_an_announcement_that_is_not_proved_or_cannot_be_used_names_the_field(
    bed: Bed, host: FollowerClient, changes: dict[str, object], field: str
) -> None:
    answer = Next(host).announced_by(host, **changes)
    assert answer.status_code == 422
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert bed.stored_follower().next_identity_key is None


def test_another_sealing_key_under_the_present_identity_key_is_refused(host: FollowerClient) -> None:
    change = change_of(host.private, sealing.generate()[0], 5)
    assert host.ask("POST", PATH, encode(change)).status_code == 409


def test_nobody_announces_keys_for_another(bed: Bed, host: FollowerClient) -> None:
    other = bed.follower("web-2")
    coming = Next(host)
    body = encode(coming.change)
    answer = other.send("POST", PATH, other.signed("POST", PATH, body, keyid=host.follower_id), body)
    assert unauthorized(answer)
    assert bed.stored_follower().next_identity_key is None


def test_a_replayed_first_request_does_not_bring_a_key_into_force(bed: Bed, host: FollowerClient) -> None:
    first, second = Next(host, 1), Next(host, 2)
    first.announced_by(host)
    body = encode(change_of(first.private, first.sealing, 3))
    headers = first.client.signed("POST", PATH, body)
    assert first.client.send("POST", PATH, headers, body).status_code == 204
    second.announced_by(first.client)
    assert unauthorized(first.client.send("POST", PATH, headers, body))
    assert bed.stored_follower().identity_key == first.public


@pytest.mark.parametrize("state", ["suspended", "revoked"])
def test_a_follower_that_may_not_act_changes_no_keys(bed: Bed, host: FollowerClient, state: Any) -> None:
    coming = Next(host)
    coming.announced_by(host)
    bed.set_state("web-1", state)
    assert coming.client.manifest().status_code in (401, 403)
    assert bed.stored_follower().identity_key == host.public


def all_at_once(bed: Bed) -> None:
    host = bed.follower()
    coming = Next(host)
    coming.announced_by(host)
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: coming.client.manifest().status_code, range(12)))
    assert answers == [200] * 12
    assert len(bed.events("follower.keys_changed")) == 1


def test_many_first_requests_at_once_are_all_good_and_change_the_key_once(bed: Bed) -> None:
    all_at_once(bed)


def test_the_same_on_postgres(postgres: PostgresServer) -> None:
    with running_master(postgres.new_database()) as bed:
        all_at_once(bed)


@pytest.mark.parametrize("place", ["keys.announced", "keys.take_over"])
def test_a_master_that_dies_in_between_leaves_one_key_that_is_good(bed: Bed, host: FollowerClient, place: str) -> None:
    """After the answer was lost the host tries the new key first, then the old one and announces again (F7)."""
    coming = Next(host)

    def die(reached: str) -> None:
        if reached == place:
            raise RuntimeError(place)

    with watched(die):
        answer = coming.announced_by(host)
        if place == "keys.take_over":
            assert coming.client.manifest().status_code == 500
            assert bed.stored_follower().identity_key == host.public
        else:
            assert answer.status_code == 500
    assert coming.client.manifest().status_code == 200
    assert unauthorized(host.manifest())


def test_a_message_of_this_kind_reads_back(host: FollowerClient) -> None:
    change = Next(host).change
    assert isinstance(change, KeyChange)
    assert len(change.proof) == 64
