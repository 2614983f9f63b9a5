"""An operator has the hosts of a line rehearse it."""

from dataclasses import dataclass

from fastapi import APIRouter

from certline_master.api import rehearsals
from certline_master.api.callers import in_the_name_of
from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.api.services import Services
from certline_master.api.wish_reading import Wish
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict, NotFound
from certline_master.domain.model import Follower, FollowerState
from certline_master.domain.placement import local_name
from certline_master.domain.ports import Records
from certline_master.domain.rehearsal import rehearsal_name

router = APIRouter(prefix="/v1/lines", tags=["lines"])

_BEGUN = {"line": "shop", "followers": ["web-1", "web-2"], "after": 4711}


@dataclass(frozen=True, slots=True)
class RehearsalsBegun:
    """How each ends is an event of the line, `rehearsal.passed` or `rehearsal.failed`; `after`: the last one so far."""

    line: str
    followers: tuple[str, ...]
    after: int


@router.post("/{name}/rehearse", summary="Have each host of a line rehearse it", **shown(_BEGUN))
def rehearse(name: ObjectName, services: Here, caller: By) -> RehearsalsBegun:
    """One that is under way goes on. A host does it as soon as its follower hears of it, where it runs all the time."""
    begun, followers = services.store.write(lambda records: _begin(services, records, caller, name))
    services.bell.ring("work")
    for follower in followers:
        services.bell.ring(f"follower:{follower.id}")
    return begun


def _begin(services: Services, records: Records, caller: Caller, name: str) -> tuple[RehearsalsBegun, list[Follower]]:
    line = records.lines.get(caller, name)
    found = records.standings.receivers(SYSTEM, [line.id]).get(line.id, ())
    hosts = [records.followers.by_id(SYSTEM, one.id) for one in found if one.state is FollowerState.ACTIVE]
    if not hosts:
        raise Conflict(f"line {name} cannot be rehearsed: no active follower is to have it")
    newest = records.events.all(SYSTEM, limit=1)
    for follower in hosts:
        local = local_name(line, follower)
        if not _is_under_way(records, rehearsal_name(local, follower)):
            host = in_the_name_of(follower)
            rehearsals.Rehearsing(services, host, records, local, Wish(None, {}), asked_by=caller).run()
    after = newest[0].id if newest else 0
    return RehearsalsBegun(name, tuple(follower.name for follower in hosts), after), hosts


def _is_under_way(records: Records, name: str) -> bool:
    try:
        records.lines.get(SYSTEM, name)
    except NotFound:
        return False
    return True
