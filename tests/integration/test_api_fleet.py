"""Plan and apply, and single objects, over real HTTP: what differs is shown, done once, and on record."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from certline_master.challenges.resolver import Resolver
from certline_master.challenges.rfc2136 import Rfc2136Solver
from certline_master.challenges.visibility import AuthoritativeLook
from certline_master.domain.access import SYSTEM
from certline_master.domain.errors import CaUnreachable
from certline_master.domain.model import Line, Owner
from certline_master.domain.ports import Solver
from tests.integration.api_bed import Bed, running_master, sqlite_url
from tests.integration.api_fleet import FLEET, SECRET, changed, faults, plan, short


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    with running_master(sqlite_url(tmp_path)) as running:
        running.engine.ca.profiles = ("classic", "shortlived")
        yield running


def test_a_plan_shows_what_would_be_made_and_ordered_and_makes_nothing(bed: Bed) -> None:
    planned = plan(bed, FLEET)
    assert short(planned) == [
        "create issuer ca", "create zone example.com", "create http www.example.net", "create follower web-1",
        "create line shop",
    ]  # fmt: skip
    assert planned["orders"] == [
        {
            "line": "shop",
            "names": ["shop.example.com", "*.shop.example.com"],
            "issuer": "ca",
            "reason": "the first certificate",
            "key_type": "ecdsa-p256",
        }
    ]
    assert planned["terms"] == ["https://fake-ca.example/terms"]
    assert bed.ask("GET", "/v1/lines").json() == []


def test_what_was_shown_is_done_and_then_there_is_nothing_to_do(bed: Bed) -> None:
    assert bed.apply(FLEET).status_code == 200
    assert plan(bed, FLEET)["changes"] == []
    assert [line["name"] for line in bed.ask("GET", "/v1/lines").json()] == ["shop"]
    assert {event.actor for event in bed.events("line.created")} == {"admin:the-admin"}


def test_another_spelling_of_the_same_fleet_changes_nothing(bed: Bed) -> None:
    bed.apply(FLEET)
    line = {"follower": "web-1", "names": ["*.SHOP.example.com.", "Shop.Example.com"]}
    fleet = changed(lines={"shop": line}, zones={"example.com": None, "EXAMPLE.com.": FLEET["zones"]["example.com"]})
    assert plan(bed, fleet)["changes"] == []


def test_a_secret_is_stored_sealed_shown_nowhere_and_its_change_is_seen(bed: Bed, tmp_path: Path) -> None:
    planned, applied = plan(bed, FLEET), bed.apply(FLEET)
    shown = bed.ask("GET", "/v1/zones/example.com")
    events = bed.ask("GET", "/v1/events")
    assert shown.json()["has_secret"] is True
    for text in (str(planned), applied.text, shown.text, events.text):
        assert SECRET not in text
    assert all(SECRET.encode() not in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    zone = FLEET["zones"]["example.com"]
    assert plan(bed, changed(zones={"example.com": zone | {"secret": None}}))["changes"] == []
    other = changed(zones={"example.com": zone | {"secret": "b3RoZXI="}})
    assert short(plan(bed, other)) == ["update zone example.com"]
    bed.apply(other)
    with bed.store.read() as records:
        stored = records.zones.get(SYSTEM, "example.com")
        assert records.secrets.read(SYSTEM, "zone-secret", stored.secret or "") == b"b3RoZXI="
    bed.apply(changed(zones={"example.com": zone | {"secret": ""}}))
    assert bed.ask("GET", "/v1/zones/example.com").json()["has_secret"] is False


def test_the_solver_checks_a_zone_with_the_secret_that_it_will_have(bed: Bed) -> None:
    resolver = Resolver(())
    solver = Rfc2136Solver(resolver, AuthoritativeLook(resolver, bed.clock))
    cast("dict[str, Solver]", bed.services.solvers)["rfc2136"] = solver
    signed = {"solver": "rfc2136", "settings": {"server": "192.0.2.53", "key_name": "certline"}}

    def faults_of(zone: dict[str, Any]) -> dict[str, str]:
        return faults(bed, changed(zones={"example.com": zone}))

    place = "/zones/example.com/settings"
    assert "key_name needs the key's secret" in faults_of(signed)[place]
    assert bed.apply(changed(zones={"example.com": signed | {"secret": SECRET}})).status_code == 200
    assert plan(bed, changed(zones={"example.com": signed}))["changes"] == []  # the stored one counts on
    assert "key_name needs the key's secret" in faults_of(signed | {"secret": ""})[place]
    assert "the secret needs the name of its key" in faults_of({"solver": "rfc2136", "settings": {}})[place]


def test_a_plan_that_is_no_longer_true_is_not_done(bed: Bed) -> None:
    planned = plan(bed, FLEET)
    bed.apply(changed(http={"www.example.net": None}))
    answer = bed.ask("POST", "/v1/fleet/apply", {"desired": FLEET, "hash": planned["hash"]})
    assert answer.status_code == 409
    assert [http["name"] for http in bed.ask("GET", "/v1/http").json()] == []


def test_changes_are_made_all_or_none(bed: Bed) -> None:
    bed.apply(FLEET)
    fleet = changed(lines={"blog": {"follower": "web-9", "names": ["blog.example.com"]}}, http={"a.example.net": {}})
    assert bed.apply(fleet).status_code == 422
    assert [http["name"] for http in bed.ask("GET", "/v1/http").json()] == ["www.example.net"]


def test_an_issuer_that_is_known_may_be_away(bed: Bed) -> None:
    bed.apply(FLEET)
    bed.engine.ca.fail("directory", CaUnreachable("away"), times=9)
    assert bed.apply(changed(http={"b.example.net": {}})).status_code == 200


def test_the_profiles_that_were_seen_are_kept(bed: Bed) -> None:
    bed.apply(FLEET)
    assert bed.ask("GET", "/v1/issuers/ca").json()["profiles"] == ["classic", "shortlived"]


def test_a_name_whose_challenge_leads_into_a_zone_by_a_cname_is_good(bed: Bed) -> None:
    bed.engine.dns.cnames["_acme-challenge.www.elsewhere.test"] = "elsewhere.example.com"
    line = {"follower": "web-1", "names": ["www.elsewhere.test"]}
    assert bed.apply(changed(lines={"shop": line})).status_code == 200


def test_an_idn_is_shown_both_ways(bed: Bed) -> None:
    bed.apply(changed(lines={"shop": {"follower": "web-1", "names": ["bücher.example.com"]}}))
    line = bed.ask("GET", "/v1/lines/shop").json()["line"]
    assert line["names"] == ["xn--bcher-kva.example.com"]
    assert line["shown"] == ["xn--bcher-kva.example.com (bücher.example.com)"]


def test_what_the_api_owns_the_file_may_not_take_and_does_not_delete(bed: Bed) -> None:
    bed.ask("PUT", "/v1/followers/web-2", {})
    assert "is managed by single commands" in faults(bed, changed(followers={"web-2": {}}))["/followers/web-2"]
    bed.apply(FLEET)
    assert [one["name"] for one in bed.ask("GET", "/v1/followers").json()] == ["web-1", "web-2"]


def test_what_the_file_owns_single_commands_may_not_change(bed: Bed) -> None:
    bed.apply(FLEET)
    for answer in (bed.ask("PUT", "/v1/followers/web-1", {}), bed.ask("DELETE", "/v1/lines/shop")):
        assert answer.status_code == 409
        assert "belongs to the fleet file" in answer.json()["detail"]


def test_a_plan_that_deletes_much_is_refused_unless_forced(bed: Bed) -> None:
    bed.apply(FLEET)
    fewer = changed(http={"www.example.net": None}, lines={"shop": None})
    planned = plan(bed, fewer)
    assert "deletes 2 of 5 objects" in planned["guard"]
    refused = bed.apply(fewer)
    assert (refused.status_code, "--force" in refused.json()["detail"]) == (409, True)
    assert bed.apply(fewer, force=True).status_code == 200
    assert bed.ask("GET", "/v1/lines").json() == []


def test_an_emptied_fleet_leaves_nothing_of_the_files_behind(bed: Bed) -> None:
    bed.apply(FLEET)
    assert bed.apply({}, force=True).status_code == 200
    for section in ("issuers", "zones", "http", "lines", "followers"):
        assert bed.ask("GET", f"/v1/{section}").json() == []


def test_a_follower_that_leaves_the_file_takes_its_own_lines_along(bed: Bed) -> None:
    bed.apply(FLEET)
    with bed.store.read() as records:
        follower = records.followers.get(SYSTEM, "web-1")
    own = Line("own-line", "blog@web-1", Owner.FOLLOWER, follower.id, ("blog.example.com",))
    bed.store.write(lambda records: records.lines.save(SYSTEM, own))
    without = changed(followers={"web-1": None}, lines={"shop": None})
    assert short(plan(bed, without)) == ["delete line shop", "delete line blog@web-1", "delete follower web-1"]
    assert bed.apply(without, force=True).status_code == 200


def test_a_line_that_moves_to_another_follower_is_made_anew(bed: Bed) -> None:
    bed.apply(FLEET)
    moved = changed(followers={"web-2": {}}, lines={"shop": FLEET["lines"]["shop"] | {"follower": "web-2"}})
    assert short(plan(bed, moved)) == ["delete line shop", "create follower web-2", "create line shop"]
    assert bed.apply(moved, force=True).status_code == 200
    assert bed.ask("GET", "/v1/lines/shop").json()["line"]["follower"] == "web-2"


def test_the_default_can_move_from_one_issuer_to_another(bed: Bed) -> None:
    bed.apply(FLEET)
    ca = FLEET["issuers"]["ca"]
    both = changed(issuers={"ca": ca | {"default": False}, "a-new-one": ca})
    assert bed.apply(both).status_code == 200
    assert bed.ask("GET", "/v1/lines/shop").json()["line"]["issuer"] == "a-new-one"


def test_an_issuer_in_use_is_not_deleted(bed: Bed) -> None:
    ca = {"directory": "https://fake-ca.example/dir", "default": True, "profile": "classic"}
    assert bed.ask("PUT", "/v1/issuers/own", ca).status_code == 200
    bed.ask("PUT", "/v1/zones/example.com", {"solver": "rfc2136"})
    bed.ask("PUT", "/v1/followers/web-1", {})
    bed.ask("PUT", "/v1/lines/shop", {"follower": "web-1", "names": ["a.example.com"], "issuer": "own"})
    refused = bed.ask("DELETE", "/v1/issuers/own")
    assert (refused.status_code, "still uses the issuer own" in refused.json()["detail"]) == (409, True)
    assert bed.ask("DELETE", "/v1/lines/shop").status_code == 200
    assert bed.ask("DELETE", "/v1/issuers/own").status_code == 200


def test_a_follower_is_not_deleted_under_a_line(bed: Bed) -> None:
    bed.ask("PUT", "/v1/issuers/own", {"directory": "https://fake-ca.example/dir", "default": True})
    bed.ask("PUT", "/v1/zones/example.com", {"solver": "rfc2136"})
    bed.ask("PUT", "/v1/followers/web-1", {})
    bed.ask("PUT", "/v1/lines/shop", {"follower": "web-1", "names": ["a.example.com"]})
    assert bed.ask("DELETE", "/v1/followers/web-1").status_code == 409


def test_putting_the_same_object_again_changes_nothing(bed: Bed) -> None:
    first = bed.ask("PUT", "/v1/zones/example.com", {"solver": "rfc2136", "secret": SECRET})
    assert short(first.json()) == ["create zone example.com"]
    again = bed.ask("PUT", "/v1/zones/example.com", {"solver": "rfc2136"})
    assert again.json() == {"changes": [], "orders": [], "warnings": []}
    assert bed.ask("GET", "/v1/zones/EXAMPLE.com.").json()["has_secret"] is True


def test_the_faults_of_a_single_object_are_counted_from_its_own_body(bed: Bed) -> None:
    answer = bed.ask("PUT", "/v1/followers/web-1", {"grants": {"request": ["10.0.0.1"]}})
    assert [error["field"] for error in answer.json()["errors"]] == ["/grants/request/0"]
