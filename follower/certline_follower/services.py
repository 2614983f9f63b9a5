"""Running a service's check and reload commands, see certline_shared.running."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from certline_follower.settings import Service
from certline_shared import running
from certline_shared.clock import Clock
from certline_shared.running import MOST_DETAIL, PATH

__all__ = ["MOST_DETAIL", "PATH", "ServiceResult", "Step", "run"]

Step = Literal["check", "reload"]


@dataclass(frozen=True, slots=True)
class ServiceResult:
    """How a command ended; `detail` is for the operator: what happened and the end of its output."""

    service: str
    step: Step
    ok: bool
    detail: str


def run(service: Service, step: Step, *, env: Mapping[str, str], clock: Clock | None = None) -> ServiceResult | None:
    """Run the service's command for this step; None when it has none. Never raises for what the command does."""
    words = service.reload if step == "reload" else service.check
    if words is None:
        return None
    done = running.run(words, timeout=service.timeout, env=env, around=service.around, clock=clock)
    return ServiceResult(service.name, step, done.ok, done.detail)
