"""What a hostile follower may put into a certificate request: refused over real HTTP, with the field, never a 500."""

from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certline_shared.keys import KeyType, generate, make_csr
from certline_shared.messages import LineWish, encode
from tests.fakes.chance import SeededChance
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient
from tests.integration.crafted_csr import must_staple, names, request, wants

NAME = "blog.example.com"
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path_factory.mktemp("master"))) as running:
        running.ask("PUT", "/v1/zones/example.com", {"solver": "rfc2136"})
        yield running


@pytest.fixture(scope="module")
def host(bed: Bed) -> FollowerClient:
    return bed.follower()


def put(host: FollowerClient, csr: bytes) -> tuple[int, str]:
    answer = host.ask("PUT", "/v1/follower/lines/blog", encode(LineWish((NAME,), {"ecdsa-p256": csr})))
    errors = answer.json().get("errors") or [{"detail": ""}]
    return answer.status_code, errors[0]["detail"]


def test_a_request_put_together_by_hand_is_taken_when_it_says_nothing_more(host: FollowerClient) -> None:
    assert put(host, request(KEY, wants(names(NAME)))) == (200, "")


CRAFTED = {
    "a second set of names hidden from the reader": (
        request(KEY, wants(names(NAME)), wants(names("evil.example.com"))),
        "asks for extensions twice",
    ),
    "an extension hidden behind the names": (
        request(KEY, wants(names(NAME)), wants(names(NAME), must_staple())),
        "asks for extensions twice",
    ),
    "the names twice in one set": (request(KEY, wants(names(NAME), names("evil.example.com"))), "Duplicate"),
    "another version": (request(KEY, wants(names(NAME)), version=5), "version"),
    "an extension beside the names": (request(KEY, wants(names(NAME), must_staple())), "Must-Staple"),
    "no attribute": (request(KEY), "no subjectAltName"),
}


@pytest.mark.parametrize("case", CRAFTED)
def test_a_request_that_says_more_than_key_and_names_is_refused(host: FollowerClient, case: str) -> None:
    csr, why = CRAFTED[case]
    status, detail = put(host, csr)
    assert status == 422
    assert why in detail


def test_no_damaged_request_is_a_failure_of_ours(host: FollowerClient) -> None:
    good, chance = make_csr(generate(KeyType.ECDSA_P256), (NAME,)), SeededChance()
    for _ in range(300):
        damaged = bytearray(good)
        for _ in range(2):
            damaged[int.from_bytes(chance.token(2)) % len(good)] = chance.token(1)[0]
        assert put(host, bytes(damaged))[0] in (200, 422)
