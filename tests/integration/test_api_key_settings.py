"""Keys in the fleet file: lines that name one, another one or none, and what is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import faults
from tests.integration.key_fleet import HOST_NAMES, SOON, fleet, live_pins, pins, shown
from tests.integration.shared_keys import applied, enrolled, installs, line_of


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        yield running


def test_a_line_that_takes_another_key_goes_on_with_the_old_version_until_the_new_one_is_there(bed: Bed) -> None:
    wanted = fleet(("shop",))
    applied(bed, wanted)
    host = enrolled(bed, "web-1")
    bed.engine.run(SOON)
    wanted["keys"]["other"] = {}
    wanted["lines"]["shop"]["key"] = "other"
    applied(bed, wanted)
    line = line_of(host)
    assert line is not None
    assert "ecdsa-p256/key.sealed" in {file.name for file in line.files}
    installs(host, 1)
    bed.engine.run(SOON)
    assert live_pins(bed, "shop") == pins(bed, "current", "other")
    assert shown(bed, "pair")["lines"] == []


def test_a_line_that_names_no_key_any_more_gets_one_of_its_own(bed: Bed) -> None:
    wanted = fleet()
    applied(bed, wanted)
    bed.engine.run(SOON)
    del wanted["lines"]["blog"]["key"]
    applied(bed, wanted)
    bed.engine.run(SOON)
    assert live_pins(bed, "blog") == pins(bed, "current", "blog")
    assert live_pins(bed, "shop") == pins(bed, "current")


def test_a_key_that_lines_name_is_not_deleted_from_the_file(bed: Bed) -> None:
    wanted = fleet()
    applied(bed, wanted)
    assert "there is no key 'pair'" in faults(bed, wanted | {"keys": {}})["/lines/shop/key"]


@pytest.mark.parametrize(
    ("key", "place", "said"),
    [
        ({"max_age": "soon"}, "/keys/pair/max_age", "is not a duration"),
        ({"auto": True}, "/keys/pair/auto", "max_age"),
        ({"pin_days": -1}, "/keys/pair/pin_days", "0 to 3650"),
        ({"key_types": ["rsa-2048"]}, "/lines/shop/key_types", "the key pair is of rsa-2048"),
    ],
)
def test_a_key_that_cannot_be_is_refused_where_it_stands(bed: Bed, key: dict[str, Any], place: str, said: str) -> None:
    assert said in faults(bed, fleet(**key))[place]


def test_a_key_is_not_called_as_a_line_is(bed: Bed) -> None:
    """2.1, 3."""
    wanted = fleet()
    assert "a line is called shop too" in faults(bed, wanted | {"keys": {"shop": {}, "pair": {}}})["/keys/shop"]


def test_a_key_of_a_host_is_shared_by_no_other_line(bed: Bed) -> None:
    wanted = fleet()
    wanted["lines"]["blog"] = {"follower": "web-1", "names": ["blog.example.com"], "key": "pair"}
    wanted["followers"] = {name: {"grants": {"pull": ["shop"]}} for name in HOST_NAMES}
    assert "the master has to keep it" in faults(bed, wanted)["/lines/blog/key"]
