"""Ways to answer challenges, and DNS as a CA sees it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from certline_master.domain.model import Challenge, Zone


@dataclass(frozen=True, slots=True)
class Visibility:
    """Whether all servers that the CA may ask show the answers; if not, who does not."""

    complete: bool
    detail: str = ""


class Solver(Protocol):
    """A way to answer challenges. Each method may be repeated without harm and gets all answers of one order that
    share a zone.
    """

    def present(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        """Raises SolverError."""
        ...

    def is_visible(self, zone: Zone | None, challenges: Sequence[Challenge]) -> Visibility:
        """One look, no waiting. Raises SolverError."""
        ...

    def clean_up(self, zone: Zone | None, secret: bytes | None, challenges: Sequence[Challenge]) -> None:
        """Remove exactly these values, never another's. Raises SolverError."""
        ...

    def check(self, zone: Zone) -> tuple[str, ...]:
        """What is wrong with the zone's settings, one text each; () when they can be used. No network."""
        ...


class DnsView(Protocol):
    """DNS as a CA sees it."""

    def follow(self, name: str) -> str:
        """Where a look-up of this name ends after CNAMEs: at most 8, loops and dangling targets refused by
        SolverError. Normal form.
        """
        ...
