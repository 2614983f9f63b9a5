"""`sync`: turns until each wanted line has a version, or the time is over; and its exit code."""

from dataclasses import dataclass, field

from certline_follower.custody import MASTER
from certline_follower.ending import AWAY, CHANGED, FAILED, NOTHING, REFUSED
from certline_follower.host import Host
from certline_follower.master_faults import Refused, Unreachable
from certline_follower.planning import Step
from certline_follower.recovering import recover
from certline_follower.turn import Outcome, insist, turn

LONGEST_POLL = 55  # seconds
_SHORT = 1.0  # seconds between two looks where the master does not hold a request open
_PATIENCE = 5  # answers in a row, at once, that asked for nothing


@dataclass(slots=True)
class Synced:
    """What came of a whole run."""

    last: Outcome
    notes: list[str]
    done: list[Step] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    changed: bool = False

    @property
    def exit_code(self) -> int:
        """The gravest thing that is true: see `--help`."""
        away = self.last.away
        if isinstance(away, Unreachable) or (isinstance(away, Refused) and away.passing):
            return AWAY
        if self.failures or self.last.held_back:
            return FAILED
        if self.last.refused or isinstance(away, Refused):
            return REFUSED
        if away is not None:
            return FAILED
        return CHANGED if self.changed else NOTHING


def sync(host: Host, timeout: float) -> Synced:
    """Run turns, the first without regard to pauses; first versions are waited for up to `timeout` seconds.

    Raises StateError, InstallFault.
    """
    until = host.clock.monotonic() + timeout
    notes = recover(host)
    insist(host)
    outcome = turn(host)
    synced = Synced(outcome, notes)
    _add(synced, outcome)
    idle = 0
    while _worth_waiting(host, outcome) and (left := until - host.clock.monotonic()) > 0:
        outcome = turn(host, wait=max(1, min(LONGEST_POLL, int(left))))
        _add(synced, outcome)
        idle = 0 if outcome.done or outcome.polled > _SHORT else idle + 1
        if idle > _PATIENCE or (idle and not outcome.news):
            host.pause(_SHORT)
    if _worth_waiting(host, outcome):
        names = ", ".join(outcome.waiting)
        synced.failures.append(f"no version of {names} within {timeout:g} s; the next run takes it up")
    return synced


def _worth_waiting(host: Host, outcome: Outcome) -> bool:
    """Whether a line that was asked for may still get its first version from the master."""
    if outcome.away is not None:
        return False
    made = {line.name for line in host.manifest.lines if line.custody == MASTER} if host.manifest else set()
    lines = {name: host.state.line(name) for name in outcome.waiting}
    return any((line.asked or name in made) and not line.held_back and not line.pulled for name, line in lines.items())


def _add(synced: Synced, outcome: Outcome) -> None:
    synced.last = outcome
    synced.done += outcome.done
    synced.failures += outcome.failures
    synced.warnings += outcome.warnings
    synced.changed = synced.changed or outcome.changed
