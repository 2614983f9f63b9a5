"""Solvers by name, built-in and from entry points."""

from importlib.metadata import EntryPoint

import pytest

from certline_master.challenges.registry import GROUP, Registry
from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass
from tests.fakes.solver import FakeSolver


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_a_built_in_solver_is_found_by_its_name() -> None:
    solver = FakeSolver()

    assert Registry({"responder": solver}, [])["responder"] is solver


@pytest.mark.parametrize("unknown", ["rfc2135", ""])
def test_an_unknown_solver_is_refused_with_the_known_ones(unknown: str) -> None:
    registry = Registry({"rfc2136": FakeSolver(), "listener": FakeSolver()}, [point("acme-dns", "nowhere:Solver")])

    with pytest.raises(SolverError, match=r"known are acme-dns, listener, rfc2136") as refused:
        registry.get(unknown)

    assert refused.value.failure is FailureClass.FIX_CONFIGURATION
    assert unknown not in registry


def test_a_further_solver_comes_from_its_entry_point_and_is_made_once() -> None:
    registry = Registry({}, [point("fake", "tests.fakes.solver:FakeSolver")])

    assert isinstance(registry["fake"], FakeSolver)
    assert registry["fake"] is registry["fake"]


def test_an_entry_point_cannot_take_a_built_in_name() -> None:
    solver = FakeSolver()
    registry = Registry({"rfc2136": solver}, [point("rfc2136", "tests.fakes.solver:FakeSolver")])

    assert registry["rfc2136"] is solver
    assert list(registry) == ["rfc2136"]


def test_a_broken_entry_point_is_named_and_harms_no_other() -> None:
    registry = Registry({"rfc2136": FakeSolver()}, [point("broken", "no.such.module:Solver")])

    assert isinstance(registry["rfc2136"], FakeSolver)
    with pytest.raises(SolverError, match=r"'broken' \(no\.such\.module:Solver\) cannot be loaded"):
        registry["broken"]


def test_something_that_is_no_solver_is_refused() -> None:
    with pytest.raises(SolverError, match="lacks present, is_visible, clean_up, check"):
        Registry({}, [point("dict", "builtins:dict")])["dict"]


def test_the_installed_entry_points_are_looked_at() -> None:
    assert len(Registry({"rfc2136": FakeSolver()})) >= 1
