"""One order on its way: what the steps know of it, and what a step can say happened."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from certline_master.domain.model import Certificate, Challenge, Failure, Order, OrderWork
from certline_master.domain.ports import CertificateAuthority, OrderView


@dataclass(slots=True)
class Journey:
    """An order that a worker holds. `view` and `looks` live only as long as the worker: a take-over starts without
    them.
    """

    work: OrderWork
    ca: CertificateAuthority | None = None
    view: OrderView | None = None  # the CA's last word, when this worker has just heard it
    looks: int = 0  # polls in the present state
    is_freed: bool = False  # it waits so long that whoever comes first may take it then
    challenges: dict[str, Challenge] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.challenges = {challenge.id: challenge for challenge in self.work.challenges}

    @property
    def order(self) -> Order:
        return self.work.order


@dataclass(frozen=True, slots=True)
class Moved:
    """The order came into another state; go on at once."""

    order: Order
    challenges: Sequence[Challenge] = ()


@dataclass(frozen=True, slots=True)
class Waits:
    """Nothing to do until `due`; `kept` says whether anything must be written before."""

    order: Order
    due: datetime
    challenges: Sequence[Challenge] = ()
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Issued:
    order: Order
    certificate: Certificate
    warnings: tuple[str, ...] = ()  # what is not as the line wishes it


@dataclass(frozen=True, slots=True)
class GaveUp:
    failure: Failure


Outcome = Moved | Waits | Issued | GaveUp
