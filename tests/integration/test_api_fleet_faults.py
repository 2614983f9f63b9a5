"""What is wrong with a fleet is told field by field, over real HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certline_master.domain.errors import CaUnreachable
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET, changed, faults


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.ca.profiles = ("classic", "shortlived")
        yield running


@pytest.mark.parametrize(
    ("sections", "field", "detail"),
    [
        ({"issuers": {"ca": {"directory": "http://ca.example/dir"}}}, "/issuers/ca/directory", "over https only"),
        ({"issuers": {"ca": {"directory": "ca.example"}}}, "/issuers/ca/directory", "no scheme"),
        ({"issuers": {"ca": {"directory": "https://u:p@ca.example/"}}}, "/issuers/ca/directory", "plain https URL"),
        (
            {"issuers": {"ca": FLEET["issuers"]["ca"] | {"contact": ["ops@example.com"]}}},
            "/issuers/ca/contact/0",
            "mailto:",
        ),
        (
            {"issuers": {"ca": FLEET["issuers"]["ca"] | {"profile": "fast"}}},
            "/issuers/ca/profile",
            "it offers classic, shortlived",
        ),
        (
            {"issuers": {"two": {"directory": "https://fake-ca.example/dir", "default": True}}},
            "/issuers/two/default",
            "only one can be",
        ),
        ({"zones": {"example.com": {"solver": "magic"}}}, "/zones/example.com/solver", "use one of responder, rfc2136"),
        ({"zones": {"*.example.com": {"solver": "rfc2136"}}}, "/zones/*.example.com", "wildcard"),
        ({"zones": {"Example.COM": {"solver": "rfc2136"}}}, "/zones/Example.COM", "the same name as 'example.com'"),
        ({"http": {"*.example.net": {}}}, "/http/*.example.net", "cannot be proven by http-01"),
        ({"http": {"10.0.0.1": {}}}, "/http/10.0.0.1", "is an IP address"),
        ({"http": {"www.example.net": {"solver": "rfc2136"}}}, "/http/www.example.net/solver", "use one of listener"),
        ({"followers": {"Web 1": {}}}, "/followers/Web 1", "cannot be used"),
        (
            {"followers": {"web-1": {"grants": {"request": ["a.example.com", "b_c.example.com"]}}}},
            "/followers/web-1/grants/request/1",
            "underscore",
        ),
        (
            {"lines": {"shop": {"follower": "web-9", "names": ["a.example.com"]}}},
            "/lines/shop/follower",
            "no follower 'web-9'",
        ),
        (
            {"lines": {"shop": {"follower": "web-1", "names": ["a.example.com"], "issuer": "le"}}},
            "/lines/shop/issuer",
            "no issuer 'le'",
        ),
        ({"lines": {"shop": {"follower": "web-1", "names": []}}}, "/lines/shop/names", "give at least one"),
        (
            {"lines": {"shop": {"follower": "web-1", "names": ["a.example.com", ""]}}},
            "/lines/shop/names/1",
            "empty name",
        ),
        (
            {"lines": {"shop": {"follower": "web-1", "names": [f"n{number}.example.com" for number in range(101)]}}},
            "/lines/shop/names",
            "101 names",
        ),
        (
            {"lines": {"shop": {"follower": "web-1", "names": ["*.example.com", "a.example.com"]}}},
            "/lines/shop/names",
            "already covers",
        ),
        (
            {"lines": {"shop": {"follower": "web-1", "names": ["www.elsewhere.test"]}}},
            "/lines/shop/names/0",
            "no zone for www.elsewhere.test",
        ),
        (
            {"lines": {"shop": {"follower": "web-1", "names": ["*.www.example.net"]}}},
            "/lines/shop/names/0",
            "which http-01 cannot prove",
        ),
        (
            {
                "lines": {
                    "shop": {"follower": "web-1", "names": ["a.example.com"], "key_types": ["rsa-2048", "rsa-2048"]}
                }
            },
            "/lines/shop/key_types",
            "once",
        ),
        (
            {"lines": {"shop": {"follower": "web-1", "names": ["a.example.com"], "profile": "fast"}}},
            "/lines/shop/profile",
            "does not offer the profile 'fast'",
        ),
        ({"lines": {"shop": {"follower": "web-1", "nmaes": ["a.example.com"]}}}, "/lines/shop/nmaes", "unknown member"),
        ({"lines": {"shop": {"follower": 7, "names": ["a.example.com"]}}}, "/lines/shop/follower", "string"),
        ({"lines": {"shop": {"follower": "web-1"}}}, "/lines/shop/names", "missing"),
    ],
)
def test_each_fault_names_its_place_and_what_to_do(bed: Bed, sections: dict[str, Any], field: str, detail: str) -> None:
    found = faults(bed, changed(**sections))
    assert detail in found.get(field, ""), found


def test_all_faults_are_told_at_once(bed: Bed) -> None:
    lines = {"shop": {"follower": "web-8", "names": ["a b"]}, "blog": {"follower": "web-9", "names": ["10.0.0.1"]}}
    assert set(faults(bed, changed(lines=lines))) == {
        "/lines/shop/follower", "/lines/shop/names/0", "/lines/blog/follower", "/lines/blog/names/0",
    }  # fmt: skip


def test_an_issuer_that_does_not_answer_is_a_fault_of_its_directory(bed: Bed) -> None:
    bed.engine.ca.fail("directory", CaUnreachable("https://fake-ca.example/dir does not answer: connection refused"))
    assert "does not answer" in faults(bed, FLEET)["/issuers/ca/directory"]


def test_what_is_wrong_with_a_zones_settings_is_a_fault_there(bed: Bed) -> None:
    bed.engine.solver.faults = ("server: write the address of the DNS server",)
    assert faults(bed, FLEET) == {"/zones/example.com/settings": "server: write the address of the DNS server"}
