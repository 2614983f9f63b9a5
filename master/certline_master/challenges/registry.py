"""Solvers by name: the built-in ones, and further ones from the entry-point group `certline.solvers`."""

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from certline_master.domain.errors import SolverError
from certline_master.domain.model import FailureClass
from certline_master.domain.ports import Solver

GROUP = "certline.solvers"

_FIX = FailureClass.FIX_CONFIGURATION


class Registry(Mapping[str, Solver]):
    """Name → solver; asking for an unknown one raises SolverError that lists the known ones (`get` too).

    An entry point names something that makes a Solver when called without arguments; it is loaded when it is first
    asked for, so that a broken one harms no other. A built-in name cannot be taken.
    """

    def __init__(self, built_in: Mapping[str, Solver], further: Iterable[EntryPoint] | None = None) -> None:
        found = entry_points(group=GROUP) if further is None else further
        self._solvers = dict(built_in)
        self._further = {point.name: point for point in found if point.name not in built_in}

    def __getitem__(self, name: str) -> Solver:
        if name not in self._solvers:
            self._solvers[name] = self._load(name)
        return self._solvers[name]

    def __contains__(self, name: object) -> bool:
        return name in self._solvers or name in self._further

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self._solvers, *self._further}))

    def __len__(self) -> int:
        return len({*self._solvers, *self._further})

    def _load(self, name: str) -> Solver:
        point = self._further.get(name)
        if point is None:
            raise SolverError(f"there is no solver {name!r}: known are {', '.join(self)}", _FIX)
        try:
            solver: Solver = point.load()()
        except Exception as error:  # a plug-in's own code
            raise SolverError(f"the solver {name!r} ({point.value}) cannot be loaded: {error}", _FIX) from error
        missing = [method for method in ("present", "is_visible", "clean_up", "check") if not hasattr(solver, method)]
        if missing:
            raise SolverError(f"the solver {name!r} ({point.value}) lacks {', '.join(missing)}", _FIX)
        return solver
