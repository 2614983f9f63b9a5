"""The plan for lines whose private key the master keeps, and for those that change their custody."""

from dataclasses import replace

from certline_follower.custody import own_keys_spent
from certline_follower.planning import plan
from certline_follower.pulling import Pull
from certline_follower.reports import Report
from certline_follower.state import HeldLine, Refusal, State
from certline_follower.wishes import Ask, MakeKey, mark
from certline_shared.key_types import KeyType
from certline_shared.manifest import CsrWanted, ManifestFile, ManifestLine
from tests.unit.follower.test_planning import (
    EC,
    NOW,
    PIN,
    SOON,
    WISH,
    asked,
    at_rest,
    files,
    line,
    manifest,
    offered,
    settings,
    steps,
)

OTHER = "b" * 64


def shared(version: int | None = 1) -> ManifestLine:
    sealed = ManifestFile("ecdsa-p256/key.sealed", "e" * 64, 1_900)
    listed = (*files(version), sealed) if version else ()
    return offered(version=version, files=listed, custody="master", spki_sha256={EC: OTHER})


def test_a_line_in_the_masters_custody_is_pulled_and_never_asked_for() -> None:
    (pull,) = plan(settings(line()), State(), manifest(shared()), NOW).steps
    assert isinstance(pull, Pull)
    assert {file.name for file in pull.files} == {"ecdsa-p256/chain.pem", "ecdsa-p256/key.sealed"}
    assert pull.pins == {EC: OTHER}


def test_before_its_first_version_it_is_waited_for() -> None:
    made = plan(settings(line()), State(), manifest(shared(None)), NOW)
    assert (made.steps, made.waiting, made.refused) == ((), ("shop",), ())


def test_a_refusal_from_before_does_not_hold_it_back() -> None:
    refused = HeldLine(keys={EC: PIN}, refusal=Refusal((), SOON, mark(manifest(shared()))))
    made = plan(WISH, State(lines={"shop": refused}), manifest(shared()), NOW)
    assert (steps(made), made.refused) == (["Pull"], ())


def test_the_version_for_the_hosts_own_key_is_still_pulled_until_the_master_has_made_one() -> None:
    made = plan(WISH, at_rest(), manifest(offered(version=2, custody="master")), NOW)
    assert steps(made) == ["Pull"]


def test_a_version_whose_key_was_not_given_to_this_host_is_told() -> None:
    bare = offered(version=2, custody="master", spki_sha256={EC: OTHER})
    made = plan(WISH, at_rest(), manifest(bare), NOW)
    assert made.steps == ()
    assert "the master has not given this host its ecdsa-p256 key yet" in made.notes[0]


def test_the_same_version_is_pulled_again_for_another_kind_of_key() -> None:
    first, second = (
        plan(settings(replace(line(), key_types=(kind,))), State(), manifest(both_kinds()), NOW).steps[0]
        for kind in (KeyType.ECDSA_P256, KeyType.RSA_2048)
    )
    assert isinstance(first, Pull)
    assert isinstance(second, Pull)
    assert not first.version.same(second.version)


def both_kinds() -> ManifestLine:
    made = shared()
    rsa = (ManifestFile("rsa-2048/chain.pem", "c" * 64, 9), ManifestFile("rsa-2048/key.sealed", "d" * 64, 9))
    return replace(made, files=(*made.files, *rsa), spki_sha256={EC: OTHER, "rsa-2048": PIN})


def test_own_keys_of_a_line_that_the_master_took_over_are_spent_with_the_wish() -> None:
    state = own_keys_spent(at_rest(), manifest(shared()))
    assert state.line("shop").spent == {EC: PIN}
    assert state.line("shop").asked is None
    assert own_keys_spent(state, manifest(shared())) is state


def test_lines_in_the_hosts_custody_keep_their_keys() -> None:
    state = at_rest()
    assert own_keys_spent(state, manifest(offered())) is state


def test_a_line_that_comes_back_gets_a_new_key_and_is_asked_for() -> None:
    state = own_keys_spent(at_rest(), manifest(shared()))
    back = offered(version=2, csr_wanted=(CsrWanted(EC),), spki_sha256={EC: OTHER})
    made = plan(WISH, state, manifest(back), NOW)
    assert [type(step) for step in made.steps] == [MakeKey, Ask]
    assert "gets a new ecdsa-p256 key of its own" in made.steps[0].reason


def test_the_spent_key_does_not_count_even_where_the_live_version_is_still_for_it() -> None:
    state = own_keys_spent(at_rest(), manifest(shared()))
    assert steps(plan(WISH, state, manifest(offered()), NOW)) == ["MakeKey", "Ask"]


def test_a_line_that_came_back_and_has_its_new_key_makes_no_other() -> None:
    held = replace(asked(), keys={EC: OTHER}, spent={EC: PIN}, asked=None)
    state = State(lines={"shop": held})
    back = manifest(offered(version=None, csr_wanted=(CsrWanted(EC),)))
    assert steps(plan(WISH, state, back, NOW)) == ["Ask"]


def test_copies_are_reported_when_they_are_not_what_was_told() -> None:
    state = replace(at_rest(), copies={"shop": (OTHER,)})
    (report,) = plan(WISH, state, manifest(offered()), NOW).steps
    assert isinstance(report, Report)
    assert report.copies == {"shop": (OTHER,)}
    told = replace(state, told_copies={"shop": (OTHER,)})
    assert plan(WISH, told, manifest(offered()), NOW).steps == ()


def test_that_the_last_copy_is_gone_is_reported_by_itself() -> None:
    state = replace(at_rest(), told_copies={"shop": (OTHER,)})
    (report,) = plan(WISH, state, manifest(offered()), NOW).steps
    assert isinstance(report, Report)
    assert report.copies == {}


def test_a_host_that_never_had_a_copy_says_so_with_its_next_news_only() -> None:
    assert plan(WISH, at_rest(), manifest(offered()), NOW).steps == ()
    news = at_rest().with_line("shop", replace(at_rest().line("shop"), reported=None))
    (report,) = plan(WISH, news, manifest(offered()), NOW).steps
    assert isinstance(report, Report)
    assert report.copies == {}
