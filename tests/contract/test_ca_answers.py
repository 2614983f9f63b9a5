"""What a CA answers, when it refuses, contradicts itself or makes no sense."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from certline_master.ca.authorities import AcmeAuthorities
from certline_master.domain.errors import Subproblem
from certline_master.domain.model import FailureClass
from certline_shared.certificates import BadChain, check_issued
from certline_shared.chance import SystemChance
from certline_shared.clock import SystemClock
from tests.contract.ca_bed import Bed
from tests.contract.ca_proxied import (
    DEADLINE,
    PROBLEM,
    Proxied,
    open_one,
    problem,
    protected,
    proxied_pebble,
    refusal,
    unreachable,
)
from tests.testbed.fault_proxy import Answer, Fault, FaultProxy, answer
from tests.testbed.parts import require


@pytest.fixture(scope="module")
def ground() -> Iterator[Proxied]:
    require("pebble")
    with proxied_pebble() as made:
        yield made


@pytest.fixture
def bed(ground: Proxied) -> Iterator[Bed]:
    with ground.fresh_bed() as made:
        yield made


@pytest.fixture
def proxy(ground: Proxied) -> FaultProxy:
    return ground.proxy


BAD_NONCE = b'{"type": "urn:ietf:params:acme:error:badNonce", "detail": "no"}'


def test_a_rate_limit_holds_until_the_time_that_the_ca_names(bed: Bed, proxy: FaultProxy) -> None:
    """Case 36."""
    limit = problem("rateLimited", "too many certificates already issued: see https://ca.example/docs/rate-limits")
    proxy.add(Fault(path="order-plz", reply=answer(429, limit, Retry_After="7200", **PROBLEM)))
    refused = refusal(lambda: open_one(bed))
    assert (refused.type, refused.failure, refused.status) == ("rateLimited", FailureClass.RETRY_AT, 429)
    assert refused.retry_at is not None
    assert abs(refused.retry_at - bed.clock.now() - timedelta(hours=2)) < timedelta(minutes=1)
    assert proxy.count("order-plz") == 1


def test_a_name_that_is_paused_needs_a_person_who_follows_the_link(bed: Bed, proxy: FaultProxy) -> None:
    """Case 36: it comes as a rate limit too."""
    text = "Your account is temporarily prevented from requesting certificates for a.example. Visit: https://portal.ca.example/sfe/v1/unpause?jwt=x"
    proxy.add(Fault(path="order-plz", reply=answer(429, problem("rateLimited", text), **PROBLEM)))
    refused = refusal(lambda: open_one(bed))
    assert refused.failure is FailureClass.NEEDS_PERSON
    assert "https://portal.ca.example/sfe/v1/unpause" in str(refused)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_ca_that_is_down_is_unreachable_until_the_time_it_names(bed: Bed, proxy: FaultProxy, status: int) -> None:
    """Case 37, and 38's HTML page."""
    page = b"<html><h1>Bad Gateway</h1></html>"
    proxy.add(Fault(path="order-plz", times=1, reply=answer(status, page, Retry_After="60", Content_Type="text/html")))
    fault = unreachable(lambda: open_one(bed))
    assert fault.retry_at is not None
    assert abs(fault.retry_at - bed.clock.now() - timedelta(minutes=1)) < timedelta(seconds=10)
    assert str(status) in str(fault)
    assert proxy.count("order-plz") == 1, "trying again is the journal's to decide"
    assert open_one(bed).status == "pending"


@pytest.mark.parametrize(
    "token",
    ["../../x", "", "A" * 21, "A" * 129, "A" * 10_000, '"quotes"' * 4, "A" * 30 + "\n", "A" * 30 + "\0", "A" * 42 + "=",
     "A" * 30 + "/", None, 17, ["A" * 43]],
)  # fmt: skip
def test_a_token_that_is_not_base64url_is_refused_before_any_use(bed: Bed, proxy: FaultProxy, token: object) -> None:
    """D7."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        return body | {"challenges": [one | {"token": token} for one in body["challenges"]]}

    order = open_one(bed)
    proxy.add(Fault(path="authZ", change=lambda found: found.with_json(change)))
    refused = refusal(lambda: bed.ca.authorization(order.authorization_urls[0]))
    assert refused.failure is FailureClass.NEEDS_PERSON
    assert "the CA sent a token that is not base64url" in str(refused)
    assert len(str(refused)) < 300
    assert str(refused).isprintable()
    if isinstance(token, str):
        assert refusal(lambda: bed.ca.dns_value(token)).type == "badToken"


def test_a_kind_of_challenge_that_nobody_knows_yet_does_no_harm(bed: Bed, proxy: FaultProxy) -> None:
    strange: list[Any] = [
        {"type": "carrier-pigeon-07", "url": "URL", "token": "../", "status": "waiting", "error": {"x": []}},
        17,
        {},
    ]

    def change(body: dict[str, Any]) -> dict[str, Any]:
        named = [one | {"url": body["challenges"][0]["url"]} if one == strange[0] else one for one in strange]
        return body | {"challenges": [*named, *body["challenges"]], "status": "odd", "expires": "soon"}

    order = open_one(bed)
    proxy.add(Fault(path="authZ", change=lambda found: found.with_json(change)))
    found = bed.ca.authorization(order.authorization_urls[0])
    pigeon = next(one for one in found.challenges if one.type == "carrier-pigeon-07")
    assert (pigeon.token, pigeon.status) == (None, "waiting")
    assert (found.status, found.expires) == ("odd", None)
    assert "dns-01" in {one.type for one in found.challenges}


@pytest.mark.parametrize("value", ["../etc", "a..b", "localhost", "xn--ls8h-.example", "*.example.org", 17, None])
def test_an_authorization_for_what_is_no_name_is_no_answer(bed: Bed, proxy: FaultProxy, value: object) -> None:
    """A CA's name becomes the name of a DNS record."""
    order = open_one(bed)
    identifier = {"type": "dns", "value": value}
    proxy.add(Fault(path="authZ", change=lambda found: found.with_json(lambda body: body | {"identifier": identifier})))
    unreachable(lambda: bed.ca.authorization(order.authorization_urls[0]))


def test_a_ca_that_takes_no_nonce_at_all_is_given_up_after_a_bounded_number_of_tries(
    bed: Bed, proxy: FaultProxy
) -> None:
    """D3, 100 %."""
    order = open_one(bed)
    nonce = base64.urlsafe_b64encode(b"fresh enough").decode()
    proxy.forget()
    proxy.add(Fault(path="my-order", reply=answer(400, BAD_NONCE, Replay_Nonce=nonce, **PROBLEM)))
    begun = time.perf_counter()
    fault = unreachable(lambda: bed.ca.look(order.url))
    assert time.perf_counter() - begun < 3 * DEADLINE
    assert 20 <= proxy.count("my-order") <= 60
    assert "nonces" in str(fault)


def test_the_nonce_of_a_refusal_is_the_one_used_next(bed: Bed, proxy: FaultProxy) -> None:
    """RFC 8555 section 6.5."""
    order = open_one(bed)
    given = base64.urlsafe_b64encode(b"take this one").decode().rstrip("=")
    proxy.forget()
    proxy.add(Fault(path="my-order", times=1, reply=answer(400, BAD_NONCE, Replay_Nonce=given, **PROBLEM)))
    bed.ca.look(order.url)
    sent = [protected(seen.request.json()) for seen in proxy.exchanges]
    assert sent[1]["nonce"] == given
    assert {one["url"] for one in sent} == {order.url}


def test_an_answer_without_a_nonce_costs_a_request_for_one_later(bed: Bed, proxy: FaultProxy) -> None:
    """Case 38."""
    order = open_one(bed)
    proxy.add(Fault(path="my-order", times=1, change=lambda found: found.without_header("Replay-Nonce")))
    before = bed.counts()
    for _ in range(3):
        bed.ca.look(order.url)
    assert bed.counts() - before == {"order": 3, "newNonce": 1}


@pytest.mark.parametrize("nonce", [None, "no nonce!", "a b", ""])
def test_a_ca_that_has_no_nonce_is_unreachable(bed: Bed, proxy: FaultProxy, nonce: str | None) -> None:
    def change(found: Answer) -> Answer:
        return found.without_header("Replay-Nonce") if nonce is None else found.with_header("Replay-Nonce", nonce)

    proxy.add(Fault(change=change))
    with closing(AcmeAuthorities(SystemClock(), SystemChance())) as fresh:
        client = fresh.of(bed.issuer, bed.account_key)
        assert "nonce" in str(unreachable(lambda: client.open(["a.example.org"], profile="", replaces=None)))


def test_a_compound_problem_names_each_identifier(bed: Bed, proxy: FaultProxy) -> None:
    """Case 38; RFC 8555 section 6.7.1."""
    body = {
        "type": "urn:ietf:params:acme:error:compound",
        "detail": "Errors during validation",
        "subproblems": [
            _sub("rejectedIdentifier", "This CA will not issue for it", "a.example.org"),
            _sub("dns", "SERVFAIL", "b.example.org"),
            "nonsense",
        ],
    }
    proxy.add(Fault(path="order-plz", reply=answer(403, json.dumps(body).encode(), **PROBLEM)))
    refused = refusal(lambda: open_one(bed))
    assert refused.subproblems == (
        Subproblem("a.example.org", "rejectedIdentifier", "This CA will not issue for it"),
        Subproblem("b.example.org", "dns", "SERVFAIL"),
    )
    assert refused.failure is FailureClass.FIX_CONFIGURATION
    assert "b.example.org: SERVFAIL" in str(refused)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "odd"}, {"status": None}, {"authorizations": None}, {"authorizations": [1]}, {"finalize": None},
        {"status": "valid"}, {"certificate": 17, "status": "valid"},
    ],
)  # fmt: skip
def test_an_order_that_is_none_is_no_answer(bed: Bed, proxy: FaultProxy, change: dict[str, Any]) -> None:
    """D5: valid without a certificate's URL, too."""
    order = open_one(bed)
    proxy.add(Fault(path="my-order", change=lambda found: found.with_json(lambda body: body | change)))
    assert "the CA" in str(unreachable(lambda: bed.ca.look(order.url)))


def test_an_order_that_is_invalid_without_a_reason_is_shown_so(bed: Bed, proxy: FaultProxy) -> None:
    """D5."""
    order = open_one(bed)
    proxy.add(Fault(path="my-order", change=lambda found: found.with_json(lambda body: body | {"status": "invalid"})))
    assert (bed.ca.look(order.url).status, bed.ca.look(order.url).error) == ("invalid", None)


def test_an_order_in_processing_says_when_to_look_again(bed: Bed, proxy: FaultProxy) -> None:
    """Case 38: with status 202, as some CAs answer."""
    order = open_one(bed)

    def change(found: Answer) -> Answer:
        busy = found.with_json(lambda body: body | {"status": "processing"})
        return busy.with_status(202).with_header("Retry-After", "15")

    proxy.add(Fault(path="my-order", change=change))
    view = bed.ca.look(order.url)
    assert view.status == "processing"
    assert view.retry_at is not None
    assert timedelta(seconds=5) < view.retry_at - bed.clock.now() <= timedelta(seconds=15)


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream", "application/pkix-cert", ""])
def test_a_certificate_of_another_content_type_is_not_taken(bed: Bed, proxy: FaultProxy, kind: str) -> None:
    """Case 38."""
    proxy.add(Fault(path="certZ", reply=answer(200, b"-----BEGIN CERTIFICATE-----", Content_Type=kind)))
    fault = unreachable(lambda: bed.ca.fetch(f"{proxy.url}/certZ/1", preferred_chain=None))
    assert "application/pem-certificate-chain" in str(fault)


def test_a_chain_that_was_swapped_on_the_way_does_not_pass_the_check_before_it_is_stored(
    bed: Bed, proxy: FaultProxy
) -> None:
    """Case 39, D6: the client hands on what it was sent; whoever stores it checks it."""
    names = ("mine.example.org",)
    other = bed.issue(["other.example.org"])
    proxy.add(Fault(path="certZ", change=lambda found: found.with_body(other.encode())))
    swapped = bed.issue(names)
    assert swapped == other
    with pytest.raises(BadChain):
        check_issued(swapped, names=names, spki_sha256="00" * 32, now=bed.clock.now())


def test_an_account_without_a_url_is_no_answer(bed: Bed, proxy: FaultProxy) -> None:
    proxy.add(Fault(path="sign-me-up", change=lambda found: found.without_header("Location")))
    assert "URL" in str(unreachable(bed.registered))


def _sub(kind: str, detail: str, name: str) -> dict[str, object]:
    told: dict[str, object] = json.loads(problem(kind, detail))
    return told | {"identifier": {"type": "dns", "value": name}}
