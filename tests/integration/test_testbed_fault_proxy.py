"""The fault proxy does to a request what it was told to, and to no other."""

import http.client
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.testbed.fault_proxy import Fault, FaultProxy, answer
from tests.testbed.pebble import Pebble


@pytest.fixture
def client(fault_proxy: FaultProxy, pebble_calm: Pebble) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fault_proxy.url, verify=pebble_calm.authority.client_context()) as made:
        yield made


def test_without_a_fault_the_ca_answers_with_urls_that_lead_back_to_the_proxy(
    client: httpx.Client, fault_proxy: FaultProxy
) -> None:
    directory = client.get("/dir").json()
    assert directory["newOrder"].startswith(fault_proxy.url)
    assert client.head(directory["newNonce"]).headers["Replay-Nonce"]


def test_every_request_is_on_record(client: httpx.Client, fault_proxy: FaultProxy) -> None:
    client.get("/dir")
    client.get("/nonce-plz")
    assert [(seen.method, seen.path, seen.status) for seen in fault_proxy.exchanges] == [
        ("GET", "/dir", 200),
        ("GET", "/nonce-plz", 204),
    ]
    assert fault_proxy.count("nonce") == 1
    fault_proxy.forget()
    assert fault_proxy.count() == 0


def test_a_fault_strikes_only_as_often_as_it_was_told_and_after_those_it_skips(
    client: httpx.Client, fault_proxy: FaultProxy
) -> None:
    fault_proxy.add(Fault(path="^/dir", skip=1, times=2, reply=answer(503, b"later", Retry_After="7")))
    assert [client.get("/dir").status_code for _ in range(5)] == [200, 503, 503, 200, 200]
    assert client.head("/nonce-plz").status_code == 200


def test_a_reply_is_sent_in_place_of_forwarding(client: httpx.Client, fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault(method="GET", reply=answer(429, b"{}", Retry_After="7", Content_Type="application/json")))
    found = client.get("/dir")
    assert (found.status_code, found.headers["Retry-After"], found.content) == (429, "7", b"{}")
    assert not fault_proxy.exchanges[-1].forwarded


def test_an_answer_loses_a_header_and_has_its_json_changed(client: httpx.Client, fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault(path="nonce", change=lambda found: found.without_header("Replay-Nonce")))
    fault_proxy.add(Fault(path="dir", change=lambda found: found.with_json(lambda body: {"was": sorted(body)})))
    assert "Replay-Nonce" not in client.head("/nonce-plz").headers
    assert "newOrder" in client.get("/dir").json()["was"]


def test_a_cut_before_forwarding_reaches_neither_side(client: httpx.Client, fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault(times=1, cut="before forwarding"))
    with pytest.raises(httpx.TransportError):
        client.get("/dir")
    assert (fault_proxy.exchanges[0].status, fault_proxy.exchanges[0].forwarded) == (None, False)
    assert client.get("/dir").status_code == 200


def test_a_cut_after_forwarding_loses_only_the_answer(client: httpx.Client, fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault(times=1, cut="after forwarding"))
    with pytest.raises(httpx.TransportError):
        client.get("/dir")
    assert (fault_proxy.exchanges[0].status, fault_proxy.exchanges[0].forwarded) == (None, True)


def test_an_answer_is_cut_after_so_many_bytes(fault_proxy: FaultProxy, pebble_calm: Pebble) -> None:
    fault_proxy.add(Fault(path="dir", reply=answer(200, b"x" * 1000), cut_after=500))
    context = pebble_calm.authority.client_context()
    connection = http.client.HTTPSConnection("localhost", fault_proxy.port, context=context, timeout=5)
    with closing(connection):
        connection.request("GET", "/dir")
        with connection.getresponse() as response, pytest.raises(http.client.IncompleteRead) as caught:
            response.read()
    assert 400 < len(caught.value.partial) < 500


def test_latency_and_a_drip_take_their_time(client: httpx.Client, fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault(path="dir", latency=0.2))
    fault_proxy.add(Fault(path="nonce", drip=0.002))
    begun = time.perf_counter()
    client.get("/dir")
    assert time.perf_counter() - begun >= 0.2
    begun = time.perf_counter()
    assert client.get("/nonce-plz").status_code == 204
    assert time.perf_counter() - begun >= 0.1


def test_it_carries_the_body_of_a_request_and_the_problem_of_an_answer(client: httpx.Client) -> None:
    refused = client.post("/sign-me-up", content=b"not a JWS", headers={"Content-Type": "application/jose+json"})
    assert refused.status_code == 400
    assert refused.json()["type"].startswith("urn:ietf:params:acme:error:")


def test_heal_takes_all_faults_away(client: httpx.Client, fault_proxy: FaultProxy) -> None:
    fault_proxy.add(Fault(reply=answer(500)))
    assert client.get("/dir").status_code == 500
    fault_proxy.heal()
    assert client.get("/dir").status_code == 200
