"""Every route, every kind of caller, every kind of object: the answer has the status that access_matrix.py says."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from certline_master.api.app import build_app
from certline_master.api.openapi import operations
from certline_master.domain.access import LEAST, SYSTEM, Role
from certline_master.domain.model import FollowerState
from certline_shared import signing
from certline_shared.codec import canonical
from tests.integration import access_objects as objects
from tests.integration.access_matrix import BODIES, CALLERS, FOLLOWERS, OBJECTS, PEOPLE, ROWS, STRANGERS
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient, NewHost

pytestmark = pytest.mark.filterwarnings("error")


@dataclass(frozen=True, slots=True)
class Scene:
    """A master, and credentials that were good once."""

    bed: Bed
    expired_token: str
    revoked_token: str
    used: NewHost
    over: NewHost


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running_master(sqlite_url(tmp_path_factory.mktemp("master"))) as bed:
        yield _scene(bed)


def _scene(bed: Bed) -> Scene:
    expired, _ = bed.new_token(Role.ADMIN, seconds=60)
    revoked, token_id = bed.new_token(Role.ADMIN, seconds=6000)
    bed.store.write(lambda records: records.tokens.revoke(SYSTEM, token_id, bed.clock.now()))
    hosts = []
    for name in ("was-used", "is-over"):
        bed.ask("PUT", f"/v1/followers/{name}", {})
        hosts.append(NewHost(bed, bed.enrolment_string(name)))
    used, over = hosts
    assert used.enrol().status_code == 200
    bed.clock.advance(timedelta(hours=1).total_seconds())
    return Scene(bed, expired, revoked, NewHost(bed, used.string), over)


@dataclass(frozen=True, slots=True)
class Case:
    """One route, and a host whose objects are the caller's own."""

    scene: Scene
    route: str
    host: FollowerClient

    @property
    def method(self) -> str:
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        return self.route.partition(" ")[2]

    def place(self, whose: str) -> objects.Place:
        """What the path names: an object of that kind of owner, or nothing."""
        if "{" not in self.path:
            return {}
        make = objects.maker_of(self.path)
        if whose == "own":
            return make(self.scene.bed, self.host)
        others = make(self.scene.bed, _host(self.scene.bed))
        return others if whose == "foreign" else objects.nothing_like(others)

    def ask(self, caller: str, place: objects.Place) -> httpx.Response:
        path = objects.path_with(self.path, place)
        body = canonical(BODIES.get(self.route, {})) if self.method in ("PUT", "POST") else b""
        if caller in ("used token", "expired token"):
            return self._with_token(self.scene.used if caller == "used token" else self.scene.over, path, body)
        if caller in FOLLOWERS:
            return self._as_follower(caller, path, body)
        return self._as_people(caller, path, body)

    def _with_token(self, host: NewHost, path: str, body: bytes) -> httpx.Response:
        if path == "/v1/enroll":
            return host.enrol()
        bed = self.scene.bed
        client = FollowerClient(bed, host.private, host.public, follower_id=host.string.token_id)
        return client.send(self.method, path, client.signed(self.method, path, body), body)

    def _as_follower(self, caller: str, path: str, body: bytes) -> httpx.Response:
        host = _host(self.scene.bed) if caller == "other follower" else self.host
        if caller in ("suspended", "revoked"):
            self.scene.bed.set_state(host.name, FollowerState(caller))
        return host.send(self.method, path, host.signed(self.method, path, body), body)

    def _as_people(self, caller: str, path: str, body: bytes) -> httpx.Response:
        tokens = {
            "garbage": f"certline_deadbeef_{'A' * 43}",
            "expired admin token": self.scene.expired_token,
            "revoked admin token": self.scene.revoked_token,
        } | {str(role): token for role, token in self.scene.bed.tokens.items()}
        headers = {"Authorization": f"Bearer {tokens[caller]}"} if caller in tokens else {}
        return self.scene.bed.http.request(self.method, path, headers=headers, content=body or None)


def _host(bed: Bed) -> FollowerClient:
    return bed.follower(f"host-{bed.engine.chance.uuid()[:8]}")


def _case(scene: Scene, route: str) -> Case:
    scene.bed.clock.advance(61)  # past every limit, and fresh records of refusals
    return Case(scene, route, _host(scene.bed))


def test_every_route_has_a_row(scene: Scene) -> None:
    served = {f"{method.upper()} {path}" for method, path, _ in operations(scene.bed.app.openapi())}
    assert served == set(ROWS), "add the new route to tests/integration/access_matrix.py"


def test_every_kind_of_caller_is_asked_about() -> None:
    assert set(CALLERS) == {*STRANGERS, *FOLLOWERS, *PEOPLE}
    assert {role for role in Role if role not in (Role.SYSTEM, Role.FOLLOWER)} == {Role(one) for one in PEOPLE}
    assert all(set(row) == set(CALLERS) for row in ROWS.values())


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", ROWS)
def test_each_caller_gets_the_status_written_by_hand(scene: Scene, route: str, caller: str) -> None:
    expected, seen = ROWS[route][caller], {}
    for whose in OBJECTS if "{" in route else OBJECTS[:1]:
        case = _case(scene, route)
        answer = case.ask(caller, case.place(whose))
        seen[whose] = answer.status_code
        assert answer.status_code == getattr(expected, whose), f"{route}, {whose}: {answer.text}"
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"


_NAMED = [route for route in ROWS if route.partition(" ")[2].startswith("/v1/follower/") and "{" in route]


@pytest.mark.parametrize("route", _NAMED)
def test_foreign_and_missing_are_answered_with_the_same_bytes(scene: Scene, route: str) -> None:
    case = _case(scene, route)
    foreign = case.place("foreign")
    missing = objects.nothing_like(foreign)
    assert foreign != missing
    answers = [_without(case.ask("follower", place), place) for place in (foreign, missing)]
    assert answers[0] == answers[1]
    own = case.place("own")
    assert _without(case.ask("follower", own), own) != answers[0]


def _without(answer: httpx.Response, place: objects.Place) -> Any:
    """All of an answer but the name that was asked for, and what is never twice the same: date, signature, digest."""
    text = answer.text
    for key, value in place.items():
        text = text.replace(value, key.upper()) if key != "number" else text
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("date", "signature", "signature-input", "content-digest")
    }
    return answer.status_code, text, headers, "signature" in answer.headers


def test_a_route_without_a_row_cannot_be_served(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(LEAST, ("GET", "/healthz"))
    with pytest.raises(LookupError, match="/healthz"):
        build_app(scene.bed.services)


def test_a_caller_whose_key_is_another_followers_is_not_that_follower(scene: Scene) -> None:
    """Signed by one host in the name of another: nothing of either is given."""
    mine, theirs = _host(scene.bed), _host(scene.bed)
    headers = mine.signed("GET", "/v1/follower/manifest", keyid=theirs.follower_id)
    answer = mine.send("GET", "/v1/follower/manifest", headers)
    assert answer.status_code == 401
    assert answer.json()["type"] == "urn:certline:problem:unauthorized"
    stranger = FollowerClient(scene.bed, *signing.generate_identity())
    unknown = stranger.send("GET", "/v1/follower/manifest", stranger.signed("GET", "/v1/follower/manifest"))
    assert unknown.json() == answer.json()
