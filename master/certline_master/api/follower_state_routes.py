"""Followers stopped for a while, and let go on."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends

from certline_master.api.bodies import ReasonBody, body_of
from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.api.fleet_follower_routes import EXAMPLE
from certline_master.api.services import Services
from certline_master.api.views import FollowerView
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict
from certline_master.domain.model import Follower, FollowerState
from certline_master.domain.ports import Records

router = APIRouter(prefix="/v1/followers", tags=["followers"])

_SUSPENDED = EXAMPLE | {"state": "suspended", "state_reason": "the host is being rebuilt"}


@router.post(
    "/{name}/suspend",
    summary="Give a follower nothing new until it is resumed",
    **shown(_SUSPENDED, body={"reason": "the host is being rebuilt"}, schema="ReasonBody", needed=False),
)
def suspend(
    name: ObjectName, services: Here, caller: By, body: Annotated[ReasonBody, Depends(body_of(ReasonBody))]
) -> FollowerView:
    """It holds from the follower's next request on. What is installed stays in use; no orders are begun for it, those
    under way end as they would, and what they bring waits here.
    """
    changed = services.store.write(lambda records: _suspend(services, records, caller, name, body.reason))
    services.bell.ring(f"follower:{changed.id}")
    return FollowerView.of(changed)


def _suspend(services: Services, records: Records, caller: Caller, name: str, reason: str | None) -> Follower:
    found = records.followers.get(caller, name)
    if found.state not in (FollowerState.ACTIVE, FollowerState.SUSPENDED):
        raise Conflict(f"follower {name} is {found.state}: only an enrolled one can be suspended")
    changed = replace(found, state=FollowerState.SUSPENDED, state_reason=reason or None)
    if changed != found:
        text = f"the follower was suspended{f': {reason}' if reason else ''}"
        records.followers.save(caller, changed)
        _note(services, records, caller, changed, text)
    return changed


@router.post("/{name}/resume", summary="Let a suspended follower go on", **shown(EXAMPLE | {"state": "active"}))
def resume(name: ObjectName, services: Here, caller: By) -> FollowerView:
    """Its lines are looked at anew at once."""
    changed = services.store.write(lambda records: _resume(services, records, caller, name))
    services.bell.ring(f"follower:{changed.id}")
    services.bell.ring("work")
    return FollowerView.of(changed)


def _resume(services: Services, records: Records, caller: Caller, name: str) -> Follower:
    found = records.followers.get(caller, name)
    if found.state is FollowerState.ACTIVE:
        return found
    if found.state is not FollowerState.SUSPENDED:
        raise Conflict(f"follower {name} is {found.state}, not suspended: a new enrolment makes it good")
    changed = replace(found, state=FollowerState.ACTIVE, state_reason=None)
    records.followers.save(caller, changed)
    _note(services, records, caller, changed, "the follower was resumed")
    for line in records.lines.all(SYSTEM, limit=1_000_000):
        if line.follower_id == changed.id:
            records.lines.set_next_look(SYSTEM, line.id, services.clock.now())
    return changed


def _note(services: Services, records: Records, caller: Caller, changed: Follower, text: str) -> None:
    kind = "follower.resumed" if changed.state is FollowerState.ACTIVE else "follower.suspended"
    data = {"reason": changed.state_reason} if changed.state_reason else {}
    records.events.add(caller, kind, f"follower:{changed.name}", text, now=services.clock.now(), data=data)
