"""The client under test, a calm Pebble and a fault proxy between them; and words for what comes of a fault."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from certline_master.domain.errors import CaRefused, CaUnreachable
from certline_master.domain.ports import OrderView
from tests.contract.ca_bed import Bed, pebble_bed
from tests.testbed.challtestsrv import ChallTestSrv, challtestsrv
from tests.testbed.fault_proxy import FaultProxy, in_front_of
from tests.testbed.pebble import Pebble, pebble

DEADLINE = 1.0  # seconds for one exchange, so that a test of it is short
JSON = {"Content_Type": "application/json"}
PROBLEM = {"Content_Type": "application/problem+json"}


@dataclass(frozen=True, slots=True)
class Proxied:
    """One Pebble behind one proxy, for all tests of a module."""

    ca: Pebble
    dns: ChallTestSrv
    proxy: FaultProxy

    @contextmanager
    def fresh_bed(self) -> Iterator[Bed]:
        """An account reached through the proxy, which has neither faults nor records of other tests."""
        self.proxy.heal()
        with pebble_bed(self.ca, self.dns, through=self.proxy, seconds=DEADLINE) as bed:
            registered = bed.registered()
            self.proxy.forget()
            yield registered


@contextmanager
def proxied_pebble() -> Iterator[Proxied]:
    with challtestsrv() as dns, pebble("calm", dns_server=dns.dns_address) as ca, in_front_of(ca) as proxy:
        yield Proxied(ca, dns, proxy)


def open_one(bed: Bed) -> OrderView:
    return bed.ca.open(["fault.example.org"], profile="classic", replaces=None)


def refusal(work: Callable[[], object]) -> CaRefused:
    """What the CA, or we, refused with."""
    with pytest.raises(CaRefused) as caught:
        work()
    return caught.value


def unreachable(work: Callable[[], object]) -> CaUnreachable:
    """What a try came to that may be repeated."""
    with pytest.raises(CaUnreachable) as caught:
        work()
    assert "\n" not in str(caught.value)
    return caught.value


def problem(kind: str, detail: str) -> bytes:
    """A problem document (RFC 8555 section 6.7)."""
    return json.dumps({"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}).encode()


def protected(jws: dict[str, str]) -> dict[str, str]:
    """The protected header of a JWS."""
    found: dict[str, str] = json.loads(_decoded(jws["protected"]))
    return found


def payload(jws: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_decoded(jws["payload"]))
    return found


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
