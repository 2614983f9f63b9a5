"""When the master tells of something unasked. Pure."""

from dataclasses import dataclass
from datetime import timedelta

from certline_master.domain.deployment import IN_TIME


@dataclass(frozen=True, slots=True)
class Alarms:
    """The operator's limits."""

    deployed_within: timedelta = IN_TIME
    survival: timedelta | None = None  # None: see survival.SHORT
