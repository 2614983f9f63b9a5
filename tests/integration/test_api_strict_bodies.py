"""Every route that reads a body reads it strictly: what two readers could understand differently is refused."""

from collections.abc import Iterator
from dataclasses import fields

import httpx
import pytest

from certline_master.api.limits import Limits, Rate, Rates
from certline_master.api.openapi import operations
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient

DEEP = 21
BODIES = {
    "no JSON": b"certline",
    "two values": b"{} {}",
    "a member twice": b'{"a": 1, "a": 2}',
    "a member twice, once escaped": b'{"a": 1, "\\u0061": 2}',
    "a member twice, far inside": b'{"a": [{"b": {"c": 1, "c": 1}}]}',
    "no number": b'{"a": NaN}',
    "infinity": b'{"a": -Infinity}',
    "a huge whole number": b'{"a": 1' + b"0" * 400 + b"}",
    "a whole number just too large": b'{"a": 9007199254740992}',
    "a huge exponent": b'{"a": 1e400}',
    "deep arrays": b'{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "arrays deeper than any stack": b"[" * 30_000,
    "bytes that are no UTF-8": b'{"a": "\xff"}',
    "UTF-8 that is longer than need be": b'{"a": "\xc0\xaf"}',
    "half of a surrogate pair": b'{"a": "\\ud800"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a control character in a string": b'{"a": "\x01"}',
    "a comment": b'{"a": 1 /* one */}',
    "a comma at the end": b'{"a": 1,}',
}


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path_factory.mktemp("master"))) as running:
        running.services.limits = Limits(running.clock, Rates(*[Rate(0, 0)] * len(fields(Rates))))
        yield running


@pytest.fixture(scope="module")
def host(bed: Bed) -> FollowerClient:
    return bed.follower("strict")


def sent(bed: Bed, host: FollowerClient, operation: tuple[str, str, str], body: bytes) -> httpx.Response:
    method, path, needs = operation
    if needs == "follower":
        return host.ask(method, path, body)
    return bed.ask(method, path, body)


@pytest.mark.parametrize("case", BODIES)
def test_no_route_reads_what_could_be_read_in_two_ways(bed: Bed, host: FollowerClient, case: str) -> None:
    reading = [
        (method.upper(), path.format(name="strict", number=1), operation["x-needs"])
        for method, path, operation in operations(bed.app.openapi())
        if "requestBody" in operation
    ]
    assert len(reading) > 12
    for operation in reading:
        bed.clock.advance(2)
        answer = sent(bed, host, operation, BODIES[case])
        said = (answer.status_code, answer.json()["type"])
        assert said == (400, "urn:certline:problem:bad-message"), f"{operation}: {answer.text}"
