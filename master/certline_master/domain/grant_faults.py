"""What is wrong with the grants, groups and networks of a desired fleet. Pure."""

from collections.abc import Iterator, Mapping

from certline_master.domain.errors import Fault
from certline_master.domain.fleet import Current, DesiredFleet, DesiredGrants, Scope
from certline_master.domain.model import Custody, GrantKind
from certline_master.domain.networks import BadNetwork, network_of
from certline_master.domain.pointers import pointer
from certline_shared.names import BadName, normalise


def grant_faults(desired: DesiredFleet, current: Current, scope: Scope) -> Iterator[Fault]:
    """Each with its place."""
    lines = _custodies(desired, current, scope)
    for name, group in desired.groups.items():
        yield from _of_grants(("groups", name, "grants"), group.grants, lines)
    known = {one.name for one in current.groups if not scope.covers("group", one)} | set(desired.groups)
    for name, follower in desired.followers.items():
        yield from _of_grants(("followers", name, "grants"), follower.grants, lines)
        for index, group_name in enumerate(follower.groups):
            if group_name not in known:
                text = f"there is no group {group_name!r}: add it to `groups:`"
                yield Fault(pointer("followers", name, "groups", index), text)
        yield from _of_networks(name, follower.networks)
    yield from _left_behind(desired, current, scope, known)


def _custodies(desired: DesiredFleet, current: Current, scope: Scope) -> Mapping[str, Custody]:
    """Who keeps the key of each line, once this is done."""
    kept = {line.name: line.custody for line in current.lines if not scope.covers("line", line)}
    return kept | {name: getattr(line, "custody", Custody.FOLLOWER) for name, line in desired.lines.items()}


def _of_grants(place: tuple[str, ...], grants: DesiredGrants, lines: Mapping[str, Custody]) -> Iterator[Fault]:
    for index, name in enumerate(grants.request):
        try:
            normalise(name)
        except BadName as error:
            yield Fault(pointer(*place, "request", index), str(error))
    for index, line in enumerate(grants.pull):
        why_not = _why_not_pulled(line, lines)
        if why_not:
            yield Fault(pointer(*place, "pull", index), why_not)


def _why_not_pulled(line: str, lines: Mapping[str, Custody]) -> str | None:
    if line not in lines:
        return f"there is no line {line!r}: add it to `lines:`, or correct the name"
    if lines[line] is not Custody.MASTER:
        return f"the key of line {line!r} stays on its own follower: only a line with `custody: master` can be pulled"
    return None


def _of_networks(follower: str, networks: tuple[str, ...]) -> Iterator[Fault]:
    for index, text in enumerate(networks):
        try:
            network_of(text)
        except BadNetwork as error:
            yield Fault(pointer("followers", follower, "networks", index), str(error))


def _left_behind(desired: DesiredFleet, current: Current, scope: Scope, groups: set[str]) -> Iterator[Fault]:
    """Followers that stay, managed by others, must not lose a group; nor may a line go that one may pull, for another
    line of that name would be theirs."""
    gone = {line.name for line in current.lines if scope.covers("line", line) and line.name not in desired.lines}
    stay = [one for one in current.followers if not scope.covers("follower", one)]
    for follower in stay:
        for name in follower.groups:
            if name not in groups:
                yield Fault("/groups", f"the follower {follower.name} is in the group {name}: take it out first")
        for grant in follower.grants:
            if grant.kind is GrantKind.PULL and grant.name in gone:
                text = f"the follower {follower.name} may pull the line {grant.name}: take that grant away first"
                yield Fault("/lines", text)
