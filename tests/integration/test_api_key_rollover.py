"""Keys under `keys:` and their rollover, over real HTTP with the engine: shared by lines, kept, replaced, forgotten."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from certline_master.domain.custody import KeyMaterial
from certline_shared.failpoints import watched
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.key_fleet import DAY, HOST_NAMES, SOON, fleet, live_pins, pins, roll_over, shown, states
from tests.integration.shared_keys import applied, enrolled, installs, line_of, materials


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        yield running


def test_two_lines_that_name_one_key_have_certificates_for_the_same_public_key(bed: Bed) -> None:
    """2.1, 28."""
    applied(bed, fleet())
    bed.engine.run(SOON)
    assert live_pins(bed, "shop") == live_pins(bed, "blog") == pins(bed, "current")
    assert shown(bed)["lines"] == ["blog", "shop"]


def test_the_next_key_is_there_before_anybody_asks_and_its_pin_is_shown_in_both_spellings(bed: Bed) -> None:
    applied(bed, fleet())
    bed.engine.run(SOON)
    (ahead,) = (one for one in shown(bed)["keys"] if one["slot"] == "next")
    assert len(ahead["pin_sha256"]) == 44
    assert ahead["spki_sha256"] not in live_pins(bed, "shop")


def test_a_rollover_puts_the_next_key_in_the_place_of_the_current_one_in_all_lines(bed: Bed) -> None:
    """2.1, 31 and 48: every line is issued anew for it, another one is made ahead, the former is previous."""
    applied(bed, fleet())
    bed.engine.run(SOON)
    current, ahead = pins(bed, "current"), pins(bed, "next")
    assert roll_over(bed).json()["asked"] == ["blog", "shop"]
    bed.engine.run(SOON)
    assert live_pins(bed, "shop") == live_pins(bed, "blog") == ahead == pins(bed, "current")
    assert pins(bed, "previous") == current
    assert len(pins(bed, "next")) == 1
    assert set(pins(bed, "next")).isdisjoint(current + ahead)
    assert states(bed, "shop") == {1: "retired", 2: "live"}
    assert [event.subject for event in bed.events("key.rolled_over")] == ["key:pair"]


def test_a_rollover_waits_for_no_key_to_be_made(bed: Bed) -> None:
    applied(bed, fleet())
    bed.engine.run(SOON)
    roll_over(bed)
    before_it_is_live: list[str] = []

    def reached(place: str) -> None:
        if not bed.events("key.rolled_over"):
            before_it_is_live.append(place)

    with watched(reached):
        bed.engine.run(SOON)
    assert "order.issued.recorded" in before_it_is_live
    assert "key.made" not in before_it_is_live


def test_every_host_that_has_the_line_gets_the_version_with_the_new_key(bed: Bed) -> None:
    """2.1, 48."""
    applied(bed, fleet(("shop",)))
    hosts = [enrolled(bed, name) for name in HOST_NAMES]
    bed.engine.run(SOON)
    for host in hosts:
        installs(host, 1)
    roll_over(bed)
    bed.engine.run(SOON)
    for host in hosts:
        line = line_of(host)
        assert line is not None
        assert (line.version, list(line.spki_sha256.values())) == (2, pins(bed, "current"))
        installs(host, 2)
    copies = bed.ask("GET", "/v1/keys/pair/where").json()["copies"]
    assert sorted((one["follower"], one["slot"]) for one in copies) == [
        (name, slot) for name in HOST_NAMES for slot in ("current", "previous")
    ]


def test_while_one_line_of_the_key_fails_no_line_gets_the_new_key(bed: Bed) -> None:
    """2.1, 25: its certificate is staged, and the live one stays."""
    applied(bed, fleet())
    bed.engine.run(SOON)
    current = pins(bed, "current")
    bed.engine.ca.validate = lambda proof: "no such answer" if proof.name == "blog.example.com" else ""
    roll_over(bed)
    bed.engine.run(SOON)
    assert live_pins(bed, "shop") == live_pins(bed, "blog") == current == pins(bed, "current")
    assert states(bed, "shop") == {1: "live", 2: "staged"}
    assert "blog" in bed.ask("GET", "/v1/lines/shop").json()["line"]["standing"]
    bed.engine.ca.validate = lambda _: ""
    bed.engine.run(timedelta(hours=3))
    assert live_pins(bed, "shop") == live_pins(bed, "blog") == pins(bed, "current") != current


def test_a_rollover_is_refused_while_clients_may_keep_pins_and_forced_all_the_same(bed: Bed) -> None:
    """2.1, 30."""
    applied(bed, fleet(pin_days=30))
    bed.engine.run(SOON)
    bed.clock.advance(10 * DAY)
    refused = roll_over(bed)
    assert refused.status_code == 409
    assert "for 20 more days" in refused.json()["detail"]
    assert "refused: clients may keep pins" in shown(bed)["rollover"]
    assert roll_over(bed, force=True).status_code == 200
    bed.engine.run(SOON)
    assert states(bed, "shop") == {1: "retired", 2: "live"}


def test_it_is_not_refused_once_the_next_pins_are_out_long_enough(bed: Bed) -> None:
    applied(bed, fleet(pin_days=30))
    bed.engine.run(SOON)
    bed.clock.advance(30 * DAY)
    assert roll_over(bed).status_code == 200


@pytest.mark.parametrize("auto", [False, True])
def test_a_key_that_is_too_old_is_told_of_or_rolled_over_by_itself(bed: Bed, *, auto: bool) -> None:
    """2.1, 29; 2.3, 6."""
    applied(bed, fleet(("shop",), max_age="20d", auto=auto))
    bed.engine.run(SOON)
    current = pins(bed, "current")
    bed.engine.run(21 * DAY)
    assert (pins(bed, "current") == current) is not auto
    assert (states(bed, "shop") == {1: "live"}) is not auto
    assert [event.subject for event in bed.events("key.aged")] == ([] if auto else ["key:pair"])
    if not auto:
        assert "older than 20d" in shown(bed)["rollover"]
        assert "older than 20d" in bed.ask("GET", "/v1/lines/shop").json()["line"]["standing"]


@pytest.mark.parametrize("policy", ["keep", "new"])
def test_a_renewal_keeps_the_key_or_takes_the_next_one(bed: Bed, policy: str) -> None:
    """2.0, 11; 2.3, 5."""
    applied(bed, fleet(("shop",), policy=policy))
    bed.engine.run(SOON)
    current, ahead = pins(bed, "current"), pins(bed, "next")
    bed.engine.run(70 * DAY)
    assert states(bed, "shop") == {1: "retired", 2: "live"}
    assert live_pins(bed, "shop") == (current if policy == "keep" else ahead)


def test_changed_names_keep_the_key(bed: Bed) -> None:
    """2.3, 3."""
    wanted = fleet(("shop",))
    applied(bed, wanted)
    bed.engine.run(SOON)
    current = pins(bed, "current")
    wanted["lines"]["shop"]["names"].append("www.shop.example.com")
    applied(bed, wanted)
    bed.engine.run(SOON)
    assert (states(bed, "shop"), live_pins(bed, "shop")) == ({1: "retired", 2: "live"}, current)


def test_a_key_that_would_be_too_old_before_the_next_renewal_is_replaced_at_this_one(bed: Bed) -> None:
    """2.3, 10: renewed every 60 days, at most 100 days old."""
    applied(bed, fleet(("shop",), max_age="100d", auto=True))
    bed.engine.run(SOON)
    ahead = pins(bed, "next")
    bed.engine.run(70 * DAY)
    assert (states(bed, "shop"), live_pins(bed, "shop")) == ({1: "retired", 2: "live"}, ahead)


def test_another_key_type_is_another_key_of_that_type(bed: Bed) -> None:
    """2.0, 7."""
    wanted = fleet(("shop",))
    wanted["lines"]["shop"]["key_types"] = ["rsa-2048"]
    applied(bed, wanted)
    bed.engine.run(SOON)
    wanted["lines"]["shop"]["key_types"] = ["ecdsa-p384", "rsa-2048"]
    applied(bed, wanted)
    bed.engine.run(SOON)
    types = {one["key_type"] for one in shown(bed)["keys"] if one["slot"] == "current"}
    assert types == {"ecdsa-p384", "rsa-2048"}
    assert sorted(live_pins(bed, "shop")) == sorted(pins(bed, "current"))


def test_a_former_key_that_is_forgotten_is_shown_no_more_and_its_copies_still_are(bed: Bed) -> None:
    """2.1, 32."""
    applied(bed, fleet(("shop",)))
    host = enrolled(bed, "web-1")
    bed.engine.run(SOON)
    installs(host, 1)
    roll_over(bed)
    bed.engine.run(SOON)
    former = pins(bed, "previous")
    assert bed.ask("POST", "/v1/keys/pair/forget").json() == {"name": "pair", "forgotten": former}
    assert pins(bed, "previous") == []
    assert former[0] not in {one.spki_sha256 for one in all_materials(bed)}
    (copy,) = bed.ask("GET", "/v1/keys/pair/where").json()["copies"]
    assert (copy["spki_sha256"], copy["slot"]) == (former[0], "forgotten")
    assert bed.ask("POST", "/v1/keys/pair/forget").json()["forgotten"] == []


def all_materials(bed: Bed) -> list[KeyMaterial]:
    return materials(bed, "pair") + materials(bed, "pair", ahead=True)


def test_a_former_key_is_forgotten_by_itself_once_no_client_keeps_its_pin(bed: Bed) -> None:
    applied(bed, fleet(("shop",), pin_days=5))
    bed.engine.run(SOON)
    bed.engine.run(5 * DAY)
    roll_over(bed)
    bed.engine.run(SOON)
    assert len(pins(bed, "previous")) == 1
    bed.engine.run(6 * DAY)
    assert pins(bed, "previous") == []


def test_a_key_that_is_revoked_takes_all_its_lines_along_and_is_replaced(bed: Bed) -> None:
    """2.1, 35: all are revoked, and the next turn rolls the key."""
    applied(bed, fleet())
    bed.engine.run(SOON)
    current, ahead = pins(bed, "current"), pins(bed, "next")
    answer = bed.ask("POST", "/v1/keys/pair/revoke", {"reason": "key-compromise"})
    assert sorted(one["version"] for one in answer.json()["certificates"]) == [1, 1]
    bed.engine.run(SOON)
    assert states(bed, "shop") == states(bed, "blog") == {1: "revoked", 2: "live"}
    assert live_pins(bed, "shop") == live_pins(bed, "blog") == ahead == pins(bed, "current")
    assert pins(bed, "previous") == current


def test_a_next_key_that_a_thief_has_too_is_not_used(bed: Bed) -> None:
    wanted = fleet(("shop",))
    wanted["lines"]["shop"]["options"] = {"stage_for": "25h"}
    applied(bed, wanted)
    host = enrolled(bed, "web-2")
    bed.engine.run(SOON)
    installs(host, 1)
    roll_over(bed)
    bed.engine.run(SOON)
    assert states(bed, "shop") == {1: "live", 2: "staged"}
    installs(host, 2)
    stolen = pins(bed, "current") + pins(bed, "next")
    assert bed.ask("POST", "/v1/followers/web-2/stolen", {"now": True}).status_code == 200
    bed.engine.run(SOON)
    assert set(live_pins(bed, "shop")).isdisjoint(stolen)
    assert set(stolen).isdisjoint(pins(bed, "current") + pins(bed, "next"))


@pytest.mark.parametrize("place", ["version.ordered", "order.issued.recorded", "key.made", "request.made"])
def test_after_a_kill_anywhere_the_rollover_ends_the_same(bed: Bed, place: str) -> None:
    applied(bed, fleet())
    bed.engine.run(SOON)
    ahead = pins(bed, "next")
    roll_over(bed)

    def die(reached: str) -> None:
        if reached == place:
            raise KeyboardInterrupt

    with watched(die), pytest.raises(KeyboardInterrupt):
        bed.engine.run(SOON)
    bed.engine.kill()
    bed.engine.run(timedelta(hours=2))  # the leases of the one that was killed run out
    assert live_pins(bed, "shop") == live_pins(bed, "blog") == ahead == pins(bed, "current")
    assert states(bed, "shop") == states(bed, "blog") == {1: "retired", 2: "live"}
    assert len(pins(bed, "next")) == 1
