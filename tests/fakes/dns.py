"""DNS as a test sets it: CNAMEs and names that cannot be looked up."""

from collections.abc import Mapping

from certline_master.domain.errors import SolverError


class FakeDnsView:
    """The DnsView port over a mapping name → CNAME target; names in `broken` cannot be looked up.

    `followed` lists what was asked for.
    """

    def __init__(self, cnames: Mapping[str, str] | None = None, broken: frozenset[str] = frozenset()) -> None:
        self.cnames = dict(cnames or {})
        self.broken = set(broken)
        self.followed: list[str] = []

    def follow(self, name: str) -> str:
        self.followed.append(name)
        seen = [name]
        while (target := self.cnames.get(seen[-1])) is not None:
            if target in seen or len(seen) > 8:
                raise SolverError(f"{name} leads nowhere: its CNAMEs run in a circle")
            seen.append(target)
        if seen[-1] in self.broken:
            raise SolverError(f"{seen[-1]} cannot be looked up")
        return seen[-1]
