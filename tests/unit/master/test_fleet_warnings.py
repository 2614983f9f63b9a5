"""What a plan warns of, and what it refuses for a CA's or a profile's sake; nothing is asked for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from certline_master.domain.fleet import FILE, Current, DesiredFleet, DesiredIssuer, DesiredKey, DesiredLine, Scope
from certline_master.domain.fleet_faults import faults
from certline_master.domain.fleet_warnings import Wished
from certline_master.domain.model import Custody, Issuer, Line, LineOptions, Owner
from certline_shared.keys import KeyType

LETS_ENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
PRIVATE = "https://ca.example/dir"
OFFERED = {"le": ("classic", "shortlived", "tlsserver")}
NOW = datetime(2026, 11, 20, tzinfo=UTC)
BOTH = (KeyType.RSA_2048, KeyType.ECDSA_P256)
NAMES = ("shop.example.com", "www.example.com")


def wished(directory: str = LETS_ENCRYPT, *, current: Current | None = None, **lines: DesiredLine) -> Wished:
    fleet = DesiredFleet(issuers={"le": DesiredIssuer(directory, default=True)}, lines=lines)
    return Wished(fleet, current or Current(), FILE, NOW, OFFERED if directory == LETS_ENCRYPT else {})


def line(**members: object) -> DesiredLine:
    return replace(DesiredLine(NAMES, "web-1"), **members)  # type: ignore[arg-type]  # the members' own types


def told(found: Wished) -> dict[str, str]:
    return {one.field: one.detail for one in found.warnings()}


def test_a_usual_line_is_nothing_to_warn_of() -> None:
    assert told(wished(shop=line())) == {}
    assert told(wished(shop=line(key_types=BOTH))) == {}


@pytest.mark.parametrize(
    ("member", "members", "detail"),
    [
        ("key_types", {"key_types": (KeyType.ECDSA_P521,)}, "Let's Encrypt refuses ecdsa-p521 keys"),
        ("must_staple", {"options": LineOptions(must_staple=True)}, "answers no OCSP"),
        ("purposes", {"options": LineOptions(purposes=("server", "client"))}, "no client-auth EKU"),
        (
            "common_name",
            {"options": LineOptions(common_name=NAMES[0]), "profile": "tlsserver"},
            "certificates of the profile tlsserver have none",
        ),
    ],
    ids=["key type", "Must-Staple", "client auth", "common name"],
)
def test_what_a_public_ca_does_not_give_is_told(member: str, members: dict[str, object], detail: str) -> None:
    """Section 4 line 13: the purpose lint at plan time."""
    ((place, text),) = told(wished(shop=line(**members))).items()

    assert place == f"/lines/shop/{member}"
    assert detail in text
    assert told(wished(PRIVATE, shop=line(**members))) == {}


def test_more_names_than_the_profile_takes_are_refused_before_any_order() -> None:
    names = tuple(f"n{number}.example.com" for number in range(26))

    (fault,) = wished(shop=line(names=names, profile="tlsserver")).names_over_limit()

    assert fault.field == "/lines/shop/names"
    assert "26 names: the profile tlsserver takes at most 25" in fault.detail
    assert wished(shop=line(names=names)).names_over_limit() == []
    assert wished(shop=line(names=names[:25], profile="tlsserver")).names_over_limit() == []


def test_a_hundred_and_one_names_are_refused_before_any_order() -> None:
    """2.0 line 4."""
    names = tuple(f"n{number}.example.com" for number in range(101))
    fleet = wished(PRIVATE, shop=line(names=names)).desired

    found = {fault.field: fault.detail for fault in faults(fleet, Current(), FILE, ())}

    assert "101 names: at most 100 fit one certificate" in found["/lines/shop/names"]


def test_a_wildcard_beside_a_name_that_it_covers_is_refused_naming_both() -> None:
    """2.1 line 5."""
    fleet = wished(PRIVATE, shop=line(names=("www.example.com", "*.example.com"))).desired

    found = {fault.field: fault.detail for fault in faults(fleet, Current(), FILE, ())}

    assert "'*.example.com' already covers 'www.example.com'" in found["/lines/shop/names"]


@pytest.mark.parametrize(
    ("member", "options", "detail"),
    [
        ("common_name", LineOptions(common_name="mail.example.com"), "mail.example.com is not among the names"),
        ("renew_before", LineOptions(renew_before="a month"), "is not a duration"),
        ("renew_before", LineOptions(renew_before="100%"), "is not between 0% and 100%"),
        ("renew_before", LineOptions(renew_before="0d"), "is no time before the end"),
        ("renew_after", LineOptions(renew_after="33%"), "is not a duration"),
        ("renew_after", LineOptions(renew_after="10m"), "younger than an hour"),
        ("purposes", LineOptions(purposes=("mail",)), "there is no purpose 'mail': use server or client"),
    ],
)
def test_an_option_that_cannot_be_is_refused(member: str, options: LineOptions, detail: str) -> None:
    """2.1 line 4, first half: a common name that is not among the names."""
    fleet = wished(PRIVATE, shop=line(options=options)).desired

    found = {fault.field: fault.detail for fault in faults(fleet, Current(), FILE, ())}

    assert detail in found[f"/lines/shop/options/{member}"]


def test_a_common_name_that_is_too_long_for_one_is_refused() -> None:
    long = f"{'a' * 60}.example.com"
    fleet = wished(PRIVATE, shop=line(names=(long,), options=LineOptions(common_name=long))).desired

    (fault,) = (one for one in faults(fleet, Current(), FILE, ()) if "common_name" in one.field)

    assert "at most 64" in fault.detail


# --- renewal ---


@pytest.mark.parametrize(
    ("before", "lifetime", "detail"),
    [
        ("60d", None, "its certificates live for 90 days: half of it (45 days) is meant"),
        ("46d", timedelta(days=90), "half of it (45 days) is meant"),
        ("30d", timedelta(days=45), "its certificates live for 45 days: half of it (22.5 days) is meant"),
        ("51%", None, "51% is more than half the lifetime"),
    ],
)
def test_a_time_before_the_end_that_is_cut_to_half_the_lifetime_is_told(
    before: str, lifetime: timedelta | None, detail: str
) -> None:
    found = wished(shop=line(options=LineOptions(renew_before=before)))
    found = replace(found, lifetimes={"shop": lifetime} if lifetime else {})

    assert detail in told(found)["/lines/shop/renew_before"]


@pytest.mark.parametrize("before", ["45d", "42.42d", "50%", "33%"])
def test_a_time_before_the_end_that_is_kept_is_nothing_to_warn_of(before: str) -> None:
    assert told(wished(shop=line(options=LineOptions(renew_before=before)))) == {}


def test_the_lifetime_of_a_profile_is_the_one_of_that_day() -> None:
    later = replace(wished(shop=line(options=LineOptions(renew_before="40d"))), now=datetime(2027, 3, 1, tzinfo=UTC))

    assert "live for 64 days" in told(later)["/lines/shop/renew_before"]


@pytest.mark.parametrize(
    ("after", "key_types", "detail"),
    [
        ("1d", (KeyType.ECDSA_P256,), "write at least 1.4 days"),
        ("3d", BOTH, "write at least 3.5 days"),
        ("90d", (KeyType.ECDSA_P256,), "renewed with a tenth of that left"),
    ],
)
def test_an_age_that_the_ca_cannot_carry_is_told(after: str, key_types: tuple[KeyType, ...], detail: str) -> None:
    found = told(wished(shop=line(key_types=key_types, options=LineOptions(renew_after=after))))

    assert detail in found["/lines/shop/renew_after"]


@pytest.mark.parametrize(("after", "key_types"), [("36h", (KeyType.ECDSA_P256,)), ("3.5d", BOTH), ("7d", BOTH)])
def test_an_age_that_the_ca_can_carry_is_nothing_to_warn_of(after: str, key_types: tuple[KeyType, ...]) -> None:
    assert told(wished(shop=line(key_types=key_types, options=LineOptions(renew_after=after)))) == {}


# --- the same names in several lines ---


def test_two_key_types_on_three_hosts_with_keys_of_their_own_are_six_and_one_key_for_all_is_proposed() -> None:
    hosts = {f"web-{number}": line(follower=f"web-{number}", key_types=BOTH) for number in (1, 2, 3)}

    found = told(wished(LETS_ENCRYPT, current=None, **hosts))

    assert set(found) == {f"/lines/web-{number}/names" for number in (1, 2, 3)}
    assert found["/lines/web-1/names"] == (
        "6 certificates for exactly these names at a time (web-1, web-2, web-3): Let's Encrypt gives 5 in 7 days; "
        "make one line of them with `custody: master` and grant its hosts to pull it"
    )
    assert told(wished(shop=line(follower=None, custody=Custody.MASTER, key_types=BOTH))) == {}


def test_lines_of_others_count_too_and_only_those_with_exactly_the_same_names_at_the_same_ca() -> None:
    issuer = Issuer("i-1", "le", Owner.FILE, LETS_ENCRYPT, is_default=True)
    elsewhere = Issuer("i-2", "private", Owner.FILE, PRIVATE)
    asked = tuple(Line(f"l-{n}", f"own@web-{n}", Owner.FOLLOWER, f"f-{n}", NAMES[::-1]) for n in range(4))
    others = (
        Line("l-8", "more", Owner.API, "f-1", (*NAMES, "mail.example.com")),
        Line("l-9", "inside", Owner.API, "f-1", NAMES, issuer_id="i-2"),
    )
    current = Current(issuers=(issuer, elsewhere), lines=(*asked, *others))

    assert told(wished(current=current, shop=line())) == {}
    assert "6 certificates" in told(wished(current=current, shop=line(key_types=BOTH)))["/lines/shop/names"]


def test_a_single_object_is_judged_beside_all_the_others() -> None:
    issuer = Issuer("i-1", "le", Owner.FILE, LETS_ENCRYPT, is_default=True)
    held = tuple(Line(f"l-{n}", f"shop-{n}", Owner.API, f"f-{n}", NAMES) for n in range(5))
    fleet = DesiredFleet(lines={"shop-5": line()})

    found = Wished(fleet, Current(issuers=(issuer,), lines=held), Scope(Owner.API, ("line", "shop-5")), NOW)

    assert "6 certificates" in told(found)["/lines/shop-5/names"]


def test_a_key_and_a_line_of_one_name_are_refused_naming_it() -> None:
    """2.1 line 3."""
    fleet = replace(wished(PRIVATE, shop=line()).desired, keys={"shop": DesiredKey()})

    found = {fault.field: fault.detail for fault in faults(fleet, Current(), FILE, ())}

    assert "a line is called shop too" in found["/keys/shop"]
