"""Lines whose key the master keeps, in the fleet as it is wanted: changes, orders and faults."""

from dataclasses import replace

import pytest

from certline_master.domain.fleet import FILE, Current, DesiredFleet, DesiredFollower, DesiredGrants, DesiredLine
from certline_master.domain.fleet_changes import Change, FieldChange, difference
from certline_master.domain.fleet_faults import faults
from certline_master.domain.model import Custody, Follower, FollowerState, Issuer, Line, Owner
from certline_master.domain.orders_caused import orders_caused

NAMES = ("shop.example.com",)
HOST = Follower("f-1", "web-1", Owner.FILE, FollowerState.ACTIVE)
ISSUER = Issuer("i-1", "ca", Owner.API, "https://ca.example/dir", is_default=True)
OWN = Line("l-1", "shop", Owner.FILE, "f-1", NAMES)
SHARED = replace(OWN, follower_id=None, custody=Custody.MASTER)
WANT_OWN, WANT_SHARED = DesiredLine(NAMES, "web-1"), DesiredLine(NAMES, custody=Custody.MASTER)


def wanted(line: DesiredLine, *pulls: str) -> DesiredFleet:
    return DesiredFleet(lines={"shop": line}, followers={"web-1": DesiredFollower(DesiredGrants((), pulls))})


def current(*lines: Line) -> Current:
    return Current(issuers=(ISSUER,), lines=lines, followers=(HOST,))


def of_lines(have: Current, want: DesiredFleet) -> list[Change]:
    return [change for change in difference(have, want, FILE, str) if change.kind == "line"]


def told(want: DesiredFleet, *lines: Line) -> list[tuple[str, str]]:
    return [(fault.field, fault.detail) for fault in faults(want, current(*lines), FILE, ("rfc2136", "listener"))]


def test_a_shared_line_is_made_without_a_follower() -> None:
    (change,) = of_lines(current(), wanted(WANT_SHARED))
    assert change.action == "create"
    assert FieldChange("custody", None, "master") in change.fields
    assert not any(field.field == "follower" for field in change.fields)


def test_a_line_of_the_usual_custody_says_nothing_of_it() -> None:
    (change,) = of_lines(current(), wanted(WANT_OWN))
    assert not any(field.field == "custody" for field in change.fields)


def test_a_shared_line_that_is_as_it_is_wanted_needs_no_change() -> None:
    assert of_lines(current(SHARED), wanted(WANT_SHARED)) == []


@pytest.mark.parametrize(("have", "want"), [(OWN, WANT_SHARED), (SHARED, WANT_OWN)], ids=["to master", "to host"])
def test_a_line_whose_custody_moves_stays_the_same_line_and_is_ordered_anew(have: Line, want: DesiredLine) -> None:
    desired = wanted(want)
    (change,) = of_lines(current(have), desired)
    assert change.action == "update"
    assert {field.field for field in change.fields} == {"custody", "follower"}
    (order,) = orders_caused([change], current(have), desired)
    assert (order.line, order.reason) == ("shop", "the custody changed")


def test_a_line_that_moves_from_host_to_host_is_still_made_anew() -> None:
    other = replace(OWN, follower_id="f-2")
    have = replace(current(other), followers=(HOST, replace(HOST, id="f-2", name="web-2")))
    assert [change.action for change in of_lines(have, wanted(WANT_OWN))] == ["delete", "create"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (DesiredLine(NAMES), "is missing: name the host that keeps the key, or write `custody: master`"),
        (DesiredLine(NAMES, "web-9"), "there is no follower 'web-9': add it to `followers:`"),
        (
            DesiredLine(NAMES, "web-1", custody=Custody.MASTER),
            "the master keeps the key of this line: leave it out, and grant followers to pull the line",
        ),
    ],
)
def test_whose_the_key_is_must_be_told_once_and_rightly(line: DesiredLine, text: str) -> None:
    assert told(wanted(line)) == [("/lines/shop/follower", text)]


def test_only_a_shared_line_can_be_pulled() -> None:
    assert told(wanted(WANT_SHARED, "shop")) == []
    ((place, text),) = told(wanted(WANT_OWN, "shop"))
    assert place == "/followers/web-1/grants/pull/0"
    assert "custody: master" in text
