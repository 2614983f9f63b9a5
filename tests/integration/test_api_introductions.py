"""A host without a token: it waits until an operator types what it shows; and hosts whose keys are known beforehand."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from certline_master.domain.access import Role
from certline_master.domain.model import FollowerState
from certline_shared import introduction, sealing, signing
from certline_shared.codec import base64url
from certline_shared.introduction import HostKeys
from certline_shared.messages import Introduction, IntroductionAnswer, decode, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import HOST, JSON, MASTER_PUBLIC, FollowerClient, check_signature
from tests.integration.api_hosts import NewHost as TokenHost

PATH = "/v1/introductions"


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        yield running


@dataclass
class NewHost:
    """A host that introduces itself."""

    bed: Bed
    name: str = "web-7"
    code: bytes = b"7654321"
    pair: tuple[bytes, bytes] = field(default_factory=signing.generate_identity)
    sealing_key: bytes = field(default_factory=lambda: sealing.generate()[1])

    @property
    def keys(self) -> HostKeys:
        return HostKeys(self.pair[1], self.sealing_key)

    @property
    def fingerprint(self) -> str:
        return introduction.fingerprint(self.pair[1], self.sealing_key, MASTER_PUBLIC)

    @property
    def shown(self) -> str:
        return introduction.shown(self.fingerprint, self.code)

    def introduce(self, *, keyid: str | None = None, key: bytes | None = None, **changes: Any) -> httpx.Response:
        self.bed.clock.advance(1)
        fields: dict[str, Any] = {
            "name": self.name, "identity_key": self.pair[1], "sealing_key": self.sealing_key,
            "sealing_suite": sealing.SUITE, "nonce": "bm9uY2U", "protocol": 1, "agent": "certline-follower test",
        }  # fmt: skip
        body = encode(Introduction(**{**fields, **changes}))
        nonce = base64url(self.bed.engine.chance.token(16))
        parts = signing.RequestParts("POST", HOST, PATH, "", JSON, body)
        headers = signing.sign_request(
            key or self.pair[0], parts, keyid=keyid or signing.thumbprint(self.pair[1]), nonce=nonce,
            created=self.bed.clock.now() - timedelta(days=3_000),
        )  # fmt: skip
        answer = self.bed.http.post(PATH, content=body, headers=headers | {"Host": HOST, "Content-Type": JSON})
        if answer.status_code == 200:
            check_signature(answer, nonce)
        return answer

    def told(self) -> IntroductionAnswer:
        answer = self.introduce()
        assert answer.status_code == 200, answer.text
        return decode(IntroductionAnswer, answer.content)


def approve(bed: Bed, shown: str, **more: object) -> httpx.Response:
    return bed.ask("POST", f"{PATH}/approve", {"fingerprint": shown, **more}, role=Role.OPERATOR)


def waiting(bed: Bed) -> list[str]:
    return [one["fingerprint"] for one in bed.ask("GET", PATH).json()]


def test_a_host_that_introduces_itself_waits_and_gets_nothing(bed: Bed) -> None:
    host = NewHost(bed)
    told = host.told()
    assert (told.state, told.signing_keys, told.nonce) == ("pending", (MASTER_PUBLIC,), "bm9uY2U")
    assert (told.follower_id, told.follower, told.epoch, told.time, told.proof) == (None,) * 5
    assert waiting(bed) == [host.fingerprint]
    assert bed.ask("GET", "/v1/followers").json() == []
    assert len(bed.events("follower.introduced")) == 1


def test_the_host_is_let_in_when_an_operator_types_what_it_shows(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    assert approve(bed, host.shown).json()["follower"] == "web-7"
    told = host.told()
    follower = bed.stored_follower("web-7")
    assert (told.state, told.follower, told.follower_id, told.epoch) == ("approved", "web-7", follower.id, 1)
    expected = introduction.approval(introduction.code_text(host.code), host.fingerprint, follower.id)
    assert told.proof == expected
    assert (follower.state, follower.identity_key, follower.sealing_key) == (
        FollowerState.ACTIVE, host.pair[1], host.sealing_key,
    )  # fmt: skip
    client = FollowerClient(bed, *host.pair, name="web-7", follower_id=follower.id)
    assert client.manifest().status_code == 200
    assert waiting(bed) == []
    assert len(bed.events("follower.approved")) == 1


def test_the_answer_may_be_asked_for_again(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    approve(bed, host.shown)
    assert host.told().proof == host.told().proof
    bed.clock.advance(timedelta(days=6))
    assert host.told().state == "approved"


def test_what_the_master_lists_is_not_enough_to_approve(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    (listed,) = waiting(bed)
    refused = approve(bed, listed)
    assert refused.status_code == 422
    assert "only the host shows them" in refused.json()["errors"][0]["detail"]
    assert host.told().state == "pending"


def test_with_somebody_in_between_the_fingerprints_differ_and_nobody_is_let_in(bed: Bed) -> None:
    """The host sees the signing key of who is in between, the master sees keys of that one."""
    host, between = NewHost(bed), NewHost(bed)
    between.told()
    seen = introduction.fingerprint(host.pair[1], host.sealing_key, signing.generate_identity()[1])
    assert approve(bed, introduction.shown(seen, host.code)).status_code == 404
    assert between.told().state == "pending"


def test_a_wrong_code_gives_a_proof_that_the_host_refuses(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    approve(bed, introduction.shown(host.fingerprint, b"another"))
    follower = bed.stored_follower("web-7")
    right = introduction.approval(introduction.code_text(host.code), host.fingerprint, follower.id)
    assert host.told().proof != right


def test_a_host_is_approved_into_an_invited_follower_with_its_grants(bed: Bed) -> None:
    bed.ask("PUT", "/v1/followers/shop-1", {"grants": {"request": ["shop.example.com"]}})
    host = NewHost(bed)
    host.told()
    assert approve(bed, host.shown, name="shop-1").status_code == 200
    assert [grant.name for grant in bed.stored_follower("shop-1").grants] == ["shop.example.com"]


def test_a_host_is_not_approved_into_a_follower_that_is_enrolled(bed: Bed) -> None:
    bed.follower("web-7")
    host = NewHost(bed)
    host.told()
    refused = approve(bed, host.shown)
    assert refused.status_code == 409
    assert "certline follower token web-7 --replace" in refused.json()["detail"]
    assert host.told().state == "pending"


def test_approving_twice_finds_nobody_waiting(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    approve(bed, host.shown)
    assert approve(bed, host.shown).status_code == 404


def test_a_rejected_host_waits_no_more(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    assert bed.ask("POST", f"{PATH}/reject", {"fingerprint": host.fingerprint}).status_code == 204
    assert waiting(bed) == []
    assert bed.ask("POST", f"{PATH}/reject", {"fingerprint": host.fingerprint}).status_code == 404
    assert len(bed.events("introduction.rejected")) == 1


def test_a_host_waits_an_hour_and_then_has_to_introduce_itself_again(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    bed.clock.advance(timedelta(hours=1))
    assert waiting(bed) == []
    assert approve(bed, host.shown).status_code == 404
    host.told()
    assert approve(bed, host.shown).status_code == 200


@pytest.mark.parametrize("state", [FollowerState.SUSPENDED, FollowerState.REVOKED])
def test_an_approval_ends_with_the_follower(bed: Bed, state: FollowerState) -> None:
    host = NewHost(bed)
    host.told()
    approve(bed, host.shown)
    bed.set_state("web-7", state)
    assert host.introduce().status_code == 401


def test_one_address_cannot_fill_the_table_and_all_together_are_bounded(
    bed: Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certline_master.api.introductions.MOST_FROM_ONE", 3)
    assert [NewHost(bed, f"web-{number}").introduce().status_code for number in range(3)] == [200] * 3
    refused = NewHost(bed).introduce()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "60")
    assert len(waiting(bed)) == 3


def test_one_address_is_heard_once_a_second(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    assert host.bed.http.post(PATH, content=b"{}", headers={"Host": HOST}).status_code == 429


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "../etc"}, "/name"),
        ({"protocol": 2}, "/protocol"),
        ({"agent": "a" * 101}, "/agent"),
        ({"sealing_suite": "rot13"}, "/sealing_suite"),
        ({"sealing_key": b"short"}, "/sealing_key"),
    ],
)
def test_an_introduction_that_cannot_be_used_names_the_field(bed: Bed, changes: dict[str, Any], field: str) -> None:
    answer = NewHost(bed).introduce(**changes)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert waiting(bed) == []


@pytest.mark.parametrize("how", ["another key", "another key id"])
def test_an_introduction_that_its_key_did_not_sign_is_refused(bed: Bed, how: str) -> None:
    other = signing.generate_identity()
    host = NewHost(bed)
    answer = (
        host.introduce(key=other[0]) if how == "another key" else host.introduce(keyid=signing.thumbprint(other[1]))
    )
    assert answer.status_code == 401
    assert waiting(bed) == []


def test_another_name_or_sealing_key_begins_anew(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    host.sealing_key = sealing.generate()[1]
    host.told()
    assert waiting(bed) == [host.fingerprint]


def test_a_viewer_sees_who_waits_and_approves_nobody(bed: Bed) -> None:
    host = NewHost(bed)
    host.told()
    assert bed.ask("GET", PATH, role=Role.VIEWER).status_code == 200
    refused = bed.ask("POST", f"{PATH}/approve", {"fingerprint": host.shown}, role=Role.VIEWER)
    assert refused.status_code == 403


# --- keys known beforehand --------------------------------------------------------------------------------------------


def by_keys(bed: Bed, host: NewHost, name: str = "web-7", **more: object) -> httpx.Response:
    return bed.ask("POST", f"/v1/followers/{name}/keys", {"keys": introduction.keys_text(host.keys), **more})


def test_a_host_whose_keys_are_known_is_let_in_at_once(bed: Bed) -> None:
    bed.ask("PUT", "/v1/followers/web-7", {})
    host = NewHost(bed)
    join = introduction.join_of(by_keys(bed, host).json()["join"])
    follower = bed.stored_follower("web-7")
    assert (join.origin, join.follower, join.follower_id) == ("https://master.example", "web-7", follower.id)
    assert (join.signing_keys, join.tls_pins, join.trust, join.epoch) == ((MASTER_PUBLIC,), ("ab" * 32,), "pin", 1)
    assert join.identity_thumbprint == signing.thumbprint(host.pair[1])
    client = FollowerClient(bed, *host.pair, name="web-7", follower_id=join.follower_id)
    assert client.manifest().status_code == 200
    assert len(bed.events("follower.enrolled")) == 1


def test_the_same_keys_again_get_the_same_string(bed: Bed) -> None:
    bed.ask("PUT", "/v1/followers/web-7", {})
    host = NewHost(bed)
    assert by_keys(bed, host).json() == by_keys(bed, host).json()
    assert len(bed.events("follower.enrolled")) == 1


def test_other_keys_do_not_take_an_enrolled_followers_place(bed: Bed) -> None:
    bed.ask("PUT", "/v1/followers/web-7", {})
    host = NewHost(bed)
    by_keys(bed, host)
    refused = by_keys(bed, NewHost(bed))
    assert refused.status_code == 409
    assert "--replace" in refused.json()["detail"]
    assert bed.stored_follower("web-7").identity_key == host.pair[1]


def test_a_token_made_before_does_not_put_another_host_in_its_place(bed: Bed) -> None:
    bed.ask("PUT", "/v1/followers/web-7", {})
    string = bed.enrolment_string("web-7")
    by_keys(bed, NewHost(bed))
    assert TokenHost(bed, string).enrol().status_code == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [({"keys": "hello"}, "/keys"), ({"keys": "certline-follower-1.AAAA"}, "/keys")],
)
def test_a_string_that_is_none_names_the_field(bed: Bed, body: object, field: str) -> None:
    bed.ask("PUT", "/v1/followers/web-7", {})
    answer = bed.ask("POST", "/v1/followers/web-7/keys", body)
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_join_string_names_one_of_the_masters_origins(bed: Bed) -> None:
    bed.ask("PUT", "/v1/followers/web-7", {})
    refused = by_keys(bed, NewHost(bed), origin="https://elsewhere.example")
    assert refused.json()["errors"][0]["field"] == "/origin"
    assert bed.stored_follower("web-7").state is FollowerState.INVITED
