"""What every solver promises: each method may be repeated, and nobody else's values are touched."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass
from tests.contract.solver_bed import Bed, listener_bed, responder_bed, rfc2136_bed


@pytest.fixture(params=["responder", "rfc2136", "listener"])
def bed(request: pytest.FixtureRequest) -> Iterator[Bed]:
    if request.param == "rfc2136":
        yield rfc2136_bed(request.getfixturevalue("bind"))
        return
    with {"responder": responder_bed, "listener": listener_bed}[request.param]() as made:
        yield made


def test_an_answer_that_was_not_presented_is_not_visible_and_is_named(bed: Bed) -> None:
    look = bed.solver.is_visible(bed.zone, [bed.first])

    assert not look.complete
    assert bed.first.name in look.detail


def test_a_presented_answer_is_visible_and_an_outsider_finds_it(bed: Bed) -> None:
    bed.present(bed.first)

    assert bed.is_visible(bed.first)
    assert bed.seen(bed.first)


def test_presenting_again_does_no_harm(bed: Bed) -> None:
    bed.present(bed.first)
    bed.present(bed.first)

    assert bed.is_visible(bed.first)


def test_two_values_stand_at_one_name(bed: Bed) -> None:
    bed.present(bed.first, bed.second)

    assert bed.is_visible(bed.first, bed.second)
    assert bed.seen(bed.first)
    assert bed.seen(bed.second)


def test_a_later_value_does_not_replace_an_earlier_one(bed: Bed) -> None:
    bed.present(bed.first)
    bed.present(bed.second)

    assert bed.is_visible(bed.first, bed.second)


def test_one_missing_value_of_two_is_enough_to_be_incomplete(bed: Bed) -> None:
    bed.present(bed.first)

    assert not bed.is_visible(bed.first, bed.second)


def test_clean_up_removes_exactly_ours_and_leaves_anothers_value(bed: Bed) -> None:
    bed.present(bed.first, bed.second)

    bed.clean_up(bed.first)

    assert not bed.seen(bed.first)
    assert bed.seen(bed.second)


def test_clean_up_may_be_repeated(bed: Bed) -> None:
    bed.present(bed.first, bed.second)

    bed.clean_up(bed.first)
    bed.clean_up(bed.first)

    assert bed.seen(bed.second)


def test_cleaning_up_what_never_stood_does_no_harm(bed: Bed) -> None:
    bed.clean_up(bed.first)

    assert not bed.seen(bed.first)


@pytest.mark.parametrize(
    "token",
    ["", "../../../etc/passwd-longer", "x" * 19, "x" * 129, 'a"b' * 10, "line\n" * 8, "nul\0" * 8, "x" * 10_000],
)
def test_a_token_that_is_not_plain_is_refused_before_anything_is_touched(bed: Bed, token: str) -> None:
    odd = replace(bed.first, token=token)

    with pytest.raises(SolverError, match="token") as refused:
        bed.solver.present(bed.zone, bed.secret, [odd])

    assert refused.value.failure is FailureClass.NEEDS_PERSON
    assert len(str(refused.value)) < 300
