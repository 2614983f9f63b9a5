"""How the API refuses: tokens that are not good, input that cannot be read; and what its own description promises.

Who may call what is in test_access_matrix.py.
"""

from collections.abc import Iterator

import pytest

from certline_master.api.openapi import operations
from certline_master.domain.access import SYSTEM, Role
from tests.integration.api_bed import Bed, running_master, sqlite_url


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path_factory.mktemp("master"))) as running:
        yield running


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
        ("POST", "/v1/fleet/plan", b" " * 8_400_000, 413, "too-large"),
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
