"""Keys that the master keeps for several hosts: made once, sealed to each, given only once that is on record."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from certline_master.domain.access import SYSTEM
from certline_master.domain.custody import KEY_SECRET
from certline_master.domain.model import FollowerState, Slot
from certline_shared import sealing
from certline_shared.certificates import matches
from certline_shared.codec import base64url, from_base64url
from certline_shared.failpoints import watched
from certline_shared.keys import from_pem, spki_sha256
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import SEALING_PUBLIC, opened
from tests.integration.shared_keys import (
    OWN,
    applied,
    enrolled,
    fleet,
    key_in,
    line_of,
    materials,
    pulled,
    rebuilt_host,
)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        answer = running.apply(fleet())
        assert answer.status_code == 200, answer.text
        yield running


def test_both_hosts_get_the_same_key_each_sealed_to_it_alone(bed: Bed) -> None:
    one, two = enrolled(bed, "web-1"), enrolled(bed, "web-2")
    bed.engine.run()
    contents = [pulled(host, 1) for host in (one, two)]
    private = {key_in(host, content) for host, content in zip((one, two), contents, strict=True)}
    assert len(private) == 1
    assert matches(from_pem(private.pop()), contents[0].files["ecdsa-p256/chain.pem"])
    assert contents[0].files["ecdsa-p256/key.sealed"] != contents[1].files["ecdsa-p256/key.sealed"]
    with pytest.raises(ValueError, match="not sealed to this key"):
        key_in(two, contents[0])


def test_the_manifest_names_the_sealed_key_by_its_hash_and_wants_no_request(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    before = line_of(host)
    assert before is not None
    assert (before.custody, before.version, before.csr_wanted) == ("master", None, ())
    bed.engine.run()
    line = line_of(host)
    assert line is not None
    assert (line.custody, line.version, line.csr_wanted) == ("master", 1, ())
    content = pulled(host, 1)
    named = {file.name: (file.sha256, file.length) for file in line.files}
    assert named == {
        name: (hashlib.sha256(text.encode()).hexdigest(), len(text)) for name, text in content.files.items()
    }
    assert line.spki_sha256 == {"ecdsa-p256": spki_sha256(from_pem(key_in(host, content)))}


def test_a_manifest_is_the_same_until_something_changes(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    etag = host.manifest().headers["ETag"]
    pulled(host, 1)
    assert host.manifest(etag).status_code == 304


def test_a_key_is_released_on_record_before_it_is_answered_and_only_once(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    opened(host)
    assert bed.events("key.released") == []  # a manifest gives no key away
    first, again = pulled(host, 1), pulled(host, 1)
    assert first == again
    (event,) = bed.events("key.released")
    assert (event.actor, event.subject) == ("follower:web-1", "line:shop")
    assert event.data["spki_sha256"] == materials(bed)[0].spki_sha256


def test_who_dies_between_the_record_and_the_answer_leaves_a_record(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()

    def die(place: str) -> None:
        if place == "key.released":
            raise RuntimeError("killed")

    with watched(die):
        assert host.ask("GET", "/v1/follower/lines/shop/versions/1").status_code == 500
    assert len(bed.events("key.released")) == 1
    key_in(host, pulled(host, 1))
    assert len(bed.events("key.released")) == 1


@pytest.mark.parametrize(("state", "status"), [(FollowerState.REVOKED, 401), (FollowerState.SUSPENDED, 403)])
def test_who_is_stopped_while_its_key_is_sealed_is_not_given_it(bed: Bed, state: FollowerState, status: int) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()

    def stop(place: str) -> None:
        if place == "key.sealed":
            bed.set_state("web-1", state)

    with watched(stop):
        assert host.ask("GET", "/v1/follower/lines/shop/versions/1").status_code == status
    assert bed.events("key.released") == []


def test_a_rebuilt_host_is_given_the_key_on_record_anew(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    pulled(host, 1)
    bed.clock.advance(60)
    rebuilt = rebuilt_host(bed, "web-1", SEALING_PUBLIC)
    for _ in range(2):
        pulled(rebuilt, 1)
    assert len(bed.events("key.released")) == 2


def test_who_dies_after_sealing_names_the_same_sealed_key_later(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()

    def die(place: str) -> None:
        if place == "key.sealed":
            raise RuntimeError("killed")

    with watched(die):
        assert host.manifest().status_code == 500
    with bed.store.read() as records:
        (sealed,) = records.keys.sealed(SYSTEM, host.follower_id)
    assert pulled(host, 1).files["ecdsa-p256/key.sealed"] == base64url(sealed.data)


def test_a_host_without_the_grant_sees_no_such_line(bed: Bed) -> None:
    stranger = bed.follower("web-9")
    bed.engine.run()
    assert line_of(stranger) is None
    foreign = stranger.ask("GET", "/v1/follower/lines/shop/versions/1")
    missing = stranger.ask("GET", "/v1/follower/lines/nothing/versions/1")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"].replace("shop", "nothing") == missing.json()["detail"]
    assert bed.events("key.released") == []


def test_a_withdrawn_grant_takes_the_line_away_at_once(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    pulled(host, 1)
    applied(bed, fleet() | {"followers": {"web-1": {}, "web-2": {"grants": {"pull": ["shop"]}}}})
    assert line_of(host) is None
    assert host.ask("GET", "/v1/follower/lines/shop/versions/1").status_code == 404
    (event,) = bed.events("grant.withdrawn")
    assert event.subject == "follower:web-1"
    assert "keeps" in event.text


def test_a_group_may_pull_too(bed: Bed) -> None:
    groups = {"groups": {"webs": {"grants": {"pull": ["shop"]}}}}
    applied(bed, fleet() | groups | {"followers": {"web-1": {"groups": ["webs"]}, "web-2": {}}})
    inside, outside = enrolled(bed, "web-1"), enrolled(bed, "web-2")
    bed.engine.run()
    key_in(inside, pulled(inside, 1))
    assert line_of(outside) is None


def test_the_private_key_is_nowhere_but_in_the_vault(bed: Bed, tmp_path: Path) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    pem = key_in(host, pulled(host, 1))
    with bed.store.read() as records:
        assert records.secrets.read(SYSTEM, KEY_SECRET, materials(bed)[0].secret) == pem
    body = pem.split(b"\n")[1]
    assert all(body not in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())


def test_a_host_whose_sealing_key_changed_gets_the_key_sealed_anew(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    former = pulled(host, 1)
    private, public = sealing.generate()
    rebuilt = rebuilt_host(bed, "web-1", public)
    content = pulled(rebuilt, 1)
    assert content.files["ecdsa-p256/key.sealed"] != former.files["ecdsa-p256/key.sealed"]
    info = sealing.key_info(rebuilt.follower_id, "shop", 1, "ecdsa-p256")
    sealing.open_sealed(from_base64url(content.files["ecdsa-p256/key.sealed"]), private, info)
    line = line_of(rebuilt)
    assert line is not None
    assert line.version == 1


def test_a_host_may_not_send_a_request_for_the_masters_key(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    answer = host.wish("shop", "shop.example.com")
    assert answer.status_code == 409
    assert "the master keeps the key" in answer.json()["detail"]


def test_a_suspended_host_is_given_nothing(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    bed.set_state("web-1", FollowerState.SUSPENDED)
    assert host.ask("GET", "/v1/follower/lines/shop/versions/1").status_code == 403
    assert bed.events("key.released") == []


# --- custody moves ---


def test_from_master_to_follower_the_hosts_next_request_is_used(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    former = key_in(host, pulled(host, 1))
    applied(bed, fleet(shop=OWN))
    line = line_of(host)
    assert line is not None
    assert (line.custody, line.version) == (None, 1)  # the live one stays until the next is there
    assert [wanted.key_type for wanted in line.csr_wanted] == ["ecdsa-p256"]
    (event,) = bed.events("custody.changed")
    assert event.data["held_by"] == ["web-1"]
    refused = host.wish("shop", "shop.example.com", key=from_pem(former))
    assert refused.status_code == 422, "the former key must not live on"
    assert host.wish("shop", "shop.example.com").status_code == 200
    bed.engine.run()
    line = line_of(host)
    assert line is not None
    assert (line.version, [file.name for file in line.files]) == (2, ["ecdsa-p256/chain.pem"])
    assert line.spki_sha256["ecdsa-p256"] == spki_sha256(host.key)


def test_from_follower_to_master_a_new_key_is_made_and_the_hosts_request_dropped(bed: Bed) -> None:
    own = {"follower": "web-1", "names": ["mail.example.com"]}
    applied(bed, fleet(mail=own))
    host = enrolled(bed, "web-1")
    host.wish("mail", "mail.example.com")
    bed.engine.run()
    first = line_of(host, "mail")
    assert first is not None
    assert first.version == 1
    moved = fleet(mail={"custody": "master", "names": ["mail.example.com"]})
    moved["followers"] = {"web-1": {"grants": {"pull": ["mail", "shop"]}}, "web-2": {"grants": {"pull": ["mail"]}}}
    assert bed.apply(moved).status_code == 200
    between = line_of(host, "mail")
    assert between is not None
    assert (between.version, between.custody, between.csr_wanted) == (1, "master", ())
    bed.engine.run()
    other = enrolled(bed, "web-2")
    content = pulled(other, 2, "mail")
    assert spki_sha256(from_pem(key_in(other, content))) != spki_sha256(host.key)
    assert {event.subject for event in bed.events("custody.changed")} == {"line:mail"}


def test_there_and_back_again_makes_a_third_key(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    pulled(host, 1)
    applied(bed, fleet(shop=OWN))
    host.wish("shop", "shop.example.com")
    bed.engine.run()
    applied(bed, fleet())
    bed.engine.run()
    pins = [one.spki_sha256 for one in materials(bed)]
    assert len(set(pins)) == 2
    assert [one.slot for one in materials(bed)] == [Slot.CURRENT, Slot.PREVIOUS]
    line = line_of(host)
    assert line is not None
    assert (line.version, line.spki_sha256["ecdsa-p256"]) == (3, pins[0])


def test_a_move_that_is_undone_before_the_new_key_was_used_still_ends_well(bed: Bed) -> None:
    host = enrolled(bed, "web-1")
    bed.engine.run()
    applied(bed, fleet(shop=OWN))
    applied(bed, fleet())
    bed.engine.run()
    line = line_of(host)
    assert line is not None
    assert (line.version, line.custody) == (2, "master")
    key_in(host, pulled(host, 2))
