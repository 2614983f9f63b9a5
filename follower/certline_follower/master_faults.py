"""What can go wrong between this host and its master, as three exceptions that ask for different things."""

from certline_shared.messages import Problem


class MasterFault(Exception):
    """The master did not do what was asked; the text says why and what to do."""


class Unreachable(MasterFault):
    """No answer that can be used, now: nothing is concluded from it, and it is tried again.

    `retry_after`: the seconds the other side asked to wait, 1 to 3,600, or None.
    """

    def __init__(self, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Refused(MasterFault):
    """The master's own no, or its own failure (`passing`); `retry_after` as above."""

    def __init__(self, problem: Problem, retry_after: int | None = None) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem
        self.retry_after = retry_after

    @property
    def kind(self) -> str:
        """The last word of the problem's type, such as `not-granted`."""
        return self.problem.type.rpartition(":")[2]

    @property
    def passing(self) -> bool:
        """Whether this says nothing of what was asked."""
        return self.problem.status >= 500


class Untrusted(MasterFault):
    """Something answered that is not the master, or changed what the master said: nothing of it is used."""
