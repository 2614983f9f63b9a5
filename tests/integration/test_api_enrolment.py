"""Enrolment over real HTTP: a one-time token makes exactly one host a follower, and tells a stranger nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.model import FollowerState
from certline_shared.enrolment import from_text
from certline_shared.signing import generate_identity, thumbprint
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import MASTER_PUBLIC, SEALING_PUBLIC, FollowerClient, NewHost
from tests.testbed.postgres import PostgresServer

REFUSED = "this enrolment token cannot be used: have a new one made on the master"


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.ask("PUT", "/v1/followers/web-1", {"grants": {"request": ["blog.example.com"]}})
        yield running


@pytest.fixture
def host(bed: Bed) -> NewHost:
    return NewHost(bed, bed.enrolment_string())


def refusals(bed: Bed) -> list[str]:
    return [event.data.get("reason", event.text) for event in bed.events("enrolment.refused")]


def test_a_host_with_its_token_becomes_a_follower(bed: Bed, host: NewHost) -> None:
    answer = host.believed(host.enrol())
    assert (answer.follower, answer.signing_keys, answer.tls_pins) == ("web-1", (MASTER_PUBLIC,), ("ab" * 32,))
    follower = bed.stored_follower()
    assert follower.state is FollowerState.ACTIVE
    assert (follower.identity_key, follower.sealing_key) == (host.public, SEALING_PUBLIC)
    assert len(bed.events("follower.enrolled")) == 1
    client = FollowerClient(bed, host.private, host.public, follower_id=answer.follower_id)
    assert client.manifest().status_code == 200


def test_the_string_holds_what_a_host_needs_to_know_the_master_again(host: NewHost, bed: Bed) -> None:
    string = host.string
    assert (string.origin, string.trust, string.tls_pins) == ("https://master.example", "pin", ("ab" * 32,))
    assert string.signing_key_thumbprint == thumbprint(MASTER_PUBLIC)
    assert string.expires_at == bed.clock.now() + timedelta(minutes=30)


def test_the_same_host_asking_again_gets_the_same_answer(bed: Bed, host: NewHost) -> None:
    first = host.believed(host.enrol())
    bed.clock.advance(1)
    again = host.believed(host.enrol())
    assert replace(again, time="", mac=b"") == replace(first, time="", mac=b"")
    assert len(bed.events("follower.enrolled")) == 1


def test_another_host_with_a_used_token_is_refused_and_an_alarm_names_both(bed: Bed, host: NewHost) -> None:
    host.enrol()
    bed.clock.advance(1)
    thief = NewHost(bed, host.string)
    answer = thief.enrol()
    assert (answer.status_code, answer.json()["detail"]) == (409, REFUSED)
    (alarm,) = bed.events("token.used_twice")
    assert (alarm.data["first"], alarm.data["second"]) == (thumbprint(host.public), thumbprint(thief.public))
    assert bed.stored_follower().identity_key == host.public


def test_an_expired_token_is_refused(bed: Bed, host: NewHost) -> None:
    bed.clock.advance(timedelta(minutes=31))
    answer = host.enrol()
    assert (answer.status_code, answer.json()["detail"]) == (401, REFUSED)
    assert bed.stored_follower().state is FollowerState.INVITED
    assert refusals(bed) == ["expired token"]


def test_the_token_of_a_revoked_follower_is_refused(bed: Bed, host: NewHost) -> None:
    bed.ask("POST", "/v1/followers/web-1/revoke")
    answer = host.enrol()
    assert (answer.status_code, answer.json()["detail"]) == (401, REFUSED)
    assert bed.stored_follower().state is FollowerState.REVOKED


def test_a_revoked_host_asking_again_is_refused(bed: Bed, host: NewHost) -> None:
    host.enrol()
    bed.ask("POST", "/v1/followers/web-1/revoke")
    bed.clock.advance(1)
    assert host.enrol().status_code == 401
    assert refusals(bed) == ["revoked follower"]


def test_an_unknown_token_is_refused_with_the_same_words(bed: Bed, host: NewHost) -> None:
    stranger = NewHost(bed, replace(host.string, token_id="1b0e4c1e-7f2b-4c3e-9a55-0a4a5f5f5b52"))
    answer = stranger.enrol()
    assert (answer.status_code, answer.json()["detail"]) == (401, REFUSED)
    assert refusals(bed) == ["unknown token"]


def test_a_wrong_secret_is_refused_with_the_same_words(bed: Bed, host: NewHost) -> None:
    guesser = NewHost(bed, replace(host.string, secret=b"x" * 32))
    answer = guesser.enrol()
    assert (answer.status_code, answer.json()["detail"]) == (401, REFUSED)
    assert refusals(bed) == ["wrong mac"]


def test_a_key_put_in_by_somebody_in_between_is_refused(bed: Bed, host: NewHost) -> None:
    swapped = replace(host.request(), identity_key=generate_identity()[1])
    assert host.enrol(swapped).status_code == 401
    assert refusals(bed) == ["wrong mac"]


def test_a_request_not_signed_by_the_new_key_is_refused(bed: Bed, host: NewHost) -> None:
    message = host.request(identity_key=generate_identity()[1])
    assert host.enrol(message).json()["detail"] == REFUSED
    assert refusals(bed) == ["signature does not hold"]


def test_a_request_signed_for_another_token_is_refused(bed: Bed, host: NewHost) -> None:
    assert host.enrol(keyid="another").json()["detail"] == REFUSED
    assert refusals(bed) == ["other key id"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"protocol": 2}, "/protocol"),
        ({"sealing_suite": "rot13"}, "/sealing_suite"),
        ({"sealing_key": b"short"}, "/sealing_key"),
        ({"agent": "a" * 101}, "/agent"),
    ],
)
def test_a_request_that_cannot_be_used_names_the_field(host: NewHost, changes: dict[str, object], field: str) -> None:
    answer = host.enrol(host.request(**changes))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_host_with_a_dead_clock_can_enrol(bed: Bed, host: NewHost) -> None:
    assert host.enrol(created=bed.clock.now() - timedelta(days=3653)).status_code == 200


def test_good_enrolments_from_one_address_are_not_counted(host: NewHost) -> None:
    assert [host.enrol().status_code for _ in range(100)] == [200] * 100


def test_refused_enrolments_from_one_address_are(bed: Bed, host: NewHost) -> None:
    wrong = replace(host, string=replace(host.string, secret=b"w" * 32))
    seen = [wrong.enrol() for _ in range(70)]
    assert [answer.status_code for answer in seen] == [401] * 60 + [429] * 10
    assert seen[-1].headers["Retry-After"] == "1"
    assert wrong.request().mac != host.request().mac
    elsewhere = replace(wrong, address="127.0.0.2")
    assert elsewhere.enrol().status_code == 401
    assert host.enrol().status_code == 200, "who has the token's secret is not refused for a neighbour's sake"
    bed.clock.advance(1)
    assert wrong.enrol().status_code == 401


def test_a_token_is_good_only_from_the_networks_of_its_follower(bed: Bed, host: NewHost) -> None:
    bed.ask("PUT", "/v1/followers/web-1", {"networks": ["127.0.0.2/32"]})
    assert host.enrol().status_code == 401
    assert bed.events("enrolment.refused")[0].data["reason"] == "sent from another network, by 127.0.0.1"
    assert replace(host, address="127.0.0.2").enrol().status_code == 200


def test_an_enrolled_follower_gets_another_token_only_to_be_replaced(bed: Bed, host: NewHost) -> None:
    host.enrol()
    assert bed.ask("POST", "/v1/followers/web-1/token").status_code == 409
    assert bed.ask("POST", "/v1/followers/web-1/token", {"replace": True}).status_code == 200


@pytest.mark.parametrize("seconds", [0, -1, 86_400 * 8])
def test_a_token_lives_for_a_sensible_time(bed: Bed, seconds: int) -> None:
    answer = bed.ask("POST", "/v1/followers/web-1/token", {"ttl_seconds": seconds})
    assert answer.json()["errors"][0]["field"] == "/ttl_seconds"


def test_a_string_names_the_origin_that_was_asked_for_if_it_is_one_of_the_masters(bed: Bed) -> None:
    (origin,) = bed.services.origins
    made = bed.ask("POST", "/v1/followers/web-1/token", {"origin": origin}).json()
    assert from_text(made["enrolment"]).origin == origin
    refused = bed.ask("POST", "/v1/followers/web-1/token", {"origin": "https://elsewhere.example"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"field": "/origin", "detail": f"is not one of this master's: {origin}"}]


def test_nothing_on_record_holds_the_secret(host: NewHost, tmp_path: Path) -> None:
    host.enrol()
    secret = host.string.secret
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert secret not in stored
    assert secret.hex().encode() not in stored


def fifty_at_once(bed: Bed) -> list[int]:
    """Fifty hosts, each with keys and an address of its own, come with one token at the same moment."""
    string = bed.enrolment_string()
    hosts = [NewHost(bed, string, address=f"127.0.0.{number}") for number in range(2, 52)]
    with ThreadPoolExecutor(50) as pool:
        return [answer.status_code for answer in pool.map(NewHost.enrol, hosts)]


def test_of_fifty_enrolments_with_one_token_exactly_one_succeeds(bed: Bed) -> None:
    assert sorted(fifty_at_once(bed)) == [200] + [409] * 49
    assert len(bed.events("follower.enrolled")) == 1


def test_of_fifty_enrolments_with_one_token_exactly_one_succeeds_on_postgres(postgres: PostgresServer) -> None:
    with running_master(postgres.new_database()) as bed:
        bed.ask("PUT", "/v1/followers/web-1", {})
        assert sorted(fifty_at_once(bed)) == [200] + [409] * 49
        assert len(bed.events("follower.enrolled")) == 1
