"""What the planner decides of one line, and why."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.domain import renewal as renewals
from certline_master.domain.failing import LADDER
from certline_master.domain.model import (
    Certificate,
    Failure,
    FailureClass,
    Follower,
    FollowerState,
    Grant,
    GrantKind,
    Issuer,
    Line,
    LineCsr,
    LineSnapshot,
    Owner,
    Renewal,
    Version,
    VersionState,
)
from certline_master.domain.planning import AskRenewalInfo, LookAtDirectory, OpenVersion, plan
from certline_master.domain.profiles import NoProfile, choose_profile
from certline_shared.keys import KeyType

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
NAMES = ("shop.example.com", "www.shop.example.com")
KEY = "aa" * 32

ISSUER = Issuer("i", "le", Owner.FILE, "https://ca.example/dir", profiles=("classic", "shortlived"))
FOLLOWER = Follower("f", "web-1", Owner.FILE, FollowerState.ACTIVE)
LINE = Line("l", "shop", Owner.FILE, "f", NAMES)
CSR = LineCsr(KeyType.ECDSA_P256, b"csr", KEY, NAMES)
WISH = LineSnapshot(LINE, ISSUER, (CSR,), (), FOLLOWER)


def certificate(**changes: object) -> Certificate:
    base = Certificate(
        "c",
        "v",
        KeyType.ECDSA_P256,
        b"csr",
        KEY,
        NAMES,
        chain="PEM",
        serial="01",
        not_before=NOW - timedelta(days=10),
        not_after=NOW + timedelta(days=80),
        renewal=Renewal(NOW + timedelta(days=50), "inside the CA's window", NOW + timedelta(hours=6)),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def live(*certificates: Certificate, number: int = 1) -> Version:
    return Version(
        "v", "l", number, VersionState.LIVE, NOW - timedelta(days=10), "first", certificates or (certificate(),)
    )


def failed(number: int, ended: datetime, failure: Failure, names: tuple[str, ...] = NAMES) -> Version:
    unissued = certificate(chain=None, not_before=None, not_after=None, renewal=None, names=names)
    return Version(f"v{number}", "l", number, VersionState.FAILED, ended, "x", (unissued,), failure, ended)


def with_versions(*versions: Version, **line: object) -> LineSnapshot:
    return replace(WISH, versions=versions, line=replace(LINE, **line))  # type: ignore[arg-type]


def opened(snapshot: LineSnapshot, now: datetime = NOW) -> OpenVersion:
    (action,) = plan(snapshot, now).actions
    assert isinstance(action, OpenVersion)
    return action


def test_a_new_line_with_a_request_is_ordered() -> None:
    action = opened(WISH)
    assert (action.number, action.profile, action.csrs, action.replaces) == (1, "classic", (CSR,), ())
    assert action.reason == "the first certificate"


def test_a_line_without_a_request_waits_for_its_follower() -> None:
    decided = plan(replace(WISH, csrs=()), NOW)
    assert decided.actions == ()
    assert decided.next_look is None
    assert "waiting for the request of follower web-1" in decided.standing


def test_a_request_for_other_names_does_not_count() -> None:
    assert plan(replace(WISH, csrs=(replace(CSR, names=NAMES[:1]),)), NOW).actions == ()


def test_a_line_without_an_issuer_says_so() -> None:
    assert "no issuer" in plan(replace(WISH, issuer=None), NOW).standing


@pytest.mark.parametrize("state", [FollowerState.REVOKED, FollowerState.SUSPENDED])
def test_nothing_is_ordered_for_a_follower_that_is_shut_out(state: FollowerState) -> None:
    decided = plan(replace(WISH, follower=replace(FOLLOWER, state=state)), NOW)
    assert decided.actions == ()
    assert str(state) in decided.standing


def test_a_followers_own_line_needs_the_grant_for_each_name_also_to_renew() -> None:
    granted = replace(FOLLOWER, grants=tuple(Grant(GrantKind.REQUEST, name) for name in NAMES[:1]))
    due = live(certificate(renewal=Renewal(NOW, "x", None)))
    snapshot = replace(with_versions(due, owner=Owner.FOLLOWER, forced=True), follower=granted)
    decided = plan(snapshot, NOW)
    assert decided.actions == ()
    assert decided.standing == f"follower web-1 has no grant for {NAMES[1]}"


def test_an_issuer_whose_profiles_are_unknown_is_asked_first() -> None:
    assert plan(replace(WISH, issuer=replace(ISSUER, profiles=None)), NOW).actions == (LookAtDirectory(),)


def test_another_lines_order_for_the_same_names_is_waited_for() -> None:
    waits = {timedelta(0): timedelta(seconds=2), timedelta(minutes=3): timedelta(minutes=3)}
    for due, look in (waits | {timedelta(hours=3): timedelta(minutes=10)}).items():
        decided = plan(replace(WISH, busy_until_order=NOW + due), NOW)
        assert (decided.actions, decided.next_look) == ((), NOW + look)


def test_a_running_order_is_left_alone() -> None:
    running = Version("v", "l", 1, VersionState.ORDERED, NOW, "first")
    assert plan(with_versions(running, forced=True), NOW).actions == ()


def test_a_young_certificate_is_watched_until_the_next_question_or_its_renewal() -> None:
    decided = plan(with_versions(live()), NOW)
    assert decided.actions == ()
    assert decided.next_look == NOW + timedelta(hours=6)
    assert "renews 2027-01-09 12:00 UTC: inside the CA's window" in decided.standing


def test_renewal_information_is_asked_for_at_once_after_issuance_and_when_it_is_due() -> None:
    fresh, due = certificate(renewal=None), certificate(renewal=Renewal(NOW + timedelta(days=5), "x", NOW))
    assert plan(with_versions(live(fresh)), NOW).actions == (AskRenewalInfo(fresh),)
    assert plan(with_versions(live(due)), NOW).actions == (AskRenewalInfo(due),)


@pytest.mark.parametrize(
    "certificate_", [certificate(renewal=None, replaced=True), certificate(renewal=None, not_after=NOW)]
)
def test_renewal_information_is_never_asked_for_a_replaced_or_expired_certificate(certificate_: Certificate) -> None:
    assert not any(
        isinstance(action, AskRenewalInfo) for action in plan(with_versions(live(certificate_)), NOW).actions
    )


def test_a_certificate_whose_successor_failed_before_its_renewal_was_known_is_renewed_by_its_lifetime() -> None:
    decided = plan(with_versions(live(certificate(renewal=None, replaced=True))), NOW)
    assert decided.actions == ()
    assert decided.next_look == NOW + timedelta(days=50)
    assert opened(with_versions(live(certificate(renewal=None, replaced=True))), NOW + timedelta(days=50)).number == 2


def test_a_due_certificate_is_renewed_and_named_as_replaced() -> None:
    due = certificate(renewal=Renewal(NOW, "inside the CA's window", None))
    action = opened(with_versions(live(due, number=3)))
    assert action.number == 4
    assert action.replaces == (due,)
    assert action.reason == "renewal: inside the CA's window"


def test_a_certificate_named_once_is_not_named_again() -> None:
    due = certificate(renewal=Renewal(NOW, "x", None), replaced=True)
    assert opened(with_versions(live(due))).replaces == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": NAMES[:1]}, "the names changed: +www.shop.example.com"),
        ({"names": (*NAMES, "old.example.com")}, "the names changed: -old.example.com"),
        ({"spki_sha256": "bb" * 32}, "the follower has a new key"),
        ({"key_type": KeyType.RSA_2048}, "the key types changed"),
        ({"not_after": NOW}, "it has expired"),
    ],
)
def test_a_certificate_that_no_longer_fits_the_wish_is_replaced(change: dict[str, object], reason: str) -> None:
    assert opened(with_versions(live(certificate(**change)))).reason == reason


def test_force_issues_whatever_the_age() -> None:
    assert opened(with_versions(live(), forced=True)).reason == "asked for by hand"


SOON = Failure(FailureClass.RETRY_SOON, "no such record")


@pytest.mark.parametrize(("failures", "pause"), list(enumerate(LADDER, start=1)))
def test_failures_in_a_row_are_followed_by_growing_pauses(failures: int, pause: timedelta) -> None:
    versions = [failed(number, NOW, SOON) for number in range(failures, 0, -1)]
    decided = plan(with_versions(*versions), NOW + pause - timedelta(seconds=1))
    assert decided.actions == ()
    assert decided.next_look == NOW + pause
    assert "no such record" in decided.standing
    assert opened(with_versions(*versions), NOW + pause).number == failures + 1


def test_the_cas_own_word_on_when_to_come_back_is_kept() -> None:
    later = NOW + timedelta(days=3)
    refused = failed(1, NOW, Failure(FailureClass.RETRY_AT, "rateLimited", later))
    assert plan(with_versions(refused), NOW + timedelta(days=2)).next_look == later


@pytest.mark.parametrize("class_", [FailureClass.FIX_CONFIGURATION, FailureClass.NEEDS_PERSON])
def test_what_somebody_must_mend_is_not_tried_in_a_loop(class_: FailureClass) -> None:
    blocked = failed(1, NOW, Failure(class_, "rejectedIdentifier"))
    assert plan(with_versions(blocked), NOW + timedelta(hours=23)).actions == ()
    assert opened(with_versions(blocked), NOW + timedelta(days=1)).number == 2


def test_a_changed_wish_or_force_is_a_new_chance() -> None:
    other = failed(1, NOW, Failure(FailureClass.NEEDS_PERSON, "blocked"), names=("other.example.com",))
    blocked = failed(1, NOW, Failure(FailureClass.NEEDS_PERSON, "blocked"))
    assert opened(with_versions(other), NOW).number == 2
    assert opened(with_versions(blocked, forced=True), NOW).number == 2


def test_a_failed_renewal_leaves_the_live_version_and_is_tried_again() -> None:
    due = certificate(renewal=Renewal(NOW, "x", None))
    snapshot = with_versions(failed(2, NOW, SOON), live(due))
    assert plan(snapshot, NOW).next_look == NOW + LADDER[0]


@pytest.mark.parametrize(
    ("wished", "offered", "sent"),
    [
        (None, (), ""),
        (None, ("only",), "only"),
        (None, ("classic", "shortlived"), "classic"),
        ("shortlived", ("classic", "shortlived"), "shortlived"),
    ],
)
def test_a_profile_is_always_sent_when_the_directory_lists_some(
    wished: str | None, offered: tuple[str, ...], sent: str
) -> None:
    assert choose_profile(wished, offered) == sent


@pytest.mark.parametrize(("wished", "offered"), [("nope", ("classic",)), (None, ("a", "b")), ("any", ())])
def test_a_profile_that_cannot_be_told_is_an_error_that_lists_what_is_offered(
    wished: str | None, offered: tuple[str, ...]
) -> None:
    with pytest.raises(NoProfile, match=", ".join(offered) or "none"):
        choose_profile(wished, offered)


@given(st.timedeltas(min_value=timedelta(hours=2), max_value=timedelta(days=400)))
def test_renewal_without_a_window_leaves_a_third_of_the_lifetime_or_half_of_a_short_one(lifetime: timedelta) -> None:
    at = renewals.by_lifetime(NOW, NOW + lifetime)
    left = (NOW + lifetime - at) / lifetime
    assert left == pytest.approx(1 / 2 if lifetime < timedelta(days=10) else 1 / 3, abs=0.001)


@pytest.mark.parametrize("names", [("shop.example.com",), NAMES])
def test_a_plan_for_the_same_snapshot_and_time_is_always_the_same(names: tuple[str, ...]) -> None:
    snapshot = with_versions(live(), names=names)
    assert plan(snapshot, NOW) == plan(snapshot, NOW)
