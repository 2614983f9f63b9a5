"""What a verification of the audit trail sees: every record that was changed, removed or put in between."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from certline_master.domain.audit import Seal, Verdict, Verifier, link_hash, make_seal
from certline_master.domain.model import Event
from certline_shared import signing

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PRIVATE, PUBLIC = signing.generate_identity()
OTHER_PRIVATE, OTHER_PUBLIC = signing.generate_identity()

Trail = tuple[list[Event], list[Seal]]


def chained(chain: str, count: int, *, first_id: int, start: str = "") -> list[Event]:
    made: list[Event] = []
    for link in range(1, count + 1):
        event = Event(first_id + link - 1, NOW, "line.wished", "follower:web-1", "line:shop", "said", {"n": link})
        event = replace(event, chain=chain, link=link)
        made.append(replace(event, hash=link_hash(made[-1].hash or "" if made else start, event)))
    return made


def sealed(events: list[Event], previous: str = "", private: bytes = PRIVATE, public: bytes = PUBLIC) -> Seal:
    heads = {event.chain or "": f"{event.link}:{event.hash}" for event in sorted(events, key=lambda e: e.link or 0)}
    up_to = max(event.id for event in events)
    return make_seal(heads, up_to=up_to, at=NOW, previous=previous, private=private, public=public)


def trail() -> Trail:
    """Two chains of one master before and after a restart, each sealed, and one event more."""
    first = chained("a", 4, first_id=1)
    one = sealed(first)
    second = chained("b", 3, first_id=5, start=one.hash)
    two = sealed(second[:2], one.hash)
    return [*first, *second], [one, two]


def verdict(events: list[Event], seals: list[Seal], *, whole: bool = True) -> Verdict:
    verifier = Verifier(frozenset({PUBLIC.hex()}), whole=whole)
    verifier.seals(seals)
    verifier.events(sorted(events, key=lambda event: (event.chain or "", event.link or event.id)))
    return verifier.finish()


def test_a_trail_as_it_was_written_has_no_problem() -> None:
    events, seals = trail()
    found = verdict(events, seals)
    assert found.problems == ()
    assert (found.events, found.chains, found.seals, found.unsealed, found.sealed_at) == (7, 2, 2, 1, NOW)


def changed(index: int, **change: object) -> Callable[[Trail], Trail]:
    def spoil(whole: Trail) -> Trail:
        events, seals = whole
        return [replace(one, **change) if n == index else one for n, one in enumerate(events)], seals  # type: ignore[arg-type]

    return spoil


def removed(*indices: int) -> Callable[[Trail], Trail]:
    return lambda whole: ([one for n, one in enumerate(whole[0]) if n not in indices], whole[1])


def rewritten(whole: Trail) -> Trail:
    """Somebody with the database changes a sealed record and all hashes after it."""
    events, seals = whole
    spoilt = [replace(one, text="another") if one.id == 2 else one for one in events if one.chain == "a"]
    anew: list[Event] = []
    for one in spoilt:
        anew.append(replace(one, hash=link_hash(anew[-1].hash or "" if anew else "", one)))
    return [*anew, *(one for one in events if one.chain == "b")], seals


def sealed_anew(whole: Trail) -> Trail:
    """... and seals anew, with a key of its own."""
    events, _ = rewritten(whole)
    first = sealed([one for one in events if one.chain == "a"], "", OTHER_PRIVATE, OTHER_PUBLIC)
    return events, [first, *whole[1][1:]]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        pytest.param(changed(1, text="another"), "event 2 (line.wished) was changed", id="a text"),
        pytest.param(changed(1, actor="admin:eve"), "event 2 (line.wished) was changed", id="an actor"),
        pytest.param(changed(1, data={"n": 7}), "event 2 (line.wished) was changed", id="data"),
        pytest.param(changed(1, at=NOW + timedelta(microseconds=1)), "was changed", id="a time"),
        pytest.param(changed(0, text="x"), "the first of its chain, was changed", id="the first of a chain"),
        pytest.param(
            changed(4, subject="line:x"), "the first of its chain, was changed", id="the first after a restart"
        ),
        pytest.param(removed(1), "1 event was removed", id="one in the middle"),
        pytest.param(removed(0, 1), "2 events were removed", id="the first two"),
        pytest.param(removed(3), "was sealed up to its link 4, which is gone", id="the last of a sealed chain"),
        pytest.param(removed(0, 1, 2, 3), "was sealed up to its link 4, which is gone", id="a whole chain"),
        pytest.param(rewritten, "is not what was sealed", id="a chain written anew"),
        pytest.param(sealed_anew, "made with a key that is not this master's", id="and sealed anew"),
        pytest.param(lambda whole: (whole[0], whole[1][1:]), "a seal was removed", id="the first seal removed"),
        pytest.param(
            lambda whole: (whole[0], [replace(whole[1][0], up_to=9), whole[1][1]]), "seal 1 of", id="a seal changed"
        ),
        pytest.param(
            lambda whole: (whole[0], [replace(whole[1][0], signature="00"), whole[1][1]]), "was changed", id="unsigned"
        ),
        pytest.param(
            lambda whole: ([*whole[0], Event(99, NOW, "x", "a", "s", "t")], whole[1]), "is in no chain", id="unchained"
        ),
        pytest.param(changed(3, link=3), "removed", id="a link that stands twice"),
    ],
)
def test_whatever_was_done_to_the_trail_is_named(spoil: Callable[[Trail], Trail], said: str) -> None:
    events, seals = spoil(trail())
    found = verdict(events, seals)
    assert any(said in problem for problem in found.problems), found.problems


def test_events_from_before_there_were_chains_are_counted_and_no_problem() -> None:
    events, _ = trail()
    old = [Event(number, NOW, "x", "a", "s", "t") for number in (1, 2)]
    later = [replace(event, id=event.id + 10) for event in events if event.chain == "a"]
    found = verdict([*old, *later], [])
    assert (found.unchained, found.problems, found.sealed_at) == (2, (), None)


def test_a_part_of_the_trail_may_begin_anywhere_but_has_no_gap() -> None:
    events, seals = trail()
    assert verdict(events[2:], seals, whole=False).problems == ()
    assert verdict([events[1], events[3]], seals, whole=False).problems
