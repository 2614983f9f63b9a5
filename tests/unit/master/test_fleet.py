"""The fleet as it is wanted beside the fleet as it is: changes, orders, the guard, faults. No store, no network."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.domain.errors import SolverError
from certline_master.domain.fleet import (
    FILE,
    Current,
    DesiredFleet,
    DesiredFollower,
    DesiredGrants,
    DesiredHttp,
    DesiredIssuer,
    DesiredLine,
    DesiredZone,
    Scope,
    normal,
)
from certline_master.domain.fleet_changes import Change, difference, guard
from certline_master.domain.fleet_faults import faults, unknown_profiles, unproven, why_unproven
from certline_master.domain.model import (
    Follower,
    FollowerState,
    Grant,
    GrantKind,
    HttpName,
    Issuer,
    Line,
    Owner,
    Zone,
)
from certline_master.domain.orders_caused import orders_caused
from certline_shared.keys import KeyType

SOLVERS = ("rfc2136", "responder", "listener")

CURRENT = Current(
    issuers=(Issuer("i-1", "ca", Owner.FILE, "https://ca.example/dir", is_default=True),),
    zones=(Zone("z-1", "example.com", Owner.FILE, "rfc2136", {"server": "192.0.2.1"}, "s-1"),),
    http=(HttpName("h-1", "www.example.net", Owner.FILE),),
    lines=(Line("l-1", "shop", Owner.FILE, "f-1", ("shop.example.com",)),),
    followers=(
        Follower("f-1", "web-1", Owner.FILE, FollowerState.ACTIVE, (Grant(GrantKind.REQUEST, "blog.example.com"),)),
    ),
    secrets={"example.com": "digest of key"},
)
WANTED = DesiredFleet(
    issuers={"ca": DesiredIssuer("https://ca.example/dir", default=True)},
    zones={"example.com": DesiredZone("rfc2136", {"server": "192.0.2.1"}, "key")},
    http={"www.example.net": DesiredHttp()},
    lines={"shop": DesiredLine(("shop.example.com",), "web-1")},
    followers={"web-1": DesiredFollower(DesiredGrants(("blog.example.com",)))},
)


def digest(secret: str) -> str:
    return f"digest of {secret}"


def changes(wanted: DesiredFleet, current: Current = CURRENT, scope: Scope = FILE) -> tuple[Change, ...]:
    return difference(current, normal(wanted), scope, digest)


def short(found: tuple[Change, ...]) -> list[str]:
    return [f"{change.action} {change.kind} {change.name}" for change in found]


def with_line(**members: object) -> DesiredFleet:
    return replace(WANTED, lines={"shop": replace(WANTED.lines["shop"], **members)})  # type: ignore[arg-type]


def test_a_fleet_that_is_as_it_is_wanted_needs_no_change() -> None:
    assert changes(WANTED) == ()


def test_an_empty_wish_deletes_what_the_file_owns_users_before_what_they_use() -> None:
    assert short(changes(DesiredFleet())) == [
        "delete line shop", "delete follower web-1", "delete http www.example.net", "delete zone example.com",
        "delete issuer ca",
    ]  # fmt: skip


def test_everything_is_made_before_what_refers_to_it() -> None:
    assert short(changes(WANTED, Current())) == [
        "create issuer ca", "create zone example.com", "create http www.example.net", "create follower web-1",
        "create line shop",
    ]  # fmt: skip


@pytest.mark.parametrize("owner", [Owner.API, Owner.FOLLOWER])
def test_what_the_file_does_not_own_is_left_alone(owner: Owner) -> None:
    foreign = Current(
        issuers=(replace(CURRENT.issuers[0], owner=owner),), zones=(replace(CURRENT.zones[0], owner=owner),),
        http=(replace(CURRENT.http[0], owner=owner),), lines=(replace(CURRENT.lines[0], owner=owner),),
        followers=(replace(CURRENT.followers[0], owner=owner),),
    )  # fmt: skip
    assert changes(DesiredFleet(), foreign) == ()


def test_a_scope_of_one_object_leaves_its_neighbours_alone() -> None:
    ours = replace(
        CURRENT, lines=tuple(replace(CURRENT.lines[0], id=name, name=name, owner=Owner.API) for name in "ab")
    )
    assert short(changes(DesiredFleet(), ours, Scope(Owner.API, ("line", "a")))) == ["delete line a"]


def test_a_change_shows_each_field_before_and_after() -> None:
    (change,) = changes(with_line(names=("shop.example.com", "www.example.com"), profile="classic"))
    assert {one.field: (one.before, one.after) for one in change.fields} == {
        "names": (["shop.example.com"], ["shop.example.com", "www.example.com"]),
        "profile": (None, "classic"),
    }


def test_the_order_and_spelling_of_names_is_no_change() -> None:
    current = replace(CURRENT, lines=(replace(CURRENT.lines[0], names=("a.example.com", "b.example.com")),))
    wanted = with_line(names=("B.example.com.", "a.EXAMPLE.com"))
    assert changes(wanted, current) == ()


def test_of_a_secret_only_its_digests_beginning_is_shown() -> None:
    zone = replace(WANTED.zones["example.com"], secret="another key")
    (change,) = changes(replace(WANTED, zones={"example.com": zone}))
    assert [one.field for one in change.fields] == ["secret"]
    assert "another key" not in repr(change)
    assert "another key" not in repr(zone)


def test_a_secret_that_is_left_out_stays_and_an_empty_one_is_removed() -> None:
    def wish(secret: str | None) -> DesiredFleet:
        return replace(WANTED, zones={"example.com": replace(WANTED.zones["example.com"], secret=secret)})

    assert changes(wish(None)) == ()
    (change,) = changes(wish(""))
    assert change.fields[0].after is None


def test_a_line_for_another_follower_is_deleted_and_made_anew() -> None:
    wanted = replace(with_line(follower="web-2"), followers=WANTED.followers | {"web-2": DesiredFollower()})
    assert short(changes(wanted)) == ["delete line shop", "create follower web-2", "create line shop"]


def test_orders_follow_from_new_lines_and_from_other_names_or_key_types() -> None:
    def caused(wanted: DesiredFleet, current: Current = CURRENT) -> list[tuple[str, str | None, str]]:
        found = orders_caused(changes(wanted, current), current, wanted)
        return [(order.line, order.issuer, order.reason) for order in found]

    assert caused(WANTED) == []
    assert caused(WANTED, Current()) == [("shop", "ca", "the first certificate")]
    assert caused(with_line(names=("a.example.com",))) == [("shop", "ca", "the names changed")]
    assert caused(with_line(key_types=(KeyType.RSA_2048,))) == [("shop", "ca", "the key types changed")]
    assert caused(with_line(profile="shortlived")) == [("shop", "ca", "the profile changed")]
    both = (KeyType.RSA_2048, KeyType.ECDSA_P256)
    assert caused(with_line(key_types=both)) == 2 * [("shop", "ca", "the key types changed")]


@pytest.mark.parametrize(("kept", "refused"), [(4, True), (7, True), (8, False), (9, False), (10, False)], ids=str)
def test_more_than_a_fifth_deleted_is_refused(kept: int, refused: bool) -> None:
    current = Current(http=tuple(HttpName(f"h-{n}", f"n{n}.example.net", Owner.FILE) for n in range(10)))
    wanted = DesiredFleet(http={f"n{n}.example.net": DesiredHttp() for n in range(kept)})
    assert bool(guard(changes(wanted, current), current, FILE)) is refused


def test_a_small_fleet_may_be_emptied() -> None:
    current = Current(http=tuple(HttpName(f"h-{n}", f"n{n}.example.net", Owner.FILE) for n in range(4)))
    assert guard(changes(DesiredFleet(), current), current, FILE) is None


HTTP_NAMES = st.sampled_from([f"{letter}.example.net" for letter in "abcd"])


@given(held=st.dictionaries(HTTP_NAMES, st.sampled_from(list(Owner))), wanted=st.sets(HTTP_NAMES))
def test_a_plan_makes_what_is_wanted_and_touches_only_its_own(held: dict[str, Owner], wanted: set[str]) -> None:
    current = Current(http=tuple(HttpName(name, name, owner) for name, owner in held.items()))
    desired = DesiredFleet(http={name: DesiredHttp() for name in wanted})
    if faults(desired, current, FILE, SOLVERS):
        return  # somebody else's
    after = dict(held)
    for change in difference(current, desired, FILE, digest):
        if change.action == "delete":
            assert after.pop(change.name) is Owner.FILE
        else:
            assert change.name not in after
            after[change.name] = Owner.FILE
    assert {name for name, owner in after.items() if owner is Owner.FILE} == wanted
    assert {name for name, owner in held.items() if owner is not Owner.FILE} <= set(after)


# --- faults ---


def fields(wanted: DesiredFleet, current: Current = CURRENT, scope: Scope = FILE) -> list[str]:
    return [fault.field for fault in faults(wanted, current, scope, SOLVERS)]


def test_a_good_fleet_has_no_fault() -> None:
    assert fields(WANTED) == []
    assert fields(WANTED, Current()) == []


def test_an_object_of_somebody_elses_is_a_fault_whatever_its_spelling() -> None:
    current = replace(CURRENT, http=(replace(CURRENT.http[0], owner=Owner.API),))
    assert fields(replace(WANTED, http={"WWW.example.net.": DesiredHttp()}), current) == ["/http/WWW.example.net."]


def test_references_to_what_others_own_are_good() -> None:
    current = replace(
        CURRENT,
        issuers=(replace(CURRENT.issuers[0], owner=Owner.API),),
        followers=(replace(CURRENT.followers[0], owner=Owner.API),),
    )
    wanted = replace(with_line(issuer="ca"), issuers={}, followers={})
    assert fields(wanted, current) == []


def test_a_second_default_issuer_is_a_fault_even_when_the_first_is_anothers() -> None:
    api = replace(CURRENT.issuers[0], name="other", id="i-2", owner=Owner.API)
    assert fields(WANTED, replace(CURRENT, issuers=(api,))) == ["/issuers/ca/default"]


def test_a_line_without_issuer_needs_a_default() -> None:
    wanted = replace(WANTED, issuers={"ca": DesiredIssuer("https://ca.example/dir")})
    assert fields(wanted) == ["/lines/shop"]
    assert fields(replace(wanted, lines={"shop": replace(WANTED.lines["shop"], issuer="ca")})) == []


def test_what_a_line_of_the_apis_needs_may_not_go() -> None:
    line = replace(CURRENT.lines[0], owner=Owner.API, issuer_id="i-1")
    current = replace(CURRENT, lines=(line,))
    assert fields(replace(WANTED, issuers={}, lines={}), current) == ["/issuers"]
    assert fields(replace(WANTED, followers={}, lines={}), current) == ["/followers"]


def test_a_place_with_a_slash_in_it_is_escaped_as_json_pointers_are() -> None:
    assert fields(replace(WANTED, followers=WANTED.followers | {"a/b~c": DesiredFollower()})) == ["/followers/a~1b~0c"]


@pytest.mark.parametrize(
    "url",
    [
        "http://ca.example/",
        "ca.example",
        "https://",
        "https://u@ca.example/",
        "https://ca.example/#x",
        "https://[",
        "https://ca.example:99999/",
        "",
    ],
)
def test_a_directory_is_a_plain_https_url(url: str) -> None:
    assert fields(replace(WANTED, issuers={"ca": DesiredIssuer(url, default=True)})) == ["/issuers/ca/directory"]


def unreachable(record: str) -> str:
    raise AssertionError(f"nobody should ask for {record}")


def leads_to(target: str) -> Callable[[str], str]:
    return lambda _record: target


def test_dns_is_asked_only_where_no_zone_covers_a_name() -> None:
    assert unproven(WANTED, CURRENT.http, CURRENT.zones, unreachable) == []
    assert unproven(with_line(names=("www.example.net",)), CURRENT.http, CURRENT.zones, unreachable) == []


def test_a_cname_into_a_zone_proves_a_name() -> None:
    wanted = with_line(names=("shop.example.com", "elsewhere.test"))
    assert unproven(wanted, CURRENT.http, CURRENT.zones, leads_to("x.example.com")) == []
    (fault,) = unproven(wanted, CURRENT.http, CURRENT.zones, leads_to("x.other.test"))
    assert fault.field == "/lines/shop/names/1"
    assert "CNAME" in fault.detail


def test_a_wildcard_is_not_proven_by_http() -> None:
    error = why_unproven("*.www.example.net", CURRENT.http, CURRENT.zones, unreachable)
    assert isinstance(error, SolverError)
    assert "http-01 cannot prove" in str(error)


def test_a_profile_that_is_not_listed_is_a_fault_that_lists_them() -> None:
    def found(profile: str | None, offered: tuple[str, ...]) -> list[str]:
        wanted = replace(WANTED, issuers={"ca": DesiredIssuer("https://ca.example/dir", profile=profile)})
        return [fault.detail for fault in unknown_profiles(wanted, CURRENT, {"ca": offered})]

    assert found("classic", ("classic", "fast")) == []
    assert found(None, ("classic", "fast")) == []
    assert found(None, ("only",)) == []
    assert found(None, ()) == []
    assert found("fast", ("classic",)) == ["the issuer does not offer the profile 'fast'; it offers classic"]
    assert found("fast", ()) == ["the issuer does not offer the profile 'fast'; it offers none"]
    assert found(None, ("a", "b")) == ["the issuer offers several profiles and none is configured; choose one of a, b"]


def test_the_profile_of_an_issuer_that_was_not_asked_is_not_judged() -> None:
    wanted = replace(WANTED, issuers={"ca": DesiredIssuer("https://ca.example/dir", profile="fast", default=True)})
    assert unknown_profiles(wanted, CURRENT, {}) == []
