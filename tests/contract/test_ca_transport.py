"""The way to a CA when it is bad: nothing leaves the CA's host, nothing hangs, nothing is sent twice."""

import base64
import gzip
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from certline_master.domain.errors import CaError
from certline_master.domain.model import FailureClass, Issuer
from certline_shared.certificates import read_chain
from tests.contract.ca_bed import Bed, csr_for
from tests.contract.ca_proxied import (
    DEADLINE,
    JSON,
    Proxied,
    open_one,
    proxied_pebble,
    refusal,
    unreachable,
)
from tests.testbed.authority import Authority
from tests.testbed.fault_proxy import Answer, Fault, FaultProxy, answer, fault_proxy
from tests.testbed.parts import require
from tests.testbed.ports import free_port


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


def test_a_cut_after_a_new_order_is_unreachable_and_not_sent_again(bed: Bed, proxy: FaultProxy) -> None:
    """Case 37: a second request would be a second order."""
    proxy.add(Fault(path="order-plz", times=1, cut="after forwarding"))
    unreachable(lambda: open_one(bed))
    assert proxy.count("order-plz") == 1


def test_a_cut_after_finalize_loses_nothing_for_the_order_is_still_there(bed: Bed, proxy: FaultProxy) -> None:
    """Case 37."""
    order = bed.ca.open(["cut.example.org"], profile="classic", replaces=None)
    bed.prove(order)
    ready = bed.look_until(order.url, "ready")
    proxy.add(Fault(path="finalize-order", times=1, cut="after forwarding"))
    unreachable(lambda: bed.ca.finalize(ready, csr_for(["cut.example.org"])))
    assert proxy.count("finalize-order") == 1
    valid = bed.look_until(order.url, "valid")
    assert valid.certificate_url
    assert read_chain(bed.ca.fetch(valid.certificate_url, preferred_chain=None)).names == ("cut.example.org",)


@pytest.mark.parametrize("after", [0, 1, 20, 120, 400])
def test_an_answer_that_is_cut_short_is_no_answer(bed: Bed, proxy: FaultProxy, after: int) -> None:
    order = open_one(bed)
    proxy.add(Fault(path="my-order", times=1, cut_after=after))
    unreachable(lambda: bed.ca.look(order.url))
    assert bed.ca.look(order.url).status == "pending"


def test_a_ca_that_cannot_be_reached_is_told_with_its_address(bed: Bed) -> None:
    away = replace(bed.issuer, directory_url=f"https://127.0.0.1:{free_port()}/dir")
    fault = unreachable(lambda: bed.authorities.look_at_directory(away))
    assert away.directory_url.removesuffix("/dir") in str(fault)
    assert "refused" in str(fault)


def test_an_api_certificate_that_nobody_vouches_for_is_refused(bed: Bed, tmp_path: Path) -> None:
    """Case 39: with another CA file, and with the system's roots; the text tells what to configure."""
    other = Authority(tmp_path).ca_file.read_text()
    for issuer in (_trusting(bed, other), _trusting(bed, None)):
        fault = unreachable(partial(bed.authorities.look_at_directory, issuer))
        assert "is not trusted" in str(fault)
        assert "CA certificates" in str(fault)


def test_an_api_certificate_for_another_host_is_refused(bed: Bed, ground: Proxied) -> None:
    """Case 39."""
    with fault_proxy(
        ground.ca.port, upstream_ca=ground.ca.ca_file, authority=ground.ca.authority, names=("other.example",)
    ) as elsewhere:
        issuer = replace(bed.issuer, directory_url=elsewhere.directory_url)
        fault = unreachable(lambda: bed.authorities.look_at_directory(issuer))
    assert "for another host" in str(fault)


def test_roots_that_are_none_are_for_the_configuration_to_fix(bed: Bed) -> None:
    for text in ("no PEM", "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        fault = unreachable(partial(bed.authorities.look_at_directory, _trusting(bed, text)))
        assert fault.failure is FailureClass.FIX_CONFIGURATION
        assert "PEM" in str(fault)


@pytest.mark.parametrize(
    "url",
    ["http://localhost/dir", "ftp://localhost/dir", "localhost/dir", "", "https://", "https://me:pw@localhost/dir",
     "https://localhost:99999/dir", "https://local host/dir", "https://localhost/dir\r\nHost: evil"],
)  # fmt: skip
def test_a_directory_url_that_is_not_plain_https_is_refused_before_any_request(bed: Bed, url: str) -> None:
    fault = unreachable(lambda: bed.authorities.look_at_directory(replace(bed.issuer, directory_url=url)))
    assert fault.failure is FailureClass.FIX_CONFIGURATION
    assert "https" in str(fault) or "user name" in str(fault)


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"<html>hello</html>", Content_Type="text/html"),
        answer(200, b'{"newNonce": 1}', **JSON),
        answer(200, b"[]", **JSON),
        answer(200, b"[" * 100_000, **JSON),
        answer(200, b"{" + b'"a":' * 3),
        answer(200, gzip.compress(b"0" * 10_000_000), Content_Encoding="gzip", **JSON),
        answer(404, b"nothing here"),
    ],
    ids=["HTML", "no directory", "a list", "deep", "cut JSON", "compressed", "missing"],
)
def test_what_is_no_directory_is_told_to_the_person_who_configured_it(
    bed: Bed, proxy: FaultProxy, reply: Answer
) -> None:
    """D1, and D4's compressed bomb, which is never unpacked."""
    proxy.add(Fault(path="^/dir", reply=reply))
    fault = unreachable(lambda: bed.authorities.look_at_directory(bed.issuer))
    assert "ACME" in str(fault)


def test_a_drip_of_one_byte_after_the_other_ends_at_the_deadline(bed: Bed, proxy: FaultProxy) -> None:
    """D4: each byte in time, the whole far too late; header and body alike."""
    order = open_one(bed)
    proxy.add(Fault(path="my-order", drip=0.05))
    begun = time.perf_counter()
    fault = unreachable(lambda: bed.ca.look(order.url))
    assert time.perf_counter() - begun < DEADLINE + 1
    assert "within 1 s" in str(fault)


def test_an_answer_over_256_kib_is_not_read_to_its_end(bed: Bed, proxy: FaultProxy) -> None:
    """D4, D6: 5 MB of junk in place of a certificate."""
    proxy.add(
        Fault(path="certZ", reply=answer(200, b"A" * 5_000_000, Content_Type="application/pem-certificate-chain"))
    )
    fault = unreachable(lambda: bed.ca.fetch(f"{proxy.url}/certZ/1", preferred_chain=None))
    assert "longer than 262144 bytes" in str(fault)


@pytest.mark.parametrize("target", ["http://127.0.0.1/", "https://ca.example/dir", "/dir", "file:///etc/passwd"])
def test_a_redirect_is_not_followed(bed: Bed, proxy: FaultProxy, target: str) -> None:
    """D4: the library follows it to another host."""
    proxy.add(Fault(path="^/dir", reply=answer(302, b"", Location=target)))
    fault = unreachable(lambda: bed.authorities.look_at_directory(bed.issuer))
    assert target in str(fault)
    assert proxy.count() == 1


FOREIGN_URLS = [
    "https://evil.example/order/1",
    "https://localhost.evil.example/order/1",
    "https://localhost/order/1",
    "http://localhost/order/1",
    "file:///etc/passwd",
    "https://169.254.169.254/latest/meta-data",
    "https://user@localhost/order/1",
    "//evil.example/",
    "https://localhost\r\nX: y/",
    "",
]


@pytest.mark.parametrize("url", FOREIGN_URLS)
@pytest.mark.parametrize("member", ["finalize", "authorizations", "certificate", "Location"])
def test_an_order_with_a_url_elsewhere_is_refused_and_nothing_is_sent_there(
    bed: Bed, proxy: FaultProxy, member: str, url: str
) -> None:
    """D4."""

    def change(found: Answer) -> Answer:
        if member == "Location":
            return found.with_header("Location", url.replace("\r\n", " "))
        return found.with_json(lambda body: body | {member: [url] if member == "authorizations" else url})

    proxy.add(Fault(path="order-plz", change=change))
    refused = refusal(lambda: open_one(bed))
    assert refused.type == "foreignUrl"
    assert refused.failure is FailureClass.FIX_CONFIGURATION


@pytest.mark.parametrize("url", FOREIGN_URLS)
def test_an_url_elsewhere_that_was_kept_is_not_asked_either(bed: Bed, proxy: FaultProxy, url: str) -> None:
    asks: list[Callable[[str], object]] = [bed.ca.look, bed.ca.authorization, bed.ca.answer]
    asks.append(partial(bed.ca.fetch, preferred_chain=None))
    for ask in asks:
        assert refusal(partial(ask, url)).type == "foreignUrl"
    assert proxy.count() == 0


def test_a_directory_with_a_url_elsewhere_is_refused_but_what_we_do_not_use_may_be(bed: Bed, proxy: FaultProxy) -> None:
    """Let's Encrypt's directory has a random member that leads to another host, on purpose."""
    proxy.add(
        Fault(times=1, change=lambda found: found.with_json(lambda body: body | {"x1": "https://other.example/"}))
    )
    assert bed.authorities.look_at_directory(bed.issuer).has_renewal_info
    proxy.add(Fault(change=lambda found: found.with_json(lambda body: body | {"newOrder": "https://other.example/"})))
    with pytest.raises(CaError, match=r"other\.example"):
        bed.authorities.look_at_directory(bed.issuer)


def test_no_request_shows_more_than_it_must(bed: Bed, proxy: FaultProxy) -> None:
    """Case 22's forms: POST-as-GET has an empty payload, an answer is {}, and each request names the program."""
    chain = bed.issue(["seen.example.org"])
    assert chain
    for seen in proxy.exchanges:
        assert (seen.request.header("User-Agent") or "").startswith("certline/")
        assert seen.request.header("Cookie") is None
        assert seen.request.header("Authorization") is None
    payloads = {
        seen.path.split("/")[1]: seen.request.json()["payload"] for seen in proxy.exchanges if seen.request.body
    }
    assert payloads["my-order"] == payloads["authZ"] == payloads["certZ"] == ""
    assert payloads["chalZ"] == base64.urlsafe_b64encode(b"{}").decode().rstrip("=")


def test_a_server_that_never_shakes_hands_is_given_up_at_the_deadline(bed: Bed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_ca = replace(bed.issuer, directory_url=f"https://127.0.0.1:{silent.getsockname()[1]}/dir")
        look = partial(unreachable, partial(bed.authorities.look_at_directory, silent_ca))
        begun = time.perf_counter()
        with ThreadPoolExecutor(8) as threads:
            faults = [waiting.result() for waiting in [threads.submit(look) for _ in range(8)]]
    assert time.perf_counter() - begun < 2 * DEADLINE + 1, "all wait for the same answer, not one after the other"
    assert all("within 1 s" in str(fault) for fault in faults)


def test_connections_are_kept_between_calls(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 40 requests one after the other none needs a new one."""
    order = open_one(bed)
    dialled: list[object] = []
    connect = socket.socket.connect

    def counted(plain: socket.socket, address: Any) -> None:
        dialled.append(address)
        connect(plain, address)

    monkeypatch.setattr(socket.socket, "connect", counted)
    for _ in range(40):
        bed.ca.look(order.url)
    assert dialled == []
    bed.authorities.look_at_directory(_trusting(bed, f"{bed.issuer.ca_certificates}\n"))
    assert dialled, "another client dials anew: the count above counts"


def _trusting(bed: Bed, roots: str | None) -> Issuer:
    return replace(bed.issuer, ca_certificates=roots)
