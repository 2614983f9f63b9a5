"""Which challenge, solver and zone prove a name."""

import pytest

from certline_master.domain.authorization import choose, record_name
from certline_master.domain.errors import SolverError
from certline_master.domain.model import ChallengeType, FailureClass, HttpName, Owner, Zone
from tests.fakes.dns import FakeDnsView


def zone(name: str, solver: str = "rfc2136") -> Zone:
    return Zone(id=name, name=name, owner=Owner.FILE, solver=solver)


def host(name: str, solver: str = "listener") -> HttpName:
    return HttpName(id=name, name=name, owner=Owner.FILE, solver=solver)


def test_a_host_listed_under_http_is_proven_by_http_01_though_a_zone_covers_it_too() -> None:
    dns = FakeDnsView()

    choice = choose("www.example.org", http=[host("www.example.org")], zones=[zone("example.org")], follow=dns.follow)

    assert (choice.type, choice.solver, choice.zone) == (ChallengeType.HTTP_01, "listener", None)
    assert dns.followed == []


def test_only_the_exact_host_counts_under_http() -> None:
    choice = choose(
        "www.example.org", http=[host("example.org")], zones=[zone("example.org")], follow=FakeDnsView().follow
    )

    assert choice.type is ChallengeType.DNS_01


def test_a_wildcard_is_never_proven_by_http() -> None:
    choice = choose(
        "*.example.org", http=[host("example.org")], zones=[zone("example.org")], follow=FakeDnsView().follow
    )

    assert (choice.type, choice.record) == (ChallengeType.DNS_01, "_acme-challenge.example.org")


def test_the_zone_with_the_longest_suffix_is_chosen() -> None:
    zones = [zone("example.org"), zone("dev.example.org", "responder"), zone("other.example")]

    choice = choose("a.dev.example.org", http=[], zones=zones, follow=FakeDnsView().follow)

    assert (choice.zone, choice.solver) == ("dev.example.org", "responder")


def test_a_suffix_that_ends_inside_a_label_covers_nothing() -> None:
    with pytest.raises(SolverError):
        choose("myexample.org", http=[], zones=[zone("example.org")], follow=FakeDnsView().follow)


def test_the_zone_is_chosen_for_the_name_that_the_cname_leads_to() -> None:
    dns = FakeDnsView({"_acme-challenge.www.example.org": "www.auth.example.net"})
    zones = [zone("example.org"), zone("auth.example.net", "responder")]

    choice = choose("www.example.org", http=[], zones=zones, follow=dns.follow)

    assert (choice.zone, choice.record) == ("auth.example.net", "www.auth.example.net")


def test_a_name_without_a_zone_is_told_what_to_add() -> None:
    with pytest.raises(SolverError, match=r"www\.example\.org.*`zones:`.*`http:`") as refused:
        choose("www.example.org", http=[], zones=[zone("example.net")], follow=FakeDnsView().follow)

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION


def test_a_wildcard_without_a_zone_is_not_sent_to_http() -> None:
    with pytest.raises(SolverError, match=r"\*\.example\.org.*`zones:`") as refused:
        choose("*.example.org", http=[], zones=[], follow=FakeDnsView().follow)

    assert "`http:`" not in str(refused.value)


def test_a_cname_to_a_place_without_a_zone_is_named_with_its_end() -> None:
    dns = FakeDnsView({"_acme-challenge.www.example.org": "www.auth.example.net"})

    with pytest.raises(SolverError, match=r"leads to www\.auth\.example\.net"):
        choose("www.example.org", http=[], zones=[zone("example.org")], follow=dns.follow)


def test_a_name_too_long_for_its_record_is_refused_before_dns_is_asked() -> None:
    long = ".".join(["a" * 60] * 4)

    with pytest.raises(SolverError, match="too long for dns-01"):
        record_name(long)
