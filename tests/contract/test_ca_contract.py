"""What every CertificateAuthority does, the fake and ACME with a real Pebble alike."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from certline_master.domain.errors import CaRefused
from certline_master.domain.model import FailureClass
from certline_shared.certificates import ari_certificate_id, read_chain
from certline_shared.clock import SystemClock
from tests.contract.ca_bed import Bed, challenge_of, csr_for, fake_bed, pebble_bed
from tests.testbed.challtestsrv import challtestsrv
from tests.testbed.parts import require
from tests.testbed.pebble import pebble
from tests.testbed.ports import free_port

BLOCKED = "blocked.example.org"


@pytest.fixture(scope="module", params=["fake", "pebble"])
def ground(request: pytest.FixtureRequest) -> Iterator[Bed]:
    """One CA for all tests here: each uses names of its own."""
    if request.param == "fake":
        bed, ca = fake_bed(SystemClock())
        ca.blocked.add(BLOCKED)
        yield bed
        return
    require("pebble")
    port = free_port()
    with (
        challtestsrv(http_port=port) as dns,
        pebble("calm", dns_server=dns.dns_address, http_port=port, blocklist=[BLOCKED], strict=True) as server,
        pebble_bed(server, dns) as bed,
    ):
        yield bed


@pytest.fixture
def bed(ground: Bed) -> Bed:
    """With an account of its own."""
    return ground.registered()


def test_a_name_is_certified_by_dns(bed: Bed) -> None:
    """Case 1."""
    chain = bed.issue(["one.example.org"])
    assert read_chain(chain).names == ("one.example.org",)


def test_one_name_takes_seven_round_trips_and_no_more(bed: Bed) -> None:
    """Case 1: newOrder, authorization, answer, look, finalize, look, download; newNonce apart."""
    bed.issue(["warm.example.org"])
    before = bed.counts()
    order = bed.ca.open(["counted.example.org"], profile="classic", replaces=None)
    bed.prove(order)
    bed.collect(order, ["counted.example.org"])
    spent = bed.counts() - before
    assert [spent[kind] for kind in ("newOrder", "authorization", "challenge", "finalize", "certificate")] == [1] * 5
    assert set(spent) <= {"newOrder", "authorization", "challenge", "order", "finalize", "certificate"}


def test_five_names_are_certified_together(bed: Bed) -> None:
    """Case 2: one authorization each, in whatever order the CA lists them."""
    names = [f"host{number}.many.example.org" for number in range(5)]
    order = bed.ca.open(names, profile="classic", replaces=None)
    assert {bed.ca.authorization(url).name for url in order.authorization_urls} == set(names)
    bed.prove(order)
    assert read_chain(bed.collect(order, names)).names == tuple(sorted(names))


def test_a_name_and_its_wildcard_have_two_authorizations_for_one_name(bed: Bed) -> None:
    """Case 3: two TXT values at one record."""
    names = ["apex.example.org", "*.apex.example.org"]
    order = bed.ca.open(names, profile="classic", replaces=None)
    found = [bed.ca.authorization(url) for url in order.authorization_urls]
    assert {one.name for one in found} == {"apex.example.org"}
    assert sorted(one.wildcard for one in found) == [False, True]
    bed.prove(order)
    assert read_chain(bed.collect(order, names)).names == ("*.apex.example.org", "apex.example.org")


def test_a_wildcard_is_not_offered_http(bed: Bed) -> None:
    order = bed.ca.open(["*.wild.example.org"], profile="classic", replaces=None)
    authorization = bed.ca.authorization(order.authorization_urls[0])
    assert "http-01" not in {one.type for one in authorization.challenges}


def test_a_name_is_certified_by_http(bed: Bed) -> None:
    """Case 4."""
    order = bed.ca.open(["web.example.org"], profile="classic", replaces=None)
    bed.prove(order, "http-01")
    assert read_chain(bed.collect(order, ["web.example.org"])).names == ("web.example.org",)


def test_a_new_order_is_pending_and_says_where_its_parts_are(bed: Bed) -> None:
    order = bed.ca.open(["new.example.org"], profile="classic", replaces=None)
    assert order.status == "pending"
    assert order.certificate_url is None
    assert bed.ca.look(order.url).authorization_urls == order.authorization_urls
    authorization = bed.ca.authorization(order.authorization_urls[0])
    assert (authorization.url, authorization.name, authorization.wildcard) == (
        order.authorization_urls[0],
        "new.example.org",
        False,
    )
    assert authorization.status == "pending"
    assert authorization.expires is not None


def test_a_challenge_without_a_token_is_shown_without_one(bed: Bed) -> None:
    """dns-persist-01 has none; clients that assumed one have crashed."""
    order = bed.ca.open(["persist.example.org"], profile="classic", replaces=None)
    authorization = bed.ca.authorization(order.authorization_urls[0])
    assert challenge_of(authorization, "dns-persist-01").token is None
    assert challenge_of(authorization, "dns-01").token


def test_a_proof_that_is_not_there_makes_the_order_invalid_and_names_the_reason(bed: Bed) -> None:
    """Case 11, as far as the client goes: the reason is in the challenge, and another try is right."""
    order = bed.ca.open(["unproven.example.org"], profile="classic", replaces=None)
    authorization = bed.ca.authorization(order.authorization_urls[0])
    bed.ca.answer(challenge_of(authorization, "dns-01").url)
    assert bed.look_until(order.url, "invalid").status == "invalid"
    failed = bed.ca.authorization(authorization.url)
    assert failed.status == "invalid"
    error = challenge_of(failed, "dns-01").error
    assert isinstance(error, CaRefused)
    assert error.failure is FailureClass.RETRY_SOON
    assert "TXT" in str(error)


def test_a_name_that_the_ca_blocks_is_for_the_configuration_to_fix(bed: Bed) -> None:
    """Case 13."""
    with pytest.raises(CaRefused) as caught:
        bed.ca.open([BLOCKED], profile="classic", replaces=None)
    assert (caught.value.type, caught.value.failure) == ("rejectedIdentifier", FailureClass.FIX_CONFIGURATION)


def test_an_unknown_profile_is_for_the_configuration_to_fix(bed: Bed) -> None:
    """Case 14."""
    with pytest.raises(CaRefused) as caught:
        bed.ca.open(["profile.example.org"], profile="nope", replaces=None)
    assert (caught.value.type, caught.value.failure) == ("invalidProfile", FailureClass.FIX_CONFIGURATION)


def test_the_profile_that_is_asked_for_is_the_one_given(bed: Bed) -> None:
    assert {"classic", "shortlived"} <= set(bed.ca.directory().profiles)
    facts = read_chain(bed.issue(["classic.example.org"], profile="classic"))
    assert 85 < (facts.not_after - facts.not_before).days <= 90


def test_an_account_that_is_there_already_is_found_by_its_key(bed: Bed) -> None:
    """Case 19."""
    nameless = replace(bed.issuer, account_url=None)
    assert bed.authorities.of(nameless, bed.account_key).register(()) == bed.issuer.account_url


def test_two_keys_are_two_accounts(bed: Bed) -> None:
    assert bed.registered().issuer.account_url != bed.issuer.account_url


def test_an_account_that_the_ca_does_not_know_is_told_by_its_type(bed: Bed) -> None:
    """Case 17."""
    stranger = replace(bed.issuer, account_url=f"{bed.issuer.account_url}0000")
    with pytest.raises(CaRefused) as caught:
        bed.authorities.of(stranger, bed.account_key).open(["gone.example.org"], profile="classic", replaces=None)
    assert caught.value.type == "accountDoesNotExist"


def test_without_registration_nothing_can_be_ordered(bed: Bed) -> None:
    unknown = replace(bed.issuer, account_url=None)
    client = bed.authorities.of(unknown, bed.authorities.new_account_key())
    with pytest.raises(CaRefused) as caught:
        client.open(["early.example.org"], profile="classic", replaces=None)
    assert caught.value.type == "accountDoesNotExist"


def test_a_request_for_other_names_than_ordered_is_not_tried_again(bed: Bed) -> None:
    """Case 33: badCSR says Boulder and our fake, unauthorized says Pebble."""
    order = bed.ca.open(["ordered.example.org"], profile="classic", replaces=None)
    bed.prove(order)
    ready = bed.look_until(order.url, "ready")
    with pytest.raises(CaRefused) as caught:
        bed.ca.finalize(ready, csr_for(["other.example.org"]))
    assert (caught.value.type, caught.value.failure) in {
        ("badCSR", FailureClass.FIX_CONFIGURATION),
        ("unauthorized", FailureClass.NEEDS_PERSON),
    }


def test_an_order_that_is_finalized_too_early_is_tried_again_soon(bed: Bed) -> None:
    """Case 33."""
    order = bed.ca.open(["early.example.org"], profile="classic", replaces=None)
    with pytest.raises(CaRefused) as caught:
        bed.ca.finalize(order, csr_for(["early.example.org"]))
    assert (caught.value.type, caught.value.failure) == ("orderNotReady", FailureClass.RETRY_SOON)


def test_the_ca_says_when_it_would_like_to_renew(bed: Bed) -> None:
    """Case 23."""
    chain = bed.issue(["renewed.example.org"])
    facts = read_chain(chain)
    window = bed.look_at_window(chain)
    assert window is not None
    assert facts.not_before < window.start < window.end < facts.not_after
    assert window.explanation_url is None
    assert window.next_check > bed.clock.now()


def test_a_renewal_names_what_it_replaces_once(bed: Bed) -> None:
    """Case 27: the second time the CA says alreadyReplaced, and the order is opened without it."""
    names = ["replaced.example.org"]
    former = ari_certificate_id(bed.issue(names))
    renewal = bed.ca.open(names, profile="classic", replaces=former)
    assert renewal.replaces == former
    bed.prove(renewal)
    bed.collect(renewal, names)
    before = bed.counts()
    again = bed.ca.open(names, profile="classic", replaces=former)
    assert again.replaces is None
    assert (bed.counts() - before)["newOrder"] == 2


KEY_COMPROMISE = 1


def test_a_certificate_is_revoked_once_and_asking_again_changes_nothing(bed: Bed) -> None:
    """After a kill nobody knows whether the CA heard it."""
    chain = bed.issue(["revoked.example.org"])
    bed.ca.revoke(chain, KEY_COMPROMISE)
    before = bed.counts()
    bed.ca.revoke(chain, KEY_COMPROMISE)
    assert (bed.counts() - before)["revokeCert"] == 1


def test_another_account_may_not_revoke_it(bed: Bed) -> None:
    chain = bed.issue(["guarded.example.org"])
    with pytest.raises(CaRefused) as caught:
        bed.registered().ca.revoke(chain, KEY_COMPROMISE)
    assert (caught.value.type, caught.value.status) == ("unauthorized", 403)


def test_a_reason_that_there_is_not_is_refused(bed: Bed) -> None:
    chain = bed.issue(["unreasoned.example.org"])
    with pytest.raises(CaRefused) as caught:
        bed.ca.revoke(chain, 7)
    assert caught.value.failure is FailureClass.FIX_CONFIGURATION
