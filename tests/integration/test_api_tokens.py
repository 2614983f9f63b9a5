"""Admin tokens over real HTTP: made, scoped, exchanged, revoked; read from one header, kept as a hash, not in a URL."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from certline_master.domain.access import SYSTEM, Role
from certline_master.store.opening import SqlStore
from certline_master.store.records import session_of
from certline_master.store.tables import admin_tokens
from tests.integration.api_bed import Bed, running_master, sqlite_url


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        yield running


def made(bed: Bed, name: str = "ci", **body: Any) -> dict[str, Any]:
    answer = bed.ask("POST", f"/v1/tokens/{name}", {"role": "viewer"} | body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def used(bed: Bed, token: str, method: str = "GET", path: str = "/v1/whoami", **more: Any) -> httpx.Response:
    return bed.http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **more)


def stored(bed: Bed, name: str = "ci") -> Any:
    assert isinstance(bed.store, SqlStore)
    with bed.store.read() as records:
        return session_of(records).row(admin_tokens.select().where(admin_tokens.c.name == name))


def test_a_token_is_good_for_its_role_and_no_more(bed: Bed) -> None:
    token = made(bed, role="operator")["token"]
    assert used(bed, token).json() == {"name": "ci", "role": "operator"} | used(bed, token).json()
    assert used(bed, token, "PUT", "/v1/followers/web-9", content=b"{}").status_code == 200
    assert used(bed, token, "GET", "/v1/tokens").status_code == 403


def test_only_a_hash_of_it_is_kept_and_it_is_shown_once(bed: Bed) -> None:
    token = made(bed)["token"]
    row = stored(bed)
    assert row.sha256 == hashlib.sha256(token.encode()).digest()
    assert token.split("_")[2] not in str(row)
    assert token not in bed.ask("GET", "/v1/tokens").text
    assert all(token not in str(event) for event in bed.events("token.made"))


def test_it_ends_after_a_year_unless_told_otherwise(bed: Bed) -> None:
    now = bed.clock.now().replace(microsecond=0)
    ends = {name: made(bed, name, **body)["expires"] for name, body in _LIVES.items()}
    assert ends["usual"] == (now + timedelta(days=365)).isoformat().replace("+00:00", "Z")
    assert ends["short"] == (now + timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    assert ends["endless"] is None


_LIVES: dict[str, dict[str, Any]] = {"usual": {}, "short": {"ttl_seconds": 3600}, "endless": {"forever": True}}


def test_it_is_good_until_it_expires(bed: Bed) -> None:
    token = made(bed, ttl_seconds=60)["token"]
    assert used(bed, token).status_code == 200
    bed.clock.advance(60)
    assert used(bed, token).status_code == 401
    assert bed.events("admin.refused")[0].data["reason"] == "expired token"


def test_it_is_good_only_from_its_networks(bed: Bed) -> None:
    here, elsewhere = made(bed, "here", networks=["127.0.0.0/8"]), made(bed, "elsewhere", networks=["192.0.2.0/24"])
    assert used(bed, here["token"]).status_code == 200
    refused = used(bed, elsewhere["token"])
    unknown = used(bed, f"certline_00000000_{'A' * 43}")
    assert (refused.status_code, refused.content) == (unknown.status_code, unknown.content)
    assert {event.data["reason"] for event in bed.events("admin.refused")} == {
        "token from another network",
        "unknown token",
    }


def test_old_and_new_are_good_for_a_while_after_rotation(bed: Bed) -> None:
    old = made(bed, role="operator", networks=["127.0.0.0/8"])
    answer = bed.ask("POST", "/v1/tokens/ci/rotate", {"overlap_seconds": 3600}).json()
    assert (answer["name"], answer["role"], answer["networks"]) == ("ci", "operator", ["127.0.0.0/8"])
    assert [used(bed, token).status_code for token in (old["token"], answer["token"])] == [200, 200]
    bed.clock.advance(3600)
    assert [used(bed, token).status_code for token in (old["token"], answer["token"])] == [401, 200]


def test_what_a_rotation_ends_is_on_record_and_can_be_named(bed: Bed) -> None:
    prefix = made(bed)["prefix"]
    bed.ask("POST", "/v1/tokens/ci/rotate", {})
    bed.ask("POST", "/v1/tokens/ci/rotate", {})
    (event,) = bed.events("token.revoked")
    assert (event.subject, event.data["prefix"]) == ("token:ci.before", prefix)
    made(bed, "c" * 63)
    assert bed.ask("POST", f"/v1/tokens/{'c' * 63}/rotate", {}).status_code == 409


def test_rotating_again_ends_the_one_before_the_one_before(bed: Bed) -> None:
    first = made(bed)["token"]
    second = bed.ask("POST", "/v1/tokens/ci/rotate", {}).json()["token"]
    third = bed.ask("POST", "/v1/tokens/ci/rotate", {}).json()["token"]
    assert [used(bed, token).status_code for token in (first, second, third)] == [401, 200, 200]


def test_an_overlap_does_not_lengthen_a_life(bed: Bed) -> None:
    old = made(bed, ttl_seconds=60)["token"]
    bed.ask("POST", "/v1/tokens/ci/rotate", {"overlap_seconds": 86400})
    bed.clock.advance(60)
    assert used(bed, old).status_code == 401


def test_a_revoked_token_ends_at_its_next_use_and_its_name_is_free(bed: Bed) -> None:
    token = made(bed)["token"]
    assert bed.ask("POST", "/v1/tokens/ci/revoke").status_code == 200
    assert used(bed, token).status_code == 401
    assert made(bed)["token"] != token


def test_the_last_valid_token_of_an_admin_is_revoked_only_by_force(bed: Bed) -> None:
    made(bed, "soon-over", role="admin", ttl_seconds=60)
    made(bed, "operator", role="operator")
    bed.clock.advance(61)
    refused = bed.ask("POST", "/v1/tokens/the-admin/revoke")
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "the-admin is the last valid token of an admin: make another first, or use force",
    )
    other = made(bed, "other", role="admin")["token"]
    assert bed.ask("POST", "/v1/tokens/the-admin/revoke").status_code == 200
    assert used(bed, other, "POST", "/v1/tokens/other/revoke", content=b"{}").status_code == 409
    assert used(bed, other, "POST", "/v1/tokens/other/revoke", content=b'{"force":true}').status_code == 200


def test_when_it_was_last_used_is_written_once_a_minute(bed: Bed) -> None:
    token, seen = made(bed)["token"], []
    for _ in range(4):
        used(bed, token)
        seen.append(stored(bed).last_used)
        bed.clock.advance(20)
    start = seen[0]
    assert seen == [start, start, start, start + timedelta(seconds=60)]


@pytest.mark.parametrize("query", ["access_token={}", "x=1&token={}", "q=Bearer+{}"])
def test_a_token_in_a_url_is_refused_whatever_the_header_says_and_not_put_on_record(bed: Bed, query: str) -> None:
    token = made(bed)["token"]
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        answer = bed.http.get(f"/v1/status?{query.format(token)}", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:certline:problem:bad-message")
        assert "never stands in a URL" in answer.json()["detail"]
        assert token not in answer.text
    with bed.store.read() as records:
        assert all(token not in str(event) for event in records.events.all(SYSTEM, limit=1000))


@pytest.mark.parametrize("header", ["X-Api-Key", "Cookie", "Proxy-Authorization", "X-Auth-Token"])
def test_no_other_header_is_read(bed: Bed, header: str) -> None:
    token = made(bed)["token"]
    assert bed.http.get("/v1/whoami", headers={header: f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "/role"),
        ({"role": "system"}, "/role"),
        ({"role": "follower"}, "/role"),
        ({"role": "viewer", "ttl_seconds": 59}, "/ttl_seconds"),
        ({"role": "viewer", "ttl_seconds": 60, "forever": True}, "/forever"),
        ({"role": "viewer", "networks": ["10.0.0.1/8"]}, "/networks/0"),
        ({"role": "viewer", "networks": ["10.0.0.0/8", "x"]}, "/networks/1"),
        ({"role": "viewer", "token": "certline_mine"}, "/token"),
    ],
)
def test_wrong_input_is_told_by_its_field(bed: Bed, body: dict[str, Any], field: str) -> None:
    answer = bed.ask("POST", "/v1/tokens/ci", body)
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_every_change_is_on_record_with_who_did_it(bed: Bed) -> None:
    made(bed)
    bed.ask("POST", "/v1/tokens/ci/rotate", {})
    bed.ask("POST", "/v1/tokens/ci/revoke", {})
    for kind in ("token.made", "token.rotated", "token.revoked"):
        (event,) = bed.events(kind)
        assert (event.actor, event.subject) == ("admin:the-admin", "token:ci")


def test_guessing_is_slowed_down_for_the_address_but_good_tokens_pass(bed: Bed) -> None:
    guess = {"Authorization": f"Bearer certline_00000000_{'A' * 43}"}
    statuses = [bed.http.get("/v1/whoami", headers=guess).status_code for _ in range(70)]
    assert statuses == [401] * 60 + [429] * 10
    assert bed.ask("GET", "/v1/whoami", role=Role.VIEWER).status_code == 200
    assert len(bed.events("admin.refused")) == 1
