"""Keys in a follower's plan: which are made now, which ahead, and what is asked of the master with them."""

from dataclasses import replace

from certline_follower.held import Asked, HeldLine
from certline_follower.planning import plan
from certline_follower.pulling import Activate, Pull
from certline_follower.state import Staged, State
from certline_follower.wishes import Ask, MakeAhead
from certline_shared.key_types import KeyType
from certline_shared.manifest import CsrWanted, ManifestLine, StagedVersion
from certline_shared.messages import time_text
from tests.unit.follower.test_planning import (
    EC,
    NOW,
    PAST,
    PIN,
    SOON,
    WISH,
    asked,
    at_rest,
    files,
    line,
    manifest,
    offered,
    ref,
    settings,
    steps,
)

OTHER = "b" * 64
NEXT = CsrWanted(EC, "next")
RSA = KeyType.RSA_2048


def rested(**changes: object) -> State:
    """Nothing is to be done but what the master wants anew."""
    state = at_rest()
    return state.with_line("shop", replace(state.line("shop"), **changes))  # type: ignore[arg-type]  # any members


def test_the_next_key_is_made_only_when_nothing_else_is_to_be_done() -> None:
    wanting = offered(csr_wanted=(NEXT,))
    assert steps(plan(WISH, rested(reported=None), manifest(wanting), NOW)) == ["Report"]
    (ahead,) = plan(WISH, rested(), manifest(wanting), NOW).steps
    assert isinstance(ahead, MakeAhead)
    assert (ahead.line, ahead.key_type, ahead.slot) == ("shop", EC, "next")


def test_it_is_not_made_while_the_master_is_away_nor_before_the_first_version_is_installed() -> None:
    wanting = manifest(offered(csr_wanted=(NEXT,)))
    assert not plan(WISH, rested(), wanting, NOW, reachable=False).steps
    fresh = plan(WISH, State(lines={"shop": asked()}), manifest(offered(version=None, csr_wanted=(NEXT,))), NOW)
    assert MakeAhead not in map(type, fresh.steps)


def test_its_request_goes_with_those_for_the_current_keys_and_is_put_once() -> None:
    wanting = manifest(offered(csr_wanted=(NEXT,)))
    ask = plan(WISH, rested(next_keys={EC: OTHER}), wanting, NOW).steps[0]
    assert isinstance(ask, Ask)
    assert (ask.key_types, ask.ahead, ask.reason) == ((EC,), (EC,), "its next key is new")
    sent = asked().asked
    assert sent is not None
    known = rested(next_keys={EC: OTHER}, asked=replace(sent, next_keys={EC: OTHER}, retry=SOON))
    assert Ask not in map(type, plan(WISH, known, wanting, NOW).steps)
    again = rested(next_keys={EC: OTHER}, asked=replace(sent, next_keys={EC: OTHER}, retry=PAST))
    assert Ask in map(type, plan(WISH, again, wanting, NOW).steps)


def test_a_next_key_that_the_live_version_is_for_is_the_current_one_in_a_wish_that_is_put_before_it_is_installed() -> (
    None
):
    """Else the former key would be asked for again, and the master would issue for it."""
    rolled = manifest(offered(version=2, spki_sha256={EC: OTHER}, csr_wanted=(NEXT,)))
    sent = asked().asked
    assert sent is not None
    old = Asked(("old.example.org",), sent.keys, sent.retry)
    state = rested(next_keys={EC: OTHER}, asked=old)
    ask = next(step for step in plan(WISH, state, rolled, NOW).steps if isinstance(step, Ask))
    assert (ask.promoted, ask.ahead) == ((EC,), ())


def test_a_version_for_the_next_or_the_previous_key_is_pulled() -> None:
    rolled = manifest(offered(version=2, spki_sha256={EC: OTHER}))
    for slot in ("next_keys", "previous_keys"):
        assert "Pull" in steps(plan(WISH, rested(**{slot: {EC: OTHER}}), rolled, NOW))
    assert "Pull" not in steps(plan(WISH, rested(), rolled, NOW))


def staged(at: str | None = None) -> ManifestLine:
    times = (time_text(NOW), "2027-02-01T00:00:00Z")
    return offered(staged=StagedVersion(2, files(2), {EC: PIN}, *times, at))


def test_a_staged_version_is_pulled_ahead_and_the_live_one_stays() -> None:
    made = plan(WISH, rested(), manifest(staged()), NOW)
    pull = next(step for step in made.steps if isinstance(step, Pull))
    assert (pull.version.number, pull.staged) == (2, True)
    assert "Install" not in steps(made)


def test_at_its_time_it_is_activated_without_the_master() -> None:
    state = rested(staged=Staged(ref(2), time_text(NOW)))
    before = plan(WISH, state, manifest(staged("2026-11-20T12:00:01Z")), NOW, reachable=False)
    assert Activate not in map(type, before.steps)
    assert before.next_look is not None
    at = plan(WISH, state, manifest(staged("2026-11-20T12:00:00Z")), NOW, reachable=False)
    assert [type(step) for step in at.steps][:1] == [Activate]


def test_a_wish_names_all_key_types_of_the_line() -> None:
    both = settings(replace(line("shop", "shop.example.org"), key_types=(RSA, EC)))
    made = plan(both, State(), manifest(), NOW)
    assert steps(made) == ["MakeKey", "MakeKey", "Ask"]
    ask = made.steps[-1]
    assert isinstance(ask, Ask)
    assert ask.key_types == (RSA, EC)


def test_of_two_key_types_a_version_is_pulled_with_both_or_not_at_all() -> None:
    """peers.md 2.1, line 25."""
    both = settings(replace(line("shop", "shop.example.org"), key_types=(RSA, EC)))
    held = HeldLine(keys={EC: PIN, RSA: OTHER}, asked=Asked(("shop.example.org",), {EC: PIN, RSA: OTHER}, SOON))
    half = manifest(offered(version=2, key_types=(RSA, EC)))
    made = plan(both, State(lines={"shop": held}), half, NOW)
    assert "Pull" not in steps(made)
    assert "it has no rsa-2048 certificate" in made.notes[0]
    apart = settings(replace(both.lines[0], together=False))
    pull = plan(apart, State(lines={"shop": held}), half, NOW).steps[0]
    assert isinstance(pull, Pull)
    assert pull.pins == {EC: PIN}
