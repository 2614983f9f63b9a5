"""When a host is stolen: a plan of what that means, doing it, and the worklist until all is done."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from certline_master.api import lost_hosts
from certline_master.api.bodies import StolenBody, body_of
from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.api.fleet_follower_routes import revoke_now
from certline_master.api.lost_host_views import Worklist
from certline_master.api.lost_hosts import Clearing
from certline_master.api.services import Services
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.ports import Records
from certline_shared.failpoints import failpoint

router = APIRouter(prefix="/v1/followers", tags=["followers"])

_PIN = "0a1b…64 hex digits"
_WORKLIST = {
    "follower": "web-2", "state": "revoked",
    "keys": [{
        "line": "shop", "key_type": "ecdsa-p256", "spki_sha256": _PIN, "released": "2026-11-20T12:00:02Z",
        "seen": "2026-11-20T12:05:00Z", "deleted": None,
    }],
    "lines": [{
        "line": "shop", "own": False, "needs_key": False, "new_version": 4,
        "others": [{"follower": "web-1", "version": 3, "moved_on": False}],
        "certificates": [{
            "version": 3, "serial": "3f2a", "not_after": "2027-02-18T12:00:00Z",
            "revocation": "waits", "deadline": "2026-11-22T09:00:00Z", "ended": None, "error": None,
        }],
        "text": "version 4 has a new key; web-1 still to install it",
    }],
    "done": False,
}  # fmt: skip


@router.get("/{name}/worklist", summary="What a follower's loss means, and how far that is", **shown(_WORKLIST))
def worklist(name: ObjectName, services: Here, caller: By) -> Worklist:
    """Of a follower that is not lost it is a plan: what would be exposed."""
    with services.store.read() as records:
        return Worklist.of(lost_hosts.look(records, caller, name, services.clock.now()))


@router.post(
    "/{name}/stolen",
    summary="Revoke a follower whose host is lost, with all the keys it had",
    **shown(_WORKLIST, body={"now": False}, schema="StolenBody", needed=False),
)
def stolen(
    name: ObjectName,
    services: Here,
    caller: By,
    body: Annotated[StolenBody, Depends(body_of(StolenBody))],
    dry_run: Annotated[bool, Query()] = False,
) -> Worklist:
    """Keys that it had are replaced, their certificates issued anew, and the old ones revoked (keyCompromise) once the
    other hosts use the new ones, or after 24 hours; with `now` at once. It may be repeated. `dry_run`: only look.
    """
    if dry_run:
        return worklist(name, services, caller)
    done = services.store.write(lambda records: _clear(services, records, caller, name, at_once=body.now))
    failpoint("stolen.recorded")
    for topic in ("work", *_topics(done)):
        services.bell.ring(topic)
    return Worklist.of(done)


def _clear(services: Services, records: Records, caller: Caller, name: str, *, at_once: bool) -> lost_hosts.LostHost:
    now = services.clock.now()
    revoke_now(services, records, caller, name)
    lost = lost_hosts.look(records, SYSTEM, name, now)
    Clearing(records, caller, services.chance, now, at_once).run(lost)
    return lost_hosts.look(records, SYSTEM, name, now)


def _topics(lost: lost_hosts.LostHost) -> set[str]:
    others = {f"follower:{other.id}" for line in lost.lines for other in line.others}
    return {f"follower:{lost.follower.id}"} | others
