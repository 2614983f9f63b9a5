"""Running a service's check and reload commands: argument vectors, no shell, a time limit, output capped."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from certline_follower.settings import Service

Step = Literal["check", "reload"]


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """How a command ended; `detail` is for the operator: what happened and the end of its output."""

    service: str
    step: Step
    ok: bool
    detail: str


def run(service: Service, step: Step, *, env: Mapping[str, str]) -> ServiceResult | None:
    """Run the service's command for this step; None when it has none. Never raises for what the command does."""
    raise NotImplementedError
