"""What a plan refuses, and warns of, in the TLSA records that lines wish for."""

from typing import Any

import pytest

from certline_master.domain.dane_faults import tlsa_warnings
from certline_master.domain.fleet import FILE, Current, DesiredFleet, DesiredFollower, DesiredLine, DesiredZone, normal
from certline_master.domain.fleet_faults import faults
from certline_master.domain.model import Issuer, LineOptions, Owner, TlsaWish

ISSUER = Issuer("i-1", "ca", Owner.API, "https://ca.example/dir", is_default=True)
PLACE = "/lines/shop/options/tlsa/0"


def line(*wishes: TlsaWish, names: tuple[str, ...] = ("shop.example.com",), **options: Any) -> DesiredLine:
    return DesiredLine(names, "web-1", options=LineOptions(tlsa=wishes, **options))


def fleet(wished: DesiredLine, solver: str = "rfc2136") -> DesiredFleet:
    zones = {"example.com": DesiredZone(solver)}
    return DesiredFleet(lines={"shop": wished}, zones=zones, followers={"web-1": DesiredFollower()})


def told(wished: DesiredLine, solver: str = "rfc2136") -> list[tuple[str, str]]:
    found = faults(fleet(wished, solver), Current(issuers=(ISSUER,)), FILE, ("rfc2136", "responder", "listener"))
    return [(fault.field, fault.detail) for fault in found]


def test_a_plain_wish_is_fine() -> None:
    assert told(line(TlsaWish(), TlsaWish(host="mx.example.com", port=25))) == []


@pytest.mark.parametrize(
    ("member", "value", "text"),
    [
        ("port", 0, "from 1 to 65535"),
        ("protocol", "icmp", "use one of tcp, udp, sctp"),
        ("usage", "3", "use one of pkix-ta, pkix-ee, dane-ta, dane-ee"),
        ("selector", "key", "use one of cert, spki"),
        ("matching", "sha1", "use one of full, sha256, sha512, both"),
        ("ttl", 1_000_000, "at most 604800"),
        ("host", "*.example.com", "is a wildcard"),
        ("host", "not a name", "not a name"),
        ("root", "no PEM", "is no certificate"),
    ],
)
def test_a_fault_names_the_member_and_what_to_write(member: str, value: object, text: str) -> None:
    usage = {"usage": "dane-ta"} if member == "root" else {}
    ((place, said),) = told(line(TlsaWish(**{member: value}, **usage)))  # type: ignore[arg-type]  # the member's own type
    assert place == f"{PLACE}/{member}"
    assert text in said


def test_a_root_belongs_to_trust_anchors() -> None:
    assert any("belongs to the usages pkix-ta and dane-ta" in said for _, said in told(line(TlsaWish(root="x"))))


def test_a_line_of_wildcards_has_to_name_the_host() -> None:
    ((place, said),) = told(line(TlsaWish(), names=("*.example.com",)))
    assert (place, "name the host of the service" in said) == (f"{PLACE}/host", True)


def test_the_same_wish_twice_is_one_too_many() -> None:
    assert told(line(TlsaWish(), TlsaWish())) == [("/lines/shop/options/tlsa/1", "is there twice: remove one")]


def test_a_zone_that_cannot_hold_them_is_said_at_plan_time() -> None:
    ((place, said),) = told(line(TlsaWish()), "responder")
    assert place == f"{PLACE}/host"
    assert "whose solver responder has no TLSA records" in said


def test_the_policy_is_one_of_two() -> None:
    assert told(line(TlsaWish(), tlsa_before_expiry="go")) == []
    ((place, _),) = told(line(TlsaWish(), tlsa_before_expiry="perhaps"))
    assert place == "/lines/shop/options/tlsa_before_expiry"


def test_hosts_are_brought_into_normal_form() -> None:
    (wish,) = normal(fleet(line(TlsaWish(host="MX.Example.com.")))).lines["shop"].options.tlsa
    assert wish.host == "mx.example.com"


def test_a_record_that_changes_with_each_certificate_is_warned_of() -> None:
    """A next key has no certificate whose record could be published before."""
    assert [*tlsa_warnings(line(TlsaWish()))] == []
    (said,) = tlsa_warnings(line(TlsaWish(selector="cert")))
    assert "nothing can be published for a next key" in said
    (said,) = tlsa_warnings(line(TlsaWish(usage="dane-ta")))
    assert "another intermediate" in said
