"""What the planner decides where the master keeps the key, and when custody moves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from certline_master.domain.model import (
    Certificate,
    Custody,
    Follower,
    FollowerState,
    Issuer,
    Line,
    LineCsr,
    LineSnapshot,
    Owner,
    Renewal,
    Version,
    VersionState,
)
from certline_master.domain.placement import wanted_requests
from certline_master.domain.planning import OpenVersion, plan
from certline_master.domain.wish import MERGED, MakeRequest, StopOrder
from certline_shared.keys import KeyType

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NAMES = ("shop.example.com",)
EC = KeyType.ECDSA_P256
FORMER, PRESENT = "aa" * 32, "bb" * 32

ISSUER = Issuer("i", "le", Owner.FILE, "https://ca.example/dir", profiles=("classic",))
SHARED = Line("l", "shop", Owner.FILE, None, NAMES, custody=Custody.MASTER, key_id="k")
OWN = Line("l", "shop", Owner.FILE, "f", NAMES, key_id="k")
HOST = Follower("f", "web-1", Owner.FILE, FollowerState.ACTIVE)


def request(pin: str) -> LineCsr:
    return LineCsr(EC, b"csr", pin, NAMES)


def version(pin: str, number: int = 1, state: VersionState = VersionState.LIVE) -> Version:
    renewal = Renewal(NOW + timedelta(days=30), "in time", None)
    ends = NOW + timedelta(days=60)
    certificate = Certificate("c", "v", EC, b"csr", pin, NAMES, "PEM", "01", NOW, ends, renewal)
    return Version("v", "l", number, state, NOW, "why", (certificate,))


def shared(
    *versions: Version, csr: str | None = None, current: str | None = None, kept: tuple[str, ...] = ()
) -> LineSnapshot:
    keys = frozenset({*kept, *([current] if current else [])})
    csrs = (request(csr),) if csr else ()
    return LineSnapshot(SHARED, ISSUER, csrs, versions, None, kept_keys=keys, current_keys=keys - set(kept))


def test_without_a_key_the_master_makes_one_at_once_and_asks_no_host() -> None:
    decided = plan(shared(), NOW)
    assert decided.actions == (MakeRequest((EC,), "the first certificate"),)
    assert decided.next_look == NOW
    assert wanted_requests(SHARED, ()) == ()


def test_with_key_and_request_the_order_goes_its_usual_way() -> None:
    (action,) = plan(shared(csr=PRESENT, current=PRESENT), NOW).actions
    assert isinstance(action, OpenVersion)
    assert [csr.spki_sha256 for csr in action.csrs] == [PRESENT]


def test_a_renewal_keeps_the_key() -> None:
    decided = plan(shared(version(PRESENT), csr=PRESENT, current=PRESENT), NOW + timedelta(days=31))
    (action,) = decided.actions
    assert isinstance(action, OpenVersion)
    assert action.reason == "renewal: in time"


def test_nothing_is_done_while_all_is_well() -> None:
    assert plan(shared(version(PRESENT), csr=PRESENT, current=PRESENT), NOW).standing.startswith("version 1 is live")


def test_changed_names_take_a_new_request_for_the_same_key() -> None:
    wish = shared(version(PRESENT), csr=PRESENT, current=PRESENT)
    wish = replace(wish, line=replace(SHARED, names=(*NAMES, "www.example.com")))
    (action,) = plan(wish, NOW).actions
    assert isinstance(action, MakeRequest)
    assert action.reason == "the names changed: +www.example.com"


def test_a_key_that_is_replaced_makes_a_new_version_with_the_next_key() -> None:
    (action,) = plan(shared(version(FORMER), csr=FORMER, kept=(FORMER,)), NOW).actions
    assert action == MakeRequest((EC,), "the key is replaced")
    (action,) = plan(shared(version(FORMER), csr=PRESENT, current=PRESENT, kept=(FORMER,)), NOW).actions
    assert isinstance(action, OpenVersion)
    assert action.reason == "the key is replaced"


def test_an_order_for_a_key_that_is_replaced_is_stopped() -> None:
    ordered = version(FORMER, 2, VersionState.ORDERED)
    wish = shared(ordered, version(FORMER), csr=FORMER, kept=(FORMER,))
    assert plan(wish, NOW + MERGED).actions == (StopOrder(2),)


def test_from_host_to_master_the_hosts_request_counts_no_more() -> None:
    (action,) = plan(shared(version(FORMER), csr=FORMER), NOW).actions
    assert isinstance(action, MakeRequest)
    assert action.reason == "custody changed: the master keeps the key from now on"


def test_from_master_to_host_the_hosts_request_is_waited_for() -> None:
    wish = LineSnapshot(OWN, ISSUER, (), (version(FORMER),), HOST, kept_keys=frozenset({FORMER}))
    decided = plan(wish, NOW)
    assert not any(isinstance(action, MakeRequest | OpenVersion) for action in decided.actions)
    assert "custody changed" in decided.standing
    assert "waiting for the request of follower web-1" in decided.standing
    assert wanted_requests(OWN, wish.csrs) == (EC,)


def test_from_master_to_host_a_renewal_is_not_forgotten_meanwhile() -> None:
    wish = LineSnapshot(OWN, ISSUER, (), (version(FORMER),), HOST, kept_keys=frozenset({FORMER}))
    assert plan(wish, NOW).next_look is not None


def test_from_master_to_host_its_request_is_ordered_for() -> None:
    wish = LineSnapshot(OWN, ISSUER, (request(PRESENT),), (version(FORMER),), HOST, kept_keys=frozenset({FORMER}))
    (action,) = plan(wish, NOW).actions
    assert isinstance(action, OpenVersion)
    assert action.reason == "custody changed: the follower keeps the key from now on"


@pytest.mark.parametrize(
    ("state", "reason"),
    [(VersionState.REVOKED, "the last one was revoked"), (VersionState.FAILED, "the first certificate")],
)
def test_after_a_revocation_the_reason_says_so(state: VersionState, reason: str) -> None:
    decided = plan(shared(version(PRESENT, state=state), csr=PRESENT, current=PRESENT), NOW)
    assert decided.standing.startswith(reason)
