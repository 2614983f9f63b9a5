"""Each way in which a follower's request can be wrong is refused, with one reason on record and one text for all."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta

import httpx
import pytest

from certline_master.domain.model import FollowerState
from certline_shared.messages import LineWish, encode, time_text
from certline_shared.signing import generate_identity
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import JSON, FollowerClient, check_signature

PATH = "/v1/follower/lines/blog"
BODY = encode(LineWish(("blog.example.com",)))
MANIFEST = "/v1/follower/manifest"
OWN = "Zm9sbG93ZXItbm9uY2UtMg"

Headers = dict[str, str]


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path_factory.mktemp("master"))) as running:
        running.ask("PUT", "/v1/zones/example.com", {"solver": "rfc2136"})
        yield running


@pytest.fixture
def host(bed: Bed) -> FollowerClient:
    """A follower of the test's own, so that its refusals are told apart."""
    return bed.follower(f"web-{bed.engine.chance.uuid()[:8]}")


def reasons(bed: Bed, host: FollowerClient) -> list[str]:
    refusals = bed.events("follower.refused")
    return [event.data["reason"] for event in refusals if event.subject == f"follower:{host.name}"]


def unknown_reasons(bed: Bed) -> list[str]:
    return [event.data["reason"] for event in bed.events("follower.refused") if event.subject == "address:127.0.0.1"]


def put(host: FollowerClient, headers: Headers, body: bytes = BODY) -> httpx.Response:
    return host.send("PUT", PATH, headers, body)


REFUSED_TEXT = "the request is not signed as this master expects"


def is_the_one_refusal(answer: httpx.Response) -> bool:
    problem = answer.json()
    return (answer.status_code, problem["type"], problem["detail"]) == (
        401,
        "urn:certline:problem:unauthorized",
        REFUSED_TEXT,
    )


def replaced(name: str, pattern: str, by: "str | Callable[[re.Match[str]], str]") -> Callable[[Headers], Headers]:
    def change(headers: Headers) -> Headers:
        changed = re.sub(pattern, by, headers[name])
        assert changed != headers[name]
        return {**headers, name: changed}

    return change


def without(name: str) -> Callable[[Headers], Headers]:
    return lambda headers: {key: value for key, value in headers.items() if key != name}


MALFORMED: Mapping[str, tuple[Callable[[Headers], Headers], str]] = {
    "no @method": (replaced("Signature-Input", '"@method" ', ""), "other components"),
    "no @authority": (replaced("Signature-Input", '"@authority" ', ""), "other components"),
    "no @path": (replaced("Signature-Input", '"@path" ', ""), "other components"),
    "no @query": (replaced("Signature-Input", '"@query" ', ""), "other components"),
    "no content-type": (replaced("Signature-Input", '"content-type" ', ""), "other components"),
    "no content-digest": (replaced("Signature-Input", ' "content-digest"', ""), "other components"),
    "other tag": (replaced("Signature-Input", "certline/1", "certline/0"), "other tag"),
    "other algorithm": (replaced("Signature-Input", "ed25519", "hmac-sha256"), "other algorithm"),
    "algorithm in upper case": (replaced("Signature-Input", "ed25519", "ED25519"), "other algorithm"),
    "component in upper case": (replaced("Signature-Input", "@path", "@Path"), "other components"),
    "other label": (replaced("Signature-Input", "^sig=", "sig2="), "other label"),
    "two signatures in one header": (
        lambda headers: {**headers, "Signature-Input": f"{headers['Signature-Input']}, sig2=()"},
        "malformed or more than one signature",
    ),
    "no signature at all": (without("Signature-Input"), "signature missing"),
    "other host": (lambda headers: {**headers, "Host": "evil.example"}, "other authority"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_signature_of_another_form_is_refused_before_its_key_is_looked_up(bed: Bed, case: str) -> None:
    bed.clock.advance(61)
    host, (change, reason) = FollowerClient(bed, *generate_identity()), MALFORMED[case]
    before = unknown_reasons(bed).count(reason)
    answer = put(host, change(host.signed("PUT", PATH, BODY)))
    assert is_the_one_refusal(answer)
    assert unknown_reasons(bed).count(reason) == before + 1
    assert "Signature" not in answer.headers


FALSE: Mapping[str, tuple[Callable[[Headers], Headers], str]] = {
    "another's signature": (
        replaced("Signature", "sig=:.{4}", "sig=:AAAA"),
        "signature does not hold",
    ),
    "no Signature header": (without("Signature"), "signature header missing, malformed or doubled"),
    "digest of another body": (
        replaced("Content-Digest", "sha-256=:.{4}", "sha-256=:AAAA"),
        "signature does not hold",
    ),
    "other content type": (lambda headers: {**headers, "Content-Type": "text/plain"}, "signature does not hold"),
    "other created": (
        replaced("Signature-Input", r"\d(?=;nonce)", lambda digit: str(int(digit[0]) ^ 1)),
        "signature does not hold",
    ),
    "other nonce": (replaced("Signature-Input", 'nonce="[^"]*"', 'nonce="other"'), "signature does not hold"),
}


@pytest.mark.parametrize("case", FALSE)
def test_a_signature_that_does_not_fit_is_refused_with_its_reason(bed: Bed, host: FollowerClient, case: str) -> None:
    change, reason = FALSE[case]
    answer = put(host, change(host.signed("PUT", PATH, BODY, created=bed.clock.now())))
    assert is_the_one_refusal(answer)
    assert reasons(bed, host) == [reason]


def test_a_body_swapped_under_a_right_digest_is_refused(bed: Bed, host: FollowerClient) -> None:
    headers = host.signed("PUT", PATH, BODY)
    assert is_the_one_refusal(put(host, headers, BODY.replace(b"blog", b"evil")))
    assert reasons(bed, host) == ["body changed"]


def test_two_signature_headers_are_refused(bed: Bed, host: FollowerClient) -> None:
    headers = [*host.signed("PUT", PATH, BODY).items()]
    headers.append(("Signature", dict(headers)["Signature"]))
    answer = bed.http.request("PUT", PATH, headers=headers, content=BODY)
    assert is_the_one_refusal(answer)
    assert reasons(bed, host) == ["signature header missing, malformed or doubled"]


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [("DELETE", PATH, ""), ("PUT", f"{PATH}2", ""), ("PUT", PATH, "a=b")],
    ids=["method", "path", "query"],
)
def test_a_signature_for_another_target_is_refused(
    bed: Bed, host: FollowerClient, method: str, path: str, query: str
) -> None:
    headers = host.signed("PUT", PATH, BODY)
    answer = host.send(method, f"{path}?{query}" if query else path, headers, BODY)
    assert is_the_one_refusal(answer)
    assert reasons(bed, host) == ["signature does not hold"]


def test_a_body_that_no_signature_covers_is_refused(bed: Bed, host: FollowerClient) -> None:
    headers = host.signed("PUT", PATH) | {"Content-Type": JSON}
    assert is_the_one_refusal(put(host, headers))
    assert reasons(bed, host) == ["digest missing"]


def test_an_unknown_key_id_is_refused_like_all_else(bed: Bed) -> None:
    stranger = FollowerClient(bed, *generate_identity())
    assert is_the_one_refusal(put(stranger, stranger.signed("PUT", PATH, BODY)))
    assert "unknown key" in unknown_reasons(bed)


def test_another_followers_key_id_does_not_help(bed: Bed, host: FollowerClient) -> None:
    other = bed.follower(f"other-{host.name}")
    answer = put(other, other.signed("PUT", PATH, BODY, keyid=host.follower_id))
    assert is_the_one_refusal(answer)
    assert reasons(bed, host) == ["signature does not hold"]


def test_a_nonce_is_good_for_one_change(bed: Bed, host: FollowerClient) -> None:
    headers = host.signed("PUT", PATH, BODY)
    assert put(host, headers).status_code == 200
    assert is_the_one_refusal(put(host, headers))
    assert reasons(bed, host) == ["replayed nonce"]


def test_reading_may_be_repeated_while_it_is_fresh(host: FollowerClient) -> None:
    headers = host.signed("GET", MANIFEST)
    assert host.send("GET", MANIFEST, headers).status_code == 200
    assert host.send("GET", MANIFEST, headers).status_code == 200


@pytest.mark.parametrize("wrong", [timedelta(seconds=61), timedelta(days=3653)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_wrong_clock_is_helped_by_the_masters_nonce(
    bed: Bed, host: FollowerClient, wrong: timedelta, sign: int
) -> None:
    created = bed.clock.now() + sign * wrong
    stale = host.send("GET", MANIFEST, host.signed("GET", MANIFEST, created=created, nonce="first"))
    assert (stale.status_code, stale.json()["type"]) == (401, "urn:certline:problem:stale")
    assert time_text(bed.clock.now()) in stale.json()["detail"]
    check_signature(stale, "first")
    again = host.signed("GET", MANIFEST, created=created, nonce=f"{stale.headers['Certline-Nonce']}.{OWN}")
    assert host.send("GET", MANIFEST, again).status_code == 200
    assert reasons(bed, host) == ["stale"]


@pytest.mark.parametrize("own", ["", ".", ".tooshort"])
def test_the_masters_nonce_without_a_fresh_part_of_the_hosts_is_refused(
    bed: Bed, host: FollowerClient, own: str
) -> None:
    created = bed.clock.now() - timedelta(days=1)
    stale = host.send("GET", MANIFEST, host.signed("GET", MANIFEST, created=created))
    bare = host.signed("GET", MANIFEST, created=created, nonce=stale.headers["Certline-Nonce"] + own)
    assert host.send("GET", MANIFEST, bare).json()["type"] == "urn:certline:problem:stale"


def test_the_masters_nonce_is_for_one_follower_for_five_minutes_and_for_one_change(
    bed: Bed, host: FollowerClient
) -> None:
    other = bed.follower(f"other-{host.name}")
    created = bed.clock.now() - timedelta(days=1)
    nonce = put(host, host.signed("PUT", PATH, BODY, created=created)).headers["Certline-Nonce"] + f".{OWN}"
    assert put(other, other.signed("PUT", PATH, BODY, created=created, nonce=nonce)).status_code == 401
    assert put(host, host.signed("PUT", PATH, BODY, created=created, nonce=nonce)).status_code == 200
    assert is_the_one_refusal(put(host, host.signed("PUT", PATH, BODY, created=created, nonce=nonce)))
    bed.clock.advance(timedelta(minutes=7))
    late = host.send("GET", MANIFEST, host.signed("GET", MANIFEST, created=created, nonce=nonce))
    assert late.json()["type"] == "urn:certline:problem:stale"


def test_a_revoked_follower_is_refused_at_its_next_request(bed: Bed, host: FollowerClient) -> None:
    assert host.manifest().status_code == 200
    bed.ask("POST", f"/v1/followers/{host.name}/revoke")
    refused = host.manifest()
    assert (refused.status_code, refused.json()["type"]) == (401, "urn:certline:problem:revoked")
    assert reasons(bed, host) == ["revoked"]


def test_a_suspended_follower_is_told_so(bed: Bed, host: FollowerClient) -> None:
    bed.set_state(host.name, FollowerState.SUSPENDED)
    refused = host.manifest()
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:certline:problem:suspended")
    assert reasons(bed, host) == ["suspended"]


def test_a_flood_of_refusals_leaves_one_record_a_minute(bed: Bed, host: FollowerClient) -> None:
    for _ in range(20):
        put(host, host.signed("PUT", PATH, BODY) | {"Content-Type": "text/plain"})
    assert reasons(bed, host) == ["signature does not hold"]
    bed.clock.advance(61)
    put(host, host.signed("PUT", PATH, BODY) | {"Content-Type": "text/plain"})
    assert reasons(bed, host) == ["signature does not hold"] * 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/follower/none", b"", 404),
        ("DELETE", MANIFEST, b"", 405),
        ("PUT", PATH, b'{"names": ["a"', 400),
        ("PUT", PATH, b'{"names": null, "names": null}', 400),
        ("PUT", PATH, b"[" * 100 + b"]" * 100, 400),
        ("PUT", PATH, b'{"names": ["blog.example.com"], "x": 1e999}', 400),
        ("PUT", "/v1/follower/lines/Bad%20Name", BODY, 422),
    ],
)
def test_errors_to_a_follower_are_signed_problem_documents(
    host: FollowerClient, method: str, path: str, body: bytes, status: int
) -> None:
    answer = host.ask(method, path, body)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_a_body_over_the_limit_is_refused_before_anything_else(bed: Bed, host: FollowerClient) -> None:
    body = b'{"names":["' + b"a" * 70_000 + b'"]}'
    answer = put(host, host.signed("PUT", PATH, body), body)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:certline:problem:too-large")
    assert reasons(bed, host) == []


def test_a_body_over_the_limit_without_a_length_is_cut_too(host: FollowerClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b"a" * 1000

    headers = host.signed("PUT", PATH, BODY)
    answer = host.bed.http.request("PUT", PATH, headers=headers, content=pieces())
    assert answer.status_code == 413


def test_the_admin_token_opens_no_followers_route(bed: Bed) -> None:
    assert bed.ask("GET", MANIFEST).status_code == 401


def test_a_followers_signature_opens_no_admin_route(host: FollowerClient) -> None:
    answer = host.send("GET", "/v1/status", host.signed("GET", "/v1/status"))
    assert answer.status_code == 401


def test_forwarded_headers_change_nothing(host: FollowerClient) -> None:
    headers = host.signed("GET", MANIFEST) | {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    assert host.send("GET", MANIFEST, headers).status_code == 200
    evil = host.signed("GET", MANIFEST) | {"Host": "evil.example", "X-Forwarded-Host": "master.example"}
    assert is_the_one_refusal(host.send("GET", MANIFEST, evil))
