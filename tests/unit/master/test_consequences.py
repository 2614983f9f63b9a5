"""What a plan says of deletions and withdrawn grants: hosts keep what they have."""

from certline_master.domain.consequences import consequences
from certline_master.domain.fleet_changes import Change, FieldChange


def test_a_deleted_line_says_what_becomes_of_order_and_files() -> None:
    (said,) = consequences([Change("line", "delete", "shop")])
    assert said.startswith("line shop: an order that runs is stopped")
    assert "not revoked" in said
    assert "stays in use" in said


def test_a_deleted_follower_or_group_says_what_stays() -> None:
    follower, group = consequences([Change("follower", "delete", "web-1"), Change("group", "delete", "web")])
    assert "web-1: refused from now on" in follower
    assert "lose the grants" in group


def test_withdrawn_grants_are_named_and_new_ones_are_not() -> None:
    before = {"request": ["old.example", "xn--bcher-kva.example"], "pull": ["shop", "mail"]}
    after = {"request": ["new.example"], "pull": ["mail"]}
    names, lines = consequences([Change("follower", "update", "web-1", (FieldChange("grants", before, after),))])
    assert "bücher.example" in names
    assert "old.example" in names
    assert "new.example" not in names
    assert "nothing more of shop" in lines
    assert "mail" not in lines


def test_what_takes_nothing_away_says_nothing() -> None:
    more = FieldChange("grants", {"request": ["a.example"]}, {"request": ["a.example", "b.example"]})
    changes = [
        Change("line", "create", "shop"),
        Change("line", "update", "shop", (FieldChange("names", ["a"], ["b"]),)),
        Change("follower", "update", "web-1", (more,)),
        Change("group", "update", "web", (FieldChange("grants", None, {"pull": ["shop"]}),)),
        Change("zone", "delete", "example.com"),
    ]
    assert consequences(changes) == ()
