"""What can go wrong, in the words of the domain. No HTTP words here: the edges translate.

DomainError
├── NotFound          missing, or not the caller's: the two look the same
├── Forbidden         the caller's role does not reach this
├── Conflict          it clashes with what is there
├── Invalid           input that cannot be used; carries one fault per field
├── NotGranted        a follower asked for names without a grant
├── Unavailable       try again later
│   └── Sealed        no secret can be read: no KEK, a wrong one, a damaged data key
├── LeaseLost         another worker has taken this order over
├── CaError           the CA said no, or could not be asked
│   ├── CaUnreachable
│   │   └── CaOffLimits   we may not ask it where it is
│   └── CaRefused
└── SolverError       a challenge could not be put in place
"""

from dataclasses import dataclass
from datetime import datetime

from certline_master.domain.model import FailureClass
from certline_shared.names import display


class DomainError(Exception):
    """The root; never raised itself."""


class NotFound(DomainError):
    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"there is no {what} {name!r}")
        self.what, self.name = what, name


class Forbidden(DomainError):
    pass


class Conflict(DomainError):
    pass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input: `field` is a JSON pointer (RFC 6901) into it."""

    field: str
    detail: str


class Invalid(DomainError):
    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(f"{fault.field}: {fault.detail}" for fault in faults))
        self.faults = faults


class NotGranted(DomainError):
    def __init__(self, follower: str, names: tuple[str, ...]) -> None:
        super().__init__(f"follower {follower} has no grant for {', '.join(map(display, names))}")
        self.follower, self.names = follower, names


class Unavailable(DomainError):
    def __init__(self, detail: str, retry_at: datetime | None = None) -> None:
        super().__init__(detail)
        self.retry_at = retry_at


class Sealed(Unavailable):
    pass


class LeaseLost(DomainError):
    pass


class CaError(DomainError):
    """Something at the CA: `failure` says who has to act, `retry_at` (aware UTC) is the CA's word, if any."""

    failure: FailureClass = FailureClass.RETRY_SOON
    retry_at: datetime | None = None


class CaUnreachable(CaError):
    """No usable answer: connection, TLS, time-out, 5xx, not ACME. Trying again is right; what was sent may have been
    done.
    """

    def __init__(self, detail: str, retry_at: datetime | None = None) -> None:
        super().__init__(detail)
        self.retry_at = retry_at


class CaOffLimits(CaUnreachable):
    """Its host is at an address that the settings do not let us ask; nothing was sent. It may be elsewhere later."""


@dataclass(frozen=True, slots=True)
class Subproblem:
    """RFC 8555 section 6.7.1."""

    identifier: str
    type: str
    detail: str


class CaRefused(CaError):
    """A problem document of the CA (RFC 8555 section 6.7). `type` is without the urn prefix, e.g. "rateLimited"."""

    def __init__(
        self,
        type: str,  # noqa: A002 the RFC's word
        detail: str,
        failure: FailureClass,
        *,
        status: int = 400,
        subproblems: tuple[Subproblem, ...] = (),
        retry_at: datetime | None = None,
        location: str | None = None,
    ) -> None:
        named = "".join(f"; {sub.identifier}: {sub.detail}" for sub in subproblems)
        super().__init__(f"{type}: {detail}{named}")
        self.type, self.detail, self.failure, self.status = type, detail, failure, status
        self.subproblems, self.retry_at, self.location = subproblems, retry_at, location


class SolverError(DomainError):
    """A challenge answer could not be put in place or removed; `failure` says who has to act."""

    def __init__(self, detail: str, failure: FailureClass = FailureClass.RETRY_SOON) -> None:
        super().__init__(detail)
        self.failure = failure
