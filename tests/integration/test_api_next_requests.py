"""Requests for the next keys of a host: asked for, checked as those for the current ones, used by a rollover."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from certline_shared.keys import KeyType, PrivateKey, generate, make_csr, spki_sha256
from certline_shared.manifest import CsrWanted, ManifestLine
from certline_shared.messages import LineWish, Problem, decode, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient, opened
from tests.integration.shared_keys import SHOP, applied, enrolled, fleet, installs

NAMES, SOON = ("blog.example.com",), timedelta(minutes=20)
EC = "ecdsa-p256"
FLEET: dict[str, Any] = {
    "issuers": {"ca": {"directory": "https://fake-ca.example/dir", "default": True}},
    "zones": {"example.com": {"solver": "rfc2136"}},
}
FIRST, SECOND, THIRD = (generate(KeyType.ECDSA_P256) for _ in range(3))


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        applied(running, FLEET)
        yield running


def wish(
    host: FollowerClient, current: PrivateKey, following: PrivateKey | None = None, *, line: str = "blog"
) -> httpx.Response:
    ahead = {EC: make_csr(following, NAMES)} if following else {}
    asked = LineWish(NAMES, {EC: make_csr(current, NAMES)}, next_csrs=ahead)
    return host.ask("PUT", f"/v1/follower/lines/{line}", encode(asked))


def line_of(host: FollowerClient) -> ManifestLine:
    (line,) = opened(host).lines
    return line


def pins(bed: Bed) -> dict[str, str]:
    found = bed.ask("GET", "/v1/keys/blog@web-1").json()["keys"]
    return {one["slot"]: one["spki_sha256"] for one in found}


def live(host: FollowerClient) -> str:
    return line_of(host).spki_sha256[EC]


def roll_over(bed: Bed) -> httpx.Response:
    return bed.ask("POST", "/v1/keys/blog@web-1/rollover", {})


def test_the_next_request_is_asked_for_once_the_current_one_is_there(bed: Bed) -> None:
    host = bed.follower()
    wish(host, FIRST)
    assert line_of(host).csr_wanted == (CsrWanted(EC, "next"),)
    wish(host, FIRST, SECOND)
    assert line_of(host).csr_wanted == ()
    assert pins(bed) == {"current": spki_sha256(FIRST), "next": spki_sha256(SECOND)}


def test_a_rollover_orders_on_the_hosts_next_request_and_then_asks_for_another(bed: Bed) -> None:
    """2.1, 31; the host keeps its keys, the master their pins."""
    host = bed.follower()
    wish(host, FIRST, SECOND)
    bed.engine.run(SOON)
    assert live(host) == spki_sha256(FIRST)
    assert roll_over(bed).json()["asked"] == ["blog@web-1"]
    bed.engine.run(SOON)
    assert (live(host), line_of(host).version) == (spki_sha256(SECOND), 2)
    assert pins(bed) == {"previous": spki_sha256(FIRST), "current": spki_sha256(SECOND)}
    assert line_of(host).csr_wanted == (CsrWanted(EC, "next"),)


def test_a_host_that_has_not_installed_it_yet_does_not_turn_the_rollover_back(bed: Bed) -> None:
    """It still calls the former key its current one."""
    host = bed.follower()
    wish(host, FIRST, SECOND)
    bed.engine.run(SOON)
    roll_over(bed)
    bed.engine.run(SOON)
    assert wish(host, FIRST, SECOND).status_code == 200
    bed.engine.run(SOON)
    assert (live(host), line_of(host).version) == (spki_sha256(SECOND), 2)
    wish(host, SECOND, THIRD)
    bed.engine.run(SOON)
    assert line_of(host).version == 2
    assert pins(bed) == {
        "previous": spki_sha256(FIRST), "current": spki_sha256(SECOND), "next": spki_sha256(THIRD),
    }  # fmt: skip


def test_a_next_key_alone_makes_no_order(bed: Bed) -> None:
    host = bed.follower()
    wish(host, FIRST)
    bed.engine.run(SOON)
    for key in (SECOND, THIRD):
        wish(host, FIRST, key)
        bed.engine.run(SOON)
    assert line_of(host).version == 1
    assert bed.engine.ca.count("newOrder") == 1


def test_a_rollover_waits_for_a_host_that_has_sent_no_next_request(bed: Bed) -> None:
    """One of a former release never does; it is renewed as ever."""
    host = bed.follower()
    wish(host, FIRST)
    bed.engine.run(SOON)
    roll_over(bed)
    bed.engine.run(SOON)
    standing = bed.ask("GET", "/v1/lines/blog@web-1").json()["line"]["standing"]
    assert "waiting for the next key of follower web-1" in standing
    bed.engine.run(timedelta(days=70))
    assert (live(host), line_of(host).version) == (spki_sha256(FIRST), 2)
    installs(host, 2, line="blog")
    wish(host, FIRST, SECOND)
    bed.engine.run(SOON)
    assert live(host) == spki_sha256(SECOND)


@pytest.mark.parametrize(
    ("ahead", "field", "said"),
    [
        ({EC: b"no request"}, f"/next_csrs/{EC}", "not a DER certificate signing request"),
        ({"ecdsa-p384": make_csr(SECOND, NAMES)}, "/next_csrs/ecdsa-p384", "holds a key of the type ecdsa-p256"),
        ({"none": make_csr(SECOND, NAMES)}, "/next_csrs/none", "no such key type"),
        ({EC: make_csr(SECOND, ("www.example.com",))}, f"/next_csrs/{EC}", "the request is for www.example.com"),
        ({EC: make_csr(FIRST, NAMES)}, "/next_csrs", "another one than the current"),
        ({"rsa-2048": make_csr(generate(KeyType.RSA_2048), NAMES)}, "/next_csrs/rsa-2048", "has the key type"),
    ],
)
def test_a_next_request_is_checked_as_one_for_the_current_key(
    bed: Bed, ahead: dict[str, bytes], field: str, said: str
) -> None:
    host = bed.follower()
    asked = LineWish(NAMES, {EC: make_csr(FIRST, NAMES)}, next_csrs=ahead)
    answer = host.ask("PUT", "/v1/follower/lines/blog", encode(asked))
    assert answer.status_code == 422
    (error,) = decode(Problem, answer.content).errors
    assert error["field"] == field
    assert said in error["detail"]


def test_a_host_sends_none_for_a_key_that_the_master_keeps(bed: Bed) -> None:
    applied(bed, fleet(shop=SHOP))
    host = enrolled(bed, "web-1")
    bed.engine.run(SOON)
    asked = LineWish(None, {}, next_csrs={EC: make_csr(FIRST, ("shop.example.com",))})
    assert host.ask("PUT", "/v1/follower/lines/shop", encode(asked)).status_code == 409


def test_after_a_revocation_the_revoked_key_is_not_used_again(bed: Bed) -> None:
    """2.1, 35, for a key that stays on its host."""
    host = bed.follower()
    wish(host, FIRST)
    bed.engine.run(SOON)
    assert bed.ask("POST", "/v1/keys/blog@web-1/revoke", {"reason": "key-compromise"}).status_code == 200
    bed.engine.run(SOON)
    assert line_of(host).version is None
    wish(host, FIRST, SECOND)
    bed.engine.run(SOON)
    assert (live(host), line_of(host).version) == (spki_sha256(SECOND), 2)
