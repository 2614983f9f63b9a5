"""What is wrong with the rollouts of a desired fleet. Pure."""

from collections.abc import Iterator

from certline_master.domain.durations import seconds_of
from certline_master.domain.errors import Fault
from certline_master.domain.fleet import Current, DesiredFleet, DesiredLine, DesiredRollout, Scope
from certline_master.domain.model import Custody, GrantKind
from certline_master.domain.pointers import pointer

Place = tuple["str | int", ...]


def rollout_faults(desired: DesiredFleet, current: Current, scope: Scope) -> Iterator[Fault]:
    for name, line in desired.lines.items():
        if line.rollout is not None:
            for member, text in _faults(line, line.rollout, _pullers(name, desired, current, scope)):
                yield Fault(pointer("lines", name, "rollout", *member), text)


def _faults(line: DesiredLine, rollout: DesiredRollout, pullers: set[str]) -> Iterator[tuple[Place, str]]:
    if line.custody is not Custody.MASTER:
        yield (), "this line has one follower: waves are for lines with `custody: master`, which several may pull"
        return
    if not rollout.canaries:
        yield ("canaries",), "is empty: name the followers that get a new version first"
    for index, canary in enumerate(rollout.canaries):
        if canary not in pullers:
            yield ("canaries", index), f"no follower {canary!r} may pull this line: grant it, or correct the name"
    if rollout.wave is not None and rollout.wave < 1:
        yield ("wave",), "write how many followers get it at once, 1 or more; left out: all the others"
    if rollout.after is not None:
        try:
            seconds_of(rollout.after)
        except ValueError as error:
            yield ("after",), str(error)


def _pullers(line: str, desired: DesiredFleet, current: Current, scope: Scope) -> set[str]:
    """The followers that may pull it once this is done."""
    groups = {one.name: {grant.name for grant in one.grants if grant.kind is GrantKind.PULL} for one in current.groups}
    groups |= {name: set(one.grants.pull) for name, one in desired.groups.items()}
    held = {
        one.name: {grant.name for grant in one.grants if grant.kind is GrantKind.PULL} | _of(groups, one.groups)
        for one in current.followers
        if not scope.covers("follower", one)
    }
    held |= {name: {*one.grants.pull, *_of(groups, one.groups)} for name, one in desired.followers.items()}
    return {name for name, granted in held.items() if line in granted}


def _of(groups: dict[str, set[str]], names: tuple[str, ...]) -> set[str]:
    return {line for name in names for line in groups.get(name, ())}
