"""Where copies of shared keys are: who was given one, who still has it, who deleted it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from certline_master.domain.access import Role
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_hosts import FollowerClient
from tests.integration.shared_keys import applied, enrolled, fleet, installs, materials, pulled, reports


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        applied(running, fleet())
        yield running


@pytest.fixture
def hosts(bed: Bed) -> tuple[FollowerClient, FollowerClient]:
    """web-1 and web-2, both with version 1 of the line `shop`."""
    both = enrolled(bed, "web-1"), enrolled(bed, "web-2")
    bed.engine.run()
    for host in both:
        installs(host, 1)
    return both


def where(bed: Bed) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bed.ask("GET", "/v1/keys/shop/where", role=Role.VIEWER).json()["copies"]
    return found


def test_a_key_is_shown_by_its_pins_in_each_slot(bed: Bed) -> None:
    bed.engine.run()
    (shown,) = bed.ask("GET", "/v1/keys", role=Role.VIEWER).json()
    assert (shown["name"], shown["lines"]) == ("shop", ["shop"])
    pins = {one["slot"]: one["spki_sha256"] for one in shown["keys"]}
    assert set(pins) == {"current", "next"}
    assert pins["current"] == materials(bed)[0].spki_sha256
    assert bed.ask("GET", "/v1/keys/shop", role=Role.VIEWER).json() == shown


def test_where_tells_who_was_given_it_who_has_it_and_who_deleted_it(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient]
) -> None:
    pin = materials(bed)[0].spki_sha256
    assert {(one["follower"], one["seen"], one["deleted"]) for one in where(bed)} == {
        ("web-1", None, None),
        ("web-2", None, None),
    }
    reports(hosts[0], 1, keys={"shop": (pin,)})
    reports(hosts[1], 1, keys={})
    said = {one["follower"]: (one["seen"] is not None, one["deleted"] is not None) for one in where(bed)}
    assert said == {"web-1": (True, False), "web-2": (False, True)}
    (event,) = bed.events("key.deleted")
    assert (event.actor, event.data["spki_sha256"]) == ("follower:web-2", pin)
    reports(hosts[1], 1, keys={})
    assert len(bed.events("key.deleted")) == 1


def test_a_report_that_says_nothing_of_keys_deletes_nothing(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient]
) -> None:
    reports(hosts[0], 1)
    assert [one["deleted"] for one in where(bed)] == [None, None]


def test_a_key_that_comes_back_after_it_was_deleted_is_told(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient]
) -> None:
    pin = materials(bed)[0].spki_sha256
    reports(hosts[0], 1, keys={})
    reports(hosts[0], 1, keys={"shop": (pin,)})
    assert len(bed.events("key.reappeared")) == 1
    assert [one["deleted"] for one in where(bed)] == [None, None]


def test_a_key_that_is_pulled_again_after_it_was_deleted_is_a_new_release(
    bed: Bed, hosts: tuple[FollowerClient, FollowerClient]
) -> None:
    reports(hosts[0], 1, keys={})
    pulled(hosts[0], 1)
    assert len(bed.events("key.released")) == 3
    assert [one["deleted"] for one in where(bed)] == [None, None]


def test_a_pin_that_is_none_is_refused_by_its_place(hosts: tuple[FollowerClient, FollowerClient]) -> None:
    body = b'{"agent":"a","deployments":[],"keys":{"shop":["no pin"]},"manifest_serial":1}'
    answer = hosts[0].ask("POST", "/v1/follower/reports", body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "/keys/shop/0"
