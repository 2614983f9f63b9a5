"""The air gap, both sides: a bundle from the master's API to a real host, and its receipt back."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.model import FollowerState
from certline_shared import bundles, signing
from certline_shared.bundles import Receipt, SignedReceipt
from certline_shared.codec import write
from certline_shared.failpoints import watched
from certline_shared.messages import LineWish, Report
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET
from tests.integration.api_hosts import opened
from tests.integration.carried_host import CarriedHost

SHOP = {"custody": "master", "names": ["shop.example.com"]}


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        answer = running.apply(FLEET | {"http": {}, "followers": {}, "lines": {"shop": SHOP}})
        assert answer.status_code == 200, answer.text
        yield running


@pytest.fixture
def host(bed: Bed, tmp_path: Path) -> CarriedHost:
    """It may pull `shop`, and ask for blog.example.com."""
    made = CarriedHost(tmp_path / "host", bed, bed.follower("vault-1", ("blog.example.com",), pulls=("shop",)))
    made.configure(shop=None, blog="blog.example.com")
    return made


def test_keys_of_the_masters_and_certificates_for_own_keys_cross_the_gap(bed: Bed, host: CarriedHost) -> None:
    bed.engine.run()
    applied = host.apply(host.fetched())
    assert applied.outcome.failures == []
    assert "PRIVATE KEY" in host.shown("shop")
    assert applied.wished == ("blog",)
    taken = host.bring(applied.receipt)
    assert taken["wishes"] == [{"line": "blog@vault-1", "state": "waiting", "refused": None}]
    bed.engine.run()
    applied = host.apply(host.fetched())
    assert (applied.outcome.failures, applied.wished) == ([], ("blog",))  # now with the request for its next key
    assert "PRIVATE KEY" in host.shown("blog")
    assert host.shown("blog") != host.shown("shop")


def test_a_receipt_tells_what_is_installed_and_which_keys_are_there(bed: Bed, host: CarriedHost) -> None:
    bed.engine.run()
    host.bring(host.apply(host.fetched()).receipt)
    with bed.store.read() as records:
        (deployment,) = records.followers.deployments(SYSTEM, follower_id=host.client.follower_id)
        (copy,) = records.keys.copies_at(SYSTEM, host.client.follower_id)
    assert (deployment.version, deployment.state.value) == (1, "installed")
    assert copy.seen is not None


def test_a_bundle_and_the_release_of_its_keys_are_on_record_in_the_operators_name_first(
    bed: Bed, host: CarriedHost
) -> None:
    bed.engine.run()
    seen: list[str] = []

    def reached(place: str) -> None:
        if place == "key.released":
            seen.extend(event.actor for event in bed.events("key.released"))
        if place == "bundle.recorded":
            seen.extend(event.text for event in bed.events("bundle.created"))

    with watched(reached):
        host.fetched()
    assert seen == ["admin:the-admin", "a bundle was made for vault-1, with shop version 1"]


def test_it_is_the_manifest_that_the_host_would_get_by_the_network(bed: Bed, host: CarriedHost) -> None:
    bed.engine.run()
    carried = bundles.read_bundle(host.fetched())
    assert carried.manifest.keyid == signing.thumbprint(bed.services.identity.public)
    online = opened(host.client)
    assert f'"serial":{online.serial}'.encode() in carried.manifest.manifest
    assert {one.line for one in carried.versions} == {"shop"}


@pytest.mark.parametrize("state", [FollowerState.SUSPENDED, FollowerState.REVOKED])
def test_a_follower_that_is_not_active_gets_no_bundle_and_its_receipt_is_not_heard(
    bed: Bed, host: CarriedHost, state: FollowerState
) -> None:
    bed.engine.run()
    receipt = host.apply(host.fetched()).receipt
    bed.set_state("vault-1", state)
    for path, body in (("bundle", None), ("receipt", receipt)):
        answer = bed.ask("POST", f"/v1/followers/vault-1/{path}", body)
        assert answer.status_code == 409
        assert f"follower vault-1 is {state}" in answer.json()["detail"]
    assert len(bed.events("bundle.created")) == 1


def test_a_host_that_never_enrolled_gets_no_bundle(bed: Bed) -> None:
    bed.ask("PUT", "/v1/followers/new-1", {"grants": {"request": []}})
    assert bed.ask("POST", "/v1/followers/new-1/bundle").status_code == 409


# Receipts


def test_the_same_receipt_may_be_brought_again_and_changes_nothing_more(bed: Bed, host: CarriedHost) -> None:
    receipt = host.apply(host.fetched()).receipt
    first, second = host.bring(receipt), host.bring(receipt)
    assert second == first
    bed.engine.run()
    with bed.store.read() as records:
        line = records.lines.get(SYSTEM, "blog@vault-1")
        assert [version.number for version in records.versions.all(SYSTEM, line.id)] == [1]


def test_an_older_receipt_than_the_last_one_is_refused_and_changes_nothing(bed: Bed, host: CarriedHost) -> None:
    old = host.apply(host.fetched()).receipt
    new = host.apply(host.fetched()).receipt
    host.bring(new)
    answer = bed.ask("POST", "/v1/followers/vault-1/receipt", old)
    assert answer.status_code == 409
    assert "has said newer things since this receipt" in answer.json()["detail"]
    assert len(bed.events("receipt.taken")) == 1
    assert not bed.events("follower.possible-clone")


def signed(host: CarriedHost, **changes: Any) -> bytes:
    """A receipt by the host's own key."""
    made = Receipt(bundles.RECEIPT, host.client.follower_id, 7, "n", "2026-11-20T12:00:00Z", Report("agent", 1, ()))
    return bundles.sign_receipt(replace(made, **changes), host.client.private)


def test_a_wish_that_is_refused_is_told_and_stops_no_other(host: CarriedHost) -> None:
    host.configure(mail="mail.example.com", blog="blog.example.com")
    told = {one["line"]: one for one in host.bring(host.apply(host.fetched()).receipt)["wishes"]}
    assert "has no grant for mail.example.com" in told["mail"]["refused"]
    assert told["blog@vault-1"]["state"] == "waiting"


def test_a_receipt_with_the_number_of_another_request_is_refused_however_often_it_is_brought(
    bed: Bed, host: CarriedHost
) -> None:
    taken, other = signed(host), signed(host, nonce="another")
    host.bring(taken)
    for _ in range(2):
        assert bed.ask("POST", "/v1/followers/vault-1/receipt", other).status_code == 409
    host.bring(taken)  # it is still the last one


def test_a_receipt_signed_by_anybody_else_is_refused(bed: Bed, host: CarriedHost) -> None:
    stranger = bed.follower("web-2")
    for body in (
        bundles.sign_receipt(
            Receipt(bundles.RECEIPT, host.client.follower_id, 7, "n", "2026-11-20T12:00:00Z", Report("agent", 1, ())),
            stranger.private,
        ),
        signed(host, follower_id=stranger.follower_id),
        write(SignedReceipt(b"{}", bytes(64), host.client.follower_id)),
    ):
        answer = bed.ask("POST", "/v1/followers/vault-1/receipt", body)
        assert answer.status_code == 422, answer.text
        assert "not signed by this follower's key" in answer.text
    assert not bed.events("receipt.taken")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"wishes": {"../x": LineWish(None)}}, 422),
        ({"wishes": {"blog": LineWish(("blog.example.com",), {"ecdsa-p256": b"no csr"})}}, 200),  # told in the answer
        ({"report": Report("a" * 200, 1, ())}, 422),
        ({"format": "certline-receipt/2"}, 422),
    ],
    ids=["a line's name that is none", "a request that is none", "an agent too long", "another format"],
)
def test_a_signed_receipt_is_read_as_strictly_as_a_request(
    bed: Bed, host: CarriedHost, changes: dict[str, Any], status: int
) -> None:
    answer = bed.ask("POST", "/v1/followers/vault-1/receipt", signed(host, **changes))
    assert answer.status_code == status, answer.text
    if status == 200:
        assert "csrs" in answer.json()["wishes"][0]["refused"]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff", b'{"receipt":"!"}'])
def test_what_is_no_receipt_is_a_bad_message(bed: Bed, host: CarriedHost, body: bytes) -> None:
    assert bed.ask("POST", f"/v1/followers/{host.client.name}/receipt", body).status_code == 400


def test_a_receipt_over_its_size_is_not_read(bed: Bed, host: CarriedHost) -> None:
    answer = bed.ask("POST", f"/v1/followers/{host.client.name}/receipt", b" " * (bundles.MOST_RECEIPT_BYTES + 1))
    assert answer.status_code == 413


def test_a_kill_after_a_receipt_was_counted_is_made_good_by_bringing_it_again(bed: Bed, host: CarriedHost) -> None:
    receipt = host.apply(host.fetched()).receipt

    def die(place: str) -> None:
        if place == "receipt.counted":
            raise RuntimeError("killed")

    with watched(die):
        assert bed.ask("POST", "/v1/followers/vault-1/receipt", receipt).status_code == 500
    assert host.bring(receipt)["wishes"][0]["state"] == "waiting"


def test_a_bundle_that_waited_too_long_is_refused_by_the_host(bed: Bed, host: CarriedHost) -> None:
    bed.engine.run()
    old = host.fetched()
    bed.clock.advance(timedelta(days=31))
    with pytest.raises(bundles.BadBundle, match="freeze"):
        host.apply(old)
    assert host.apply(host.fetched()).outcome.failures == []
