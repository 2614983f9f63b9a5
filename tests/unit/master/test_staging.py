"""When a staged version goes live, what drops it, and what is not ordered because of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certline_master.domain.model import (
    Custody,
    LineCsr,
    LineOptions,
    LineSnapshot,
    Renewal,
    Slot,
    Version,
    VersionState,
)
from certline_master.domain.planning import OpenVersion, plan
from certline_master.domain.staging import (
    KEY_REVOKED,
    DropStaged,
    GoLive,
    HoldOn,
    drops,
    hold_until,
    next_step,
    staged_version,
    waiting_for,
)
from certline_master.domain.succession import came, last_live, was_live, went_down
from certline_master.domain.wish import went_back
from tests.unit.master.test_planning import CSR, KEY, NAMES, NOW, certificate, live, with_versions

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEW = "bb" * 32
NEXT = replace(CSR, spki_sha256=NEW, slot=Slot.NEXT)
STAGED, LIVE, RETIRED, REVOKED = VersionState.STAGED, VersionState.LIVE, VersionState.RETIRED, VersionState.REVOKED


def staged(number: int = 2, *, since: timedelta = -HOUR, **fields: object) -> Version:
    """For the next key, since an hour ago."""
    pin = fields.pop("pin", NEW)
    made = certificate(id=f"c{number}", spki_sha256=pin, not_before=NOW - DAY, not_after=NOW + 89 * DAY, renewal=None)
    version = Version(f"v{number}", "l", number, STAGED, NOW + since, "asked for", (made,), staged_since=NOW + since)
    return replace(version, **fields)  # type: ignore[arg-type]  # fields of a Version


def waiting(*versions: Version, csrs: tuple[LineCsr, ...] = (CSR, NEXT), **line: object) -> LineSnapshot:
    """With stage_for 25h, and a request for the next key."""
    fields = {"options": LineOptions(stage_for="25h"), **line}
    current = tuple(csr for csr in csrs if csr.slot is Slot.CURRENT)
    following = tuple(csr for csr in csrs if csr.slot is Slot.NEXT)
    return replace(with_versions(*versions, **fields), csrs=current, next_csrs=following)


def test_a_new_key_is_held_for_its_hours_from_when_it_was_staged() -> None:
    hold = hold_until(waiting(staged(), live()), NOW)
    assert hold is not None
    assert (hold.until, hold.why) == (NOW + 24 * HOUR, "a new key is staged for 25h")


@pytest.mark.parametrize(
    "snapshot",
    [
        waiting(live()),
        waiting(staged(), live(), options=LineOptions()),
        waiting(staged()),
        waiting(staged(pin=KEY), live()),
        waiting(staged(since=-25 * HOUR), live()),
        waiting(staged(), live(), csrs=(NEXT,)),
        waiting(staged(), live(), rollover=KEY_REVOKED),
        waiting(staged(), live(), custody=Custody.MASTER),
    ],
    ids=[
        "nothing is staged", "no hours are wished", "nothing is live", "the key is the live one", "the hours are over",
        "the host has the live key no more", "the live key is revoked", "the master uses the live key no more",
    ],
)  # fmt: skip
def test_nothing_is_held(snapshot: LineSnapshot) -> None:
    assert hold_until(snapshot, NOW) is None


def test_first_the_moment_is_written_down_then_it_is_waited_for_then_it_goes_live() -> None:
    at, why = NOW + 24 * HOUR, "a new key is staged for 25h"
    assert next_step(waiting(staged(), live()), NOW) == HoldOn(2, at, why)
    quiet = certificate(renewal=Renewal(NOW + 50 * DAY, "inside the CA's window", None))
    known = waiting(staged(activate_at=at, held_by=why), live(quiet))
    assert next_step(known, NOW) is None
    assert plan(known, NOW).next_look == at
    assert next_step(known, at) == GoLive(2, why)


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        (waiting(staged(), live(), names=("other.example.com",)), "the line's names changed"),
        (waiting(staged(), live(), csrs=(CSR,)), "its keys are not the line's any more"),
        (waiting(staged(3), staged(2), live()), "version 3 is for the same keys"),
        (waiting(live(number=3), staged(2, pin=KEY)), "version 3 is for the same keys"),
    ],
)
def test_what_is_never_to_go_live_is_dropped(snapshot: LineSnapshot, why: str) -> None:
    assert next(drops(snapshot, NOW)) == DropStaged(2, why)
    assert next_step(snapshot, NOW) == DropStaged(2, why)


def test_an_expired_one_is_dropped() -> None:
    old = staged()
    ended = replace(old, certificates=(replace(old.certificates[0], not_after=NOW),))
    assert next(drops(waiting(ended, live()), NOW)).reason == "it expired"


def test_a_renewed_live_version_drops_nothing_that_is_staged_for_another_key() -> None:
    assert not list(drops(waiting(live(number=3), staged(2)), NOW))


def test_of_two_the_one_that_goes_live_first_is_told() -> None:
    later, sooner = staged(2, activate_at=NOW + 2 * DAY), staged(3, pin=KEY, activate_at=NOW + DAY)
    assert staged_version(waiting(later, sooner, live())) is sooner
    unknown = staged(2, activate_at=None)
    assert staged_version(waiting(unknown, sooner, live())) is sooner


def test_what_is_staged_is_not_ordered_again_unless_it_is_due_itself() -> None:
    snapshot = waiting(staged(), live())
    assert waiting_for(snapshot, [NEXT], NOW) is not None
    assert waiting_for(snapshot, [CSR], NOW) is None
    assert waiting_for(snapshot, [NEXT], NOW + 70 * DAY) is None


def test_the_live_version_is_renewed_although_another_is_staged() -> None:
    due = certificate(renewal=Renewal(NOW, "it is time", None))
    snapshot = waiting(staged(activate_at=NOW + 24 * HOUR, held_by="a new key is staged for 25h"), live(due))
    (action,) = plan(snapshot, NOW).actions
    assert isinstance(action, OpenVersion)
    assert (action.number, [csr.spki_sha256 for csr in action.csrs]) == (3, [KEY])


def test_it_goes_live_even_where_the_line_itself_is_held_up() -> None:
    """Its hosts may have been told when."""
    snapshot = waiting(staged(since=-25 * HOUR), live(), paused="nobody pulls it")
    assert plan(replace(snapshot, issuer=None), NOW).actions == (GoLive(2, "it need not wait"),)


def test_the_order_in_which_versions_were_live_is_not_that_of_their_numbers() -> None:
    overtaken = replace(live(number=2), live_since=NOW)
    renewed = replace(live(number=3), state=RETIRED, live_since=NOW - DAY)
    assert came(renewed) < came(overtaken)
    assert went_down(overtaken, [overtaken, renewed])
    assert last_live([overtaken, renewed], [1, 2, 3]) == 2
    assert last_live([], []) is None


def test_what_was_staged_and_dropped_was_never_live() -> None:
    dropped = staged(3, state=RETIRED)
    assert not was_live(dropped)
    assert not went_down(live(number=2), [dropped])
    assert was_live(replace(dropped, live_since=NOW))
    assert was_live(replace(live(), state=REVOKED))


def test_going_back_is_not_undone_for_names_but_for_the_next_wish() -> None:
    former = live(certificate(names=NAMES[:1]))
    later = replace(live(number=2), state=RETIRED, live_since=NOW)
    assert went_back(former, with_versions(later, former))
    assert not went_back(former, with_versions(later, former, names=(*NAMES, "new.example.com")))
    assert not went_back(former, with_versions(replace(later, state=REVOKED), former))


@given(
    hours=st.integers(0, 60), since=st.integers(0, 60), known=st.booleans(), gone=st.booleans(), rolled=st.booleans()
)
def test_a_staged_version_always_comes_to_rest(
    *, hours: int, since: int, known: bool, gone: bool, rolled: bool
) -> None:
    """Each step, once done, is not asked for again."""
    options = LineOptions(stage_for=f"{hours}h")
    version = staged(since=-since * HOUR, activate_at=NOW if known else None)
    snapshot = waiting(
        version, live(), options=options, csrs=(CSR,) if gone else (CSR, NEXT), rollover="asked" if rolled else None
    )
    for _ in range(3):
        step = next_step(snapshot, NOW)
        if step is None:
            break
        (present,) = [one for one in snapshot.versions if one.number == 2]
        changed = (
            replace(present, activate_at=step.until, held_by=step.reason)
            if isinstance(step, HoldOn)
            else replace(present, state=LIVE if isinstance(step, GoLive) else RETIRED)
        )
        snapshot = replace(snapshot, versions=(changed, *(one for one in snapshot.versions if one.number != 2)))
    assert next_step(snapshot, NOW) is None
