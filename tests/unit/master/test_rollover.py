"""When a next key takes the current one's place, what keeps that back, and what is only told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.domain.model import (
    Certificate,
    Custody,
    HeldKey,
    Issuer,
    KeyOptions,
    Line,
    LineCsr,
    LineSnapshot,
    Owner,
    Renewal,
    Slot,
    Version,
    VersionState,
)
from certline_master.domain.planning import NEXT_KEY_LOOK, OpenVersion, plan
from certline_master.domain.rollover import (
    ForgetPrevious,
    MakeNextKey,
    TellAge,
    Verdict,
    end_of_age,
    judge,
    outlook,
    pinned_until,
    steps,
    why_pinned,
)
from certline_master.domain.wish import MakeRequest
from certline_shared.keys import KeyType

NOW, DAY = datetime(2026, 11, 20, 12, tzinfo=UTC), timedelta(days=1)
EC, RSA = KeyType.ECDSA_P256, KeyType.RSA_2048
NAMES = ("shop.example.com",)
ISSUER = Issuer("i", "le", Owner.FILE, "https://ca.example/dir", profiles=("classic",))
LINE = Line("l", "shop", Owner.FILE, None, NAMES, custody=Custody.MASTER, key_id="k")


def key(pin: str, slot: Slot, days: float = 0, kind: KeyType = EC) -> HeldKey:
    """One that came into its slot so many days ago."""
    return HeldKey(kind, slot, pin, NOW - days * DAY, NOW - days * DAY)


def live(pin: str = "a1", *, renews: float = 50, kind: KeyType = EC) -> Version:
    """Of a certificate that is 10 days old and renewed in so many days."""
    renewal = Renewal(NOW + renews * DAY, "in time", None)
    begun, ends = NOW - 10 * DAY, NOW + 80 * DAY
    certificate = Certificate("c", "v", kind, b"csr", pin, NAMES, "PEM", "01", begun, ends, renewal)
    return Version("v", "l", 1, VersionState.LIVE, NOW - 10 * DAY, "why", (certificate,))


def snapshot(*held: HeldKey, asked: str | None = None, requests: bool = True, **options: object) -> LineSnapshot:
    """With the live version, and the requests for all its keys."""
    kept = held or (key("a1", Slot.CURRENT), key("b2", Slot.NEXT))
    csrs = [LineCsr(one.key_type, b"csr", one.spki_sha256, NAMES, slot=one.slot) for one in kept] if requests else []
    return LineSnapshot(
        replace(LINE, rollover=asked),
        ISSUER,
        tuple(csr for csr in csrs if csr.slot is Slot.CURRENT),
        (live(),),
        None,
        kept_keys=frozenset(one.spki_sha256 for one in kept),
        current_keys=frozenset(one.spki_sha256 for one in kept if one.slot is Slot.CURRENT),
        next_csrs=tuple(csr for csr in csrs if csr.slot is Slot.NEXT),
        keys=kept,
        key_name="shop",
        key_options=KeyOptions(**options),  # type: ignore[arg-type]  # its fields
    )


def test_a_key_is_kept_where_nothing_is_said() -> None:
    assert judge(snapshot(), live(), NOW, renews=True) == Verdict()


def test_a_new_key_at_each_renewal_comes_with_the_renewal_only() -> None:
    wish = snapshot(policy="new")
    assert judge(wish, live(), NOW, renews=False).reason is None
    assert judge(wish, live(), NOW, renews=True).reason == "a new key at each renewal"


@pytest.mark.parametrize(("age", "due"), [(399, False), (400, True)])
def test_the_age_is_that_of_the_current_key_since_it_is_in_use(age: int, *, due: bool) -> None:
    """However old the next one is."""
    wish = snapshot(key("a1", Slot.CURRENT, age), key("b2", Slot.NEXT, 1000), max_age="400d", auto=True)
    assert (judge(wish, live(), NOW, renews=False).reason is not None) is due


def test_of_several_key_types_the_oldest_counts() -> None:
    keys = (key("a1", Slot.CURRENT, 5), key("a2", Slot.CURRENT, 9, RSA))
    assert end_of_age(keys, KeyOptions(max_age="10d")) == NOW + DAY


def test_an_age_that_nobody_wrote_down_is_none() -> None:
    unknown = HeldKey(EC, Slot.CURRENT, "a1", None, None)
    assert end_of_age([unknown], KeyOptions(max_age="10d")) is None


def test_an_old_key_is_told_of_unless_it_is_to_be_rolled_over_by_itself() -> None:
    """2.1, 29."""
    old = (key("a1", Slot.CURRENT, 500), key("b2", Slot.NEXT, 500))
    told = judge(snapshot(*old, max_age="400d"), live(), NOW, renews=False)
    assert told.reason is None
    assert told.notice == "its key is older than 400d: `certline key rollover` does it"
    assert judge(snapshot(*old, max_age="400d", auto=True), live(), NOW, renews=False).reason is not None


@pytest.mark.parametrize(("days", "early"), [(341, True), (339, False)])
def test_it_is_replaced_early_where_it_would_fall_due_before_the_next_renewal(days: int, *, early: bool) -> None:
    """2.3, 10: it is renewed every 60 days."""
    wish = snapshot(key("a1", Slot.CURRENT, days), key("b2", Slot.NEXT, 60), max_age="400d", auto=True)
    assert (judge(wish, live(), NOW, renews=True).reason is not None) is early
    assert judge(wish, live(), NOW, renews=False).reason is None


def test_while_pins_are_kept_it_is_refused_with_the_days_that_are_missing() -> None:
    """2.1, 30."""
    keys = (key("a1", Slot.CURRENT, 500), key("b2", Slot.NEXT, 10))
    wish = snapshot(*keys, max_age="400d", auto=True, pin_days=30)
    verdict = judge(wish, live(), NOW, renews=False)
    assert verdict.reason is None
    assert verdict.refused == (
        "its key is older than 400d; clients may keep pins without its next key for 20 more days"
    )
    assert verdict.look == NOW + 20 * DAY


def test_what_was_asked_for_is_not_asked_again() -> None:
    keys = (key("a1", Slot.CURRENT), key("b2", Slot.NEXT))
    assert judge(snapshot(*keys, asked="asked for", pin_days=30), live(), NOW, renews=False).reason == "asked for"


@given(st.integers(0, 100), st.integers(1, 100))
def test_pins_hold_a_rollover_back_exactly_as_long_as_said(out: int, days: int) -> None:
    options = KeyOptions(pin_days=days)
    keys = [key("b2", Slot.NEXT, out)]
    until = pinned_until(keys, [EC], options, NOW)
    assert until == NOW + (days - out) * DAY
    missing = f"for {days - out} more day" if days > out else None
    said = why_pinned(keys, [EC], options, NOW)
    assert (said is None) is (missing is None)
    assert missing is None or missing in (said or "")


def test_a_key_type_without_a_next_key_is_not_published_at_all() -> None:
    keys = [key("b2", Slot.NEXT, 100)]
    assert pinned_until(keys, [EC, RSA], KeyOptions(pin_days=30), NOW) == NOW + 30 * DAY


# --- what is done beside orders ---


def test_the_next_keys_that_are_missing_are_made_and_only_the_masters() -> None:
    wish = snapshot(key("a1", Slot.CURRENT))
    assert steps(wish, Verdict(), NOW) == [MakeNextKey((EC,))]
    at_home = replace(wish, line=replace(LINE, custody=Custody.FOLLOWER, follower_id="f"))
    assert steps(at_home, Verdict(), NOW) == []


def test_a_former_key_is_forgotten_once_its_pins_are_and_no_version_needs_it() -> None:
    """2.1, 32, by itself."""
    kept = (key("a1", Slot.CURRENT), key("b2", Slot.NEXT), key("z9", Slot.PREVIOUS, 30), key("y8", Slot.PREVIOUS, 29))
    assert steps(snapshot(*kept, pin_days=30), Verdict(), NOW) == [ForgetPrevious(("z9",))]
    assert steps(snapshot(*kept), Verdict(), NOW) == []
    needed = replace(snapshot(*kept, pin_days=30), versions=(live("z9"),))
    assert steps(needed, Verdict(), NOW) == []


def test_an_old_key_is_told_of_by_its_pins() -> None:
    assert steps(snapshot(), Verdict(notice="it is old"), NOW) == [TellAge(("a1",), "it is old")]


# --- as the planner puts it ---


def test_a_rollover_orders_on_the_next_requests() -> None:
    (action,) = plan(snapshot(asked="asked for"), NOW).actions
    assert isinstance(action, OpenVersion)
    assert (action.slot, action.reason) == (Slot.NEXT, "asked for")
    assert [csr.spki_sha256 for csr in action.csrs] == ["b2"]


def test_it_has_the_masters_request_made_first_where_there_is_none() -> None:
    wish = replace(snapshot(asked="asked for"), next_csrs=())
    assert plan(wish, NOW).actions == (MakeRequest((EC,), "asked for", Slot.NEXT),)


def test_it_waits_for_a_next_key_that_is_not_made_yet() -> None:
    decided = plan(snapshot(key("a1", Slot.CURRENT), asked="asked for"), NOW)
    assert decided.actions == (MakeNextKey((EC,), "asked for", is_wanted=True),)
    assert decided.next_look == NOW + NEXT_KEY_LOOK


def test_the_order_that_is_under_way_for_the_next_key_is_not_stopped() -> None:
    running = replace(live("b2"), number=2, state=VersionState.ORDERED)
    wish = replace(snapshot(asked="asked for"), versions=(running, live()))
    assert plan(wish, NOW + DAY).standing == "an order is under way"


def test_while_a_staged_version_for_the_next_key_waits_the_live_one_is_renewed_for_its_own() -> None:
    """2.3, 11: where the renewal fell due after it was staged."""
    since, until = NOW - 20 * DAY, NOW + 40 * DAY
    staged = replace(
        live("b2"), number=2, state=VersionState.STAGED, created=since, staged_since=since, activate_at=until,
        held_by="a new key is staged for 60d",
    )  # fmt: skip
    line = replace(LINE, rollover="asked for", options=replace(LINE.options, stage_for="60d"))
    (action,) = plan(replace(snapshot(), line=line, versions=(staged, live(renews=-1))), NOW).actions
    assert isinstance(action, OpenVersion)
    assert ([csr.spki_sha256 for csr in action.csrs], action.slot) == (["a1"], Slot.CURRENT)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "possible"),
        ({"pin_days": 30}, "refused: clients may keep pins without its next key for 30 more days"),
        ({"max_age": "400d"}, "possible; due 2027-12-25 12:00 UTC"),
    ],
)
def test_what_a_rollover_would_say_now_is_said(options: dict[str, object], said: str) -> None:
    assert outlook(snapshot(**options), live(), NOW) == said  # type: ignore[arg-type]  # fields of KeyOptions


def test_a_rollover_that_was_asked_for_is_under_way() -> None:
    assert outlook(snapshot(asked="asked for by admin:ada"), live(), NOW) == "under way: asked for by admin:ada"
