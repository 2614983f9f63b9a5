"""What a host may ask for its own line over real HTTP: to be issued anew, and to use its next key."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from certline_master.api import wishes
from certline_master.domain.access import SYSTEM
from certline_shared.keys import KeyType, generate, make_csr
from certline_shared.messages import LineAsk, LineTold, LineWish, decode, encode
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET
from tests.integration.api_hosts import FollowerClient
from tests.integration.shared_keys import applied, enrolled, fleet, line_of

NAME, DAY = "shop.example.com", timedelta(days=1)


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        yield running


def one_host(**key: Any) -> dict[str, Any]:
    """A fleet in which web-1 keeps the key of its line `shop`."""
    line = {"follower": "web-1", "names": [NAME]} | ({"key": "pair"} if key else {})
    keys = {"keys": {"pair": key}} if key else {}
    return FLEET | {"http": {}, "followers": {"web-1": {}, "web-2": {}}, "lines": {"shop": line}} | keys


def sends(host: FollowerClient) -> None:
    """The host's requests, for its key and for the next one."""
    current, ahead = (make_csr(generate(KeyType.ECDSA_P256), (NAME,)) for _ in range(2))
    wish = LineWish(None, {"ecdsa-p256": current}, next_csrs={"ecdsa-p256": ahead})
    assert host.ask("PUT", "/v1/follower/lines/shop", encode(wish)).status_code == 200


def with_the_first(bed: Bed, **key: Any) -> FollowerClient:
    """web-1 with version 1 of its line."""
    applied(bed, one_host(**key))
    host = enrolled(bed, "web-1")
    sends(host)
    bed.engine.run()
    assert live(host) == 1
    return host


def live(host: FollowerClient) -> int | None:
    line = line_of(host)
    return line.version if line else None


def asks(host: FollowerClient, what: str, line: str = "shop") -> httpx.Response:
    return host.ask("POST", f"/v1/follower/lines/{line}/{what}", encode(LineAsk()))


def told(answer: httpx.Response) -> LineTold:
    assert answer.status_code == 200, answer.text
    return decode(LineTold, answer.content)


def pin(host: FollowerClient) -> str:
    line = line_of(host)
    assert line is not None
    return line.spki_sha256["ecdsa-p256"]


def orders(bed: Bed) -> int:
    return bed.engine.ca.count("newOrder")


def test_a_host_has_its_own_line_issued_anew_whatever_its_age(bed: Bed) -> None:
    host = with_the_first(bed)
    former = pin(host)
    assert told(asks(host, "renew")).line == "shop"
    bed.engine.run()
    assert (live(host), pin(host)) == (2, former)
    (event,) = bed.events("line.issue")
    assert event.actor == "follower:web-1"


def test_a_host_rolls_its_own_key_over(bed: Bed) -> None:
    host = with_the_first(bed)
    former = pin(host)
    assert "asked for by follower:web-1" in told(asks(host, "rollover")).standing
    bed.engine.run()
    assert live(host) == 2
    assert pin(host) != former
    (event,) = bed.events("line.rollover")
    assert event.actor == "follower:web-1"


@pytest.mark.parametrize("what", ["renew", "rollover"])
def test_asking_again_while_it_is_on_its_way_causes_no_second_order(bed: Bed, what: str) -> None:
    host = with_the_first(bed)
    bed.clock.advance(8 * DAY)  # the CA looks at the names anew
    bed.engine.ca.validation_looks = 2
    told(asks(host, what))
    told(asks(host, what))
    bed.engine.turn()
    assert bed.ask("GET", "/v1/lines/shop").json()["versions"][0]["state"] == "ordered"
    told(asks(host, what))
    bed.engine.run()
    assert (live(host), orders(bed)) == (2, 2)


def test_a_line_whose_version_is_on_its_way_for_another_reason_is_left_as_it_is(bed: Bed) -> None:
    applied(bed, one_host())
    host = enrolled(bed, "web-1")
    sends(host)
    bed.engine.ca.validation_looks = 2
    bed.engine.turn()
    told(asks(host, "renew"))
    bed.engine.run()
    assert (live(host), orders(bed), bed.events("line.issue")) == (1, 1, [])


@pytest.mark.parametrize(
    ("what", "advice"),
    [("renew", "certline line issue --force shop"), ("rollover", "certline line rollover shop")],
)
def test_a_line_that_other_hosts_have_too_is_refused_by_name_with_what_to_do(bed: Bed, what: str, advice: str) -> None:
    applied(bed, fleet())
    host = enrolled(bed, "web-1")
    bed.engine.run()
    answer = asks(host, what)
    assert answer.status_code == 409
    assert "line shop is shared with other hosts" in answer.json()["detail"]
    assert advice in answer.json()["detail"]
    assert "web-2" not in answer.text
    bed.engine.run()
    assert orders(bed) == 1


def test_a_line_of_the_masters_key_that_only_this_host_has_is_issued_anew_for_it(bed: Bed) -> None:
    wanted = fleet()
    applied(bed, wanted | {"followers": {"web-1": wanted["followers"]["web-1"], "web-2": {}}})
    host = enrolled(bed, "web-1")
    bed.engine.run()
    told(asks(host, "renew"))
    bed.engine.run()
    assert live(host) == 2


def test_a_key_that_another_line_uses_on_another_host_is_refused(bed: Bed) -> None:
    lines = {name: {"custody": "master", "names": [f"{name}.example.com"], "key": "pair"} for name in ("shop", "blog")}
    pulls = {"web-1": {"grants": {"pull": ["shop"]}}, "web-2": {"grants": {"pull": ["blog"]}}}
    applied(bed, FLEET | {"http": {}, "keys": {"pair": {}}, "followers": pulls, "lines": lines})
    host = enrolled(bed, "web-1")
    bed.engine.run()
    answer = asks(host, "rollover")
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("its key is shared with other hosts")
    assert "blog" not in answer.text
    told(asks(host, "renew"))


def test_while_clients_may_keep_pins_a_rollover_is_refused_with_the_days_that_are_missing(bed: Bed) -> None:
    host = with_the_first(bed, pin_days=30)
    answer = asks(host, "rollover")
    assert answer.status_code == 409
    assert "30 more days" in answer.json()["detail"]
    bed.clock.advance(31 * 86_400)
    told(asks(host, "rollover"))


def test_a_line_without_a_version_has_nothing_to_roll_over(bed: Bed) -> None:
    applied(bed, one_host())
    answer = asks(enrolled(bed, "web-1"), "rollover")
    assert (answer.status_code, "no live version" in answer.json()["detail"]) == (409, True)


def test_a_line_of_another_host_looks_like_one_that_is_not_there(bed: Bed) -> None:
    with_the_first(bed)
    stranger = enrolled(bed, "web-2")
    foreign, missing = asks(stranger, "renew"), asks(stranger, "renew", "none")
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.json()["detail"].replace("shop", "none") == missing.json()["detail"]


def test_a_line_of_its_own_whose_grant_is_gone_is_not_issued_anew(bed: Bed) -> None:
    applied(bed, one_host())
    host = bed.follower("web-9", (NAME,))
    assert host.wish("own", NAME).status_code == 200
    bed.engine.run()
    with bed.store.read() as records:
        follower = records.followers.get(SYSTEM, "web-9")
    bed.store.write(lambda records: records.followers.set_grants(SYSTEM, follower.id, ()))
    answer = asks(host, "renew", "own")
    assert (answer.status_code, answer.json()["names"]) == (403, [NAME])


@pytest.mark.parametrize("what", ["renew", "rollover"])
def test_what_a_host_asks_for_counts_as_its_orders_of_the_day(
    bed: Bed, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wishes, "MOST_ORDERS_A_DAY", 1)
    host = with_the_first(bed)
    answer = asks(host, what)
    assert (answer.status_code, answer.json()["type"]) == (429, "urn:certline:problem:too-many-requests")
    assert 0 < int(answer.headers["Retry-After"]) <= 86_400
    assert len(bed.events("wish.put_off")) == 1
    bed.clock.advance(86_400)
    told(asks(host, what))


def test_orders_of_a_key_that_the_master_keeps_count_too(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wishes, "MOST_ORDERS_A_DAY", 1)
    wanted = fleet()
    applied(bed, wanted | {"followers": {"web-1": wanted["followers"]["web-1"], "web-2": {}}})
    host = enrolled(bed, "web-1")
    bed.engine.run()
    assert asks(host, "renew").status_code == 429
