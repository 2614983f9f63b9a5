"""Who may call what: every route and every kind of caller, with the expected status written by hand.

The table stands on its own, so that a slip in the code's table is seen; a route without a row here fails.
"""

from collections.abc import Iterator

import httpx
import pytest

from certline_master.api.app import build_app
from certline_master.api.openapi import operations
from certline_master.domain.access import SYSTEM, Role
from certline_master.domain.model import FollowerState
from tests.integration.api_bed import Bed, running_master, sqlite_url

CALLERS = ("nobody", "garbage", "viewer", "operator", "admin", "follower", "suspended", "revoked")

# Statuses in the order of CALLERS. A request is one that changes nothing, or names what is not there: who may go
# through is seen by 2xx, 404, 409 and 422; who may not by 401 and 403.
OPEN = (200,) * 8
READ = (401, 401, 200, 200, 200, 401, 401, 401)
READ_MISSING = (401, 401, 404, 404, 404, 401, 401, 401)
CHANGE = (401, 401, 403, 404, 404, 401, 401, 401)  # operators and admins, of something that is not there
CHANGE_BAD = (401, 401, 403, 422, 422, 401, 401, 401)  # with a body that lacks a member
ADMIN = (401, 401, 403, 403, 404, 401, 401, 401)
ADMIN_BAD = (401, 401, 403, 403, 422, 401, 401, 401)
FOLLOWER = (401, 401, 401, 401, 401, 200, 403, 401)
FOLLOWER_MISSING = (401, 401, 401, 401, 401, 404, 403, 401)
FOLLOWER_BAD = (401, 401, 401, 401, 401, 400, 403, 401)

EXPECTED = {
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /v1/docs": OPEN,
    "POST /v1/enroll": (400,) * 8,
    "GET /v1/follower/manifest": FOLLOWER,
    "PUT /v1/follower/lines/{name}": (401, 401, 401, 401, 401, 422, 403, 401),
    "GET /v1/follower/lines/{name}/versions/{number}": FOLLOWER_MISSING,
    "POST /v1/follower/reports": FOLLOWER_BAD,
    "GET /v1/whoami": READ,
    "GET /v1/status": READ,
    "GET /v1/events": READ,
    "POST /v1/fleet/plan": ADMIN_BAD,
    "POST /v1/fleet/apply": ADMIN_BAD,
    "GET /v1/issuers": READ,
    "GET /v1/issuers/{name}": READ_MISSING,
    "PUT /v1/issuers/{name}": ADMIN_BAD,
    "DELETE /v1/issuers/{name}": ADMIN,
    "GET /v1/zones": READ,
    "GET /v1/zones/{name}": READ_MISSING,
    "PUT /v1/zones/{name}": ADMIN_BAD,
    "DELETE /v1/zones/{name}": ADMIN,
    "GET /v1/http": READ,
    "GET /v1/http/{name}": READ_MISSING,
    "PUT /v1/http/{name}": (401, 401, 403, 403, 200, 401, 401, 401),
    "DELETE /v1/http/{name}": ADMIN,
    "GET /v1/lines": READ,
    "GET /v1/lines/{name}": READ_MISSING,
    "PUT /v1/lines/{name}": CHANGE_BAD,
    "DELETE /v1/lines/{name}": CHANGE,
    "GET /v1/lines/{name}/history": READ_MISSING,
    "POST /v1/lines/{name}/issue": CHANGE,
    "GET /v1/followers": READ,
    "GET /v1/followers/{name}": READ_MISSING,
    "PUT /v1/followers/{name}": (401, 401, 403, 200, 200, 401, 401, 401),
    "DELETE /v1/followers/{name}": CHANGE,
    "POST /v1/followers/{name}/token": CHANGE,
    "POST /v1/followers/{name}/revoke": CHANGE,
}

Caller = dict[str, "httpx.Auth | dict[str, str]"]


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path_factory.mktemp("master"))) as running:
        for name in ("active", "suspended", "revoked"):
            running.follower(name)
        yield running


def path_of(route: str, bed: Bed) -> str:
    """A path on which nothing is; what a PUT makes is made under a name of its own."""
    name = "none.example" if "/http/" in route or "/zones/" in route else "none"
    name = f"made-{bed.engine.chance.uuid()[:8]}.example" if route.startswith("PUT") else name
    return route.partition(" ")[2].format(
        name=name.replace(".example", "") if "/followers" in route else name, number=1
    )


def as_people(bed: Bed, route: str, authorization: str | None) -> httpx.Response:
    method = route.partition(" ")[0]
    headers = {"Authorization": authorization} if authorization else {}
    content = b"{}" if method in ("PUT", "POST") else None
    return bed.http.request(method, path_of(route, bed), headers=headers, content=content)


def as_follower(bed: Bed, route: str, state: FollowerState) -> httpx.Response:
    method = route.partition(" ")[0]
    host = bed.follower(f"host-{bed.engine.chance.uuid()[:8]}")
    bed.set_state(host.name, state)
    path = path_of(route, bed).replace(".example", "")
    body = b"{}" if method in ("PUT", "POST") else b""
    return host.send(method, path, host.signed(method, path, body), body)


def asked(bed: Bed, route: str, caller: str) -> httpx.Response:
    match caller:
        case "nobody":
            return as_people(bed, route, None)
        case "garbage":
            return as_people(bed, route, f"Bearer certline_deadbeef_{'A' * 43}")
        case "follower":
            return as_follower(bed, route, FollowerState.ACTIVE)
        case "suspended" | "revoked":
            return as_follower(bed, route, FollowerState(caller))
    return as_people(bed, route, f"Bearer {bed.tokens[Role(caller)]}")


def test_every_route_has_a_row(bed: Bed) -> None:
    routes = {f"{method.upper()} {path}" for method, path, _ in operations(bed.app.openapi())}
    assert routes == set(EXPECTED)


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", EXPECTED)
def test_each_caller_gets_the_status_written_here(bed: Bed, route: str, caller: str) -> None:
    bed.clock.advance(61)  # the limit of enrolments, and fresh records of refusals
    answer = asked(bed, route, caller)
    assert answer.status_code == EXPECTED[route][CALLERS.index(caller)], answer.text
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_master_with_a_route_that_the_table_lacks_does_not_start(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("certline_master.api.permissions", fromlist=["LEAST"]).LEAST, ("GET", "/healthz"))
    with pytest.raises(LookupError, match="/healthz"):
        build_app(bed.services)


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic dXNlcjpwYXNz",
        "Bearer",
        "Bearer certline_00000000_short",
        f"Bearer certline_zzzzzzzz_{'A' * 43}",
        f"Bearer certline_00000000_{'A' * 43}",
    ],
)
def test_every_wrong_token_gets_the_same_answer(bed: Bed, authorization: str) -> None:
    answer = bed.http.get("/v1/status", headers={"Authorization": authorization})
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.json()["detail"] == "send the header Authorization: Bearer with a valid admin token"


def test_a_token_with_the_right_prefix_and_another_secret_is_refused(bed: Bed) -> None:
    token = bed.tokens[Role.ADMIN]
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert bed.http.get("/v1/status", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
    assert bed.http.get("/v1/status", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_token_is_good_until_it_expires_or_is_revoked(bed: Bed) -> None:
    token, _ = bed.new_token(Role.VIEWER, seconds=60)
    bearer = {"Authorization": f"Bearer {token}"}
    assert bed.http.get("/v1/whoami", headers=bearer).json()["role"] == "viewer"
    bed.clock.advance(60)
    assert bed.http.get("/v1/whoami", headers=bearer).status_code == 401
    token, token_id = bed.new_token(Role.VIEWER, seconds=600)
    bed.store.write(lambda records: records.tokens.revoke(SYSTEM, token_id, bed.clock.now()))
    assert bed.http.get("/v1/whoami", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "kind"),
    [
        ("GET", "/v1/none", None, 404, "not-found"),
        ("GET", "/none", None, 404, "not-found"),
        ("PATCH", "/v1/status", None, 405, "method-not-allowed"),
        ("GET", "/v1/events?limit=many", None, 422, "invalid"),
        ("GET", "/v1/events?subject=x%00y", None, 422, "invalid"),
        ("GET", "/v1/lines/%00", None, 422, "invalid"),
        ("GET", "/v1/lines/..%2F..%2Fetc", None, 404, "not-found"),
        ("GET", "/v1/zones/-bad-", None, 422, "invalid"),
        ("PUT", "/v1/http/a.example.com", b"not json", 400, "bad-message"),
        ("PUT", "/v1/http/a.example.com", b'{"solver": "listener", "solver": "x"}', 400, "bad-message"),
        ("PUT", "/v1/http/a.example.com", b'{"solver": NaN}', 400, "bad-message"),
        ("PUT", "/v1/http/a.example.com", b'{"solver": 1e400}', 400, "bad-message"),
        ("PUT", "/v1/http/a.example.com", b"\xff\xfe", 400, "bad-message"),
        ("PUT", "/v1/http/a.example.com", b'{"a":' * 60 + b"1" + b"}" * 60, 400, "bad-message"),
        ("PUT", "/v1/http/a.example.com", b'{"solverr": "listener"}', 422, "invalid"),
        ("PUT", "/v1/http/a.example.com", b'{"solver": 7}', 422, "invalid"),
        ("PUT", "/v1/http/a.example.com", b"[]", 422, "invalid"),
        ("PUT", "/v1/http/a.example.com", b" " * 70_000, 413, "too-large"),
        ("POST", "/v1/fleet/plan", b" " * 1_100_000, 413, "too-large"),
    ],
)
def test_every_error_is_a_problem_document(
    bed: Bed, method: str, path: str, *, body: bytes | None, status: int, kind: str
) -> None:
    answer = bed.ask(method, path, body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json()["type"] == f"urn:certline:problem:{kind}"
    assert answer.json()["detail"]


def test_a_failure_of_our_own_tells_nothing_of_the_inside(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("the secret inside")

    monkeypatch.setattr(bed.engine.clock, "now", broken)
    answer = bed.http.get("/v1/status", headers={"Authorization": f"Bearer {bed.tokens[Role.ADMIN]}"})
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:certline:problem:internal"
    assert "secret inside" not in answer.text


def test_the_openapi_page_has_an_example_for_every_route_and_loads_nothing_foreign(bed: Bed) -> None:
    made = bed.http.get("/v1/openapi.json").json()
    for method, path, operation in operations(made):
        answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        contents = [content for answer in answers for content in answer.get("content", {}).values()]
        assert contents or "204" in operation["responses"], f"{method} {path} has no example answer"
        assert all("example" in content for content in contents), f"{method} {path}"
        sent = operation.get("requestBody", {}).get("content", {})
        assert all("example" in content for content in sent.values()), f"{method} {path}"
        assert (method == "put") <= bool(sent), f"{method} {path} has no example body"
    page = bed.http.get("/v1/docs")
    assert "POST /v1/fleet/plan" in page.text
    assert "src=" not in page.text
    assert "http://" not in page.text


def test_every_schema_that_the_document_refers_to_is_there(bed: Bed) -> None:
    text = bed.http.get("/v1/openapi.json").text
    schemas = bed.http.get("/v1/openapi.json").json()["components"]["schemas"]
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= set(schemas)
