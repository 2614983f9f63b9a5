"""Renewal information and replacement (RFC 9773) with a CA that has trouble with them."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from certline_master.domain.errors import CaError
from tests.contract.ca_bed import Bed
from tests.contract.ca_proxied import PROBLEM, Proxied, payload, problem, proxied_pebble, unreachable
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


@pytest.mark.parametrize(
    ("status", "header", "hours"), [(404, None, 6), (403, None, 6), (429, "3600", 1), (404, "garbage", 6)]
)
def test_renewal_information_that_is_refused_is_asked_for_later(
    bed: Bed, proxy: FaultProxy, status: int, header: str | None, hours: int
) -> None:
    """Case 25; RFC 9773 section 4.3.3."""
    chain = bed.issue(["ari.example.org"])
    bed.look_at_window(chain)
    headers = {"Retry_After": header} if header else {}
    proxy.add(Fault(path="renewalInfo", reply=answer(status, b"no", **headers)))
    fault = unreachable(lambda: bed.ca.renewal_info(chain))
    assert fault.retry_at is not None
    assert abs(fault.retry_at - bed.clock.now() - timedelta(hours=hours)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("header", "wait"),
    [(None, 6 * 3600), ("7200", 7200), ("1", 60), ("-7", 60), ("999999999999", 86_400), ("soon", 6 * 3600)],
)
def test_the_next_look_at_renewal_information_is_the_cas_within_a_minute_and_a_day(
    bed: Bed, proxy: FaultProxy, header: str | None, wait: int
) -> None:
    """Cases 23 and 25."""
    chain = bed.issue(["next.example.org"])
    bed.look_at_window(chain)

    def change(found: Answer) -> Answer:
        return found.without_header("Retry-After") if header is None else found.with_header("Retry-After", header)

    proxy.add(Fault(path="renewalInfo", change=change))
    window = bed.ca.renewal_info(chain)
    assert window is not None
    assert abs(window.next_check - bed.clock.now() - timedelta(seconds=wait)) < timedelta(seconds=10)


def test_a_ca_that_fails_on_renewal_information_is_asked_again_with_back_off(bed: Bed, proxy: FaultProxy) -> None:
    chain = bed.issue(["down.example.org"])
    proxy.add(Fault(path="renewalInfo", reply=answer(503)))
    assert unreachable(lambda: bed.ca.renewal_info(chain)).retry_at is None


def test_a_ca_without_renewal_information_is_never_told_what_is_replaced(bed: Bed, proxy: FaultProxy) -> None:
    """Case 28."""
    proxy.add(Fault(path="^/dir", change=lambda found: found.with_json(_without_renewal_info)))
    bed.authorities.look_at_directory(bed.issuer)
    order = bed.ca.open(["plain.example.org"], profile="classic", replaces="Zm9v.YmFy")
    assert order.replaces is None
    assert bed.ca.renewal_info("whatever") is None
    sent = [seen.request.json() for seen in proxy.exchanges if "order-plz" in seen.path]
    assert [payload(one) for one in sent] == [
        {"identifiers": [{"type": "dns", "value": "plain.example.org"}], "profile": "classic"}
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(409, "alreadyReplaced"), (409, "malformed"), (400, "malformed"), (403, "unauthorized"), (500, "serverInternal"),
     (409, "other")],
)  # fmt: skip
def test_whatever_a_ca_says_against_a_replacement_the_order_is_opened_without_it(
    bed: Bed, proxy: FaultProxy, status: int, kind: str
) -> None:
    """Case 28: Boulder and Pebble differ in what they say."""
    proxy.add(Fault(path="order-plz", times=1, reply=answer(status, problem(kind, "no"), **PROBLEM)))
    order = bed.ca.open(["again.example.org"], profile="classic", replaces="Zm9v.YmFy")
    assert order.replaces is None
    payloads = [payload(seen.request.json()) for seen in proxy.exchanges if "order-plz" in seen.path]
    assert [one.get("replaces") for one in payloads] == ["Zm9v.YmFy", None]


@pytest.mark.parametrize(("status", "kind"), [(429, "rateLimited"), (400, "rejectedIdentifier"), (503, "other")])
def test_what_is_not_about_the_replacement_does_not_cost_it(
    bed: Bed, proxy: FaultProxy, status: int, kind: str
) -> None:
    proxy.add(Fault(path="order-plz", reply=answer(status, problem(kind, "no"), **PROBLEM)))
    with pytest.raises(CaError):
        bed.ca.open(["kept.example.org"], profile="classic", replaces="Zm9v.YmFy")
    assert proxy.count("order-plz") == 1


def _without_renewal_info(body: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in body.items() if member != "renewalInfo"}
