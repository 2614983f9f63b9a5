"""Followers as people see them: the list, a token for a new host, revoking one."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends

from certline_master.api import stopping
from certline_master.api.bodies import TokenBody, body_of
from certline_master.api.context import By, Here, ObjectName
from certline_master.api.enrolment import SECRET_KIND
from certline_master.api.examples import FOLLOWER, GROUP, shown
from certline_master.api.follower_views import FollowerDetail, FollowerListed, detail, listed
from certline_master.api.line_routes import STANDING
from certline_master.api.services import Services
from certline_master.api.views import FollowerView
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict, Fault, Invalid
from certline_master.domain.model import Follower, FollowerState
from certline_master.domain.ports import EnrolmentToken, Records
from certline_shared import enrolment
from certline_shared.messages import time_text

router = APIRouter(prefix="/v1/followers", tags=["followers"])

MOST_TTL = 86_400 * 7

_FOLLOWER = {
    "name": "web-1", "id": "6f1c8a52-6d0f-4c53-9b4e-5c1f4f0f7a11", "owner": "file", "state": "active",
    "state_reason": None, "grants": FOLLOWER["grants"], "groups": ["web"], "group_grants": GROUP["grants"],
    "networks": ["10.2.0.0/16"],
    "agent": "certline-follower 0.1.0", "created": "2026-11-20T11:58:00Z",
    "enrolled": "2026-11-20T12:00:00Z", "last_seen": "2026-11-20T12:00:03Z", "manifest_serial": 7,
}  # fmt: skip


EXAMPLE = _FOLLOWER
_LISTED = _FOLLOWER | {"skew_seconds": 1, "lines": 2, "deployed": 2, "late": 0}
_DETAIL = _FOLLOWER | {"skew_seconds": 1, "standings": [STANDING], "survives_until": "2027-02-18T12:00:00Z"}


@router.get("", summary="All followers", **shown([_LISTED]))
def followers(services: Here, caller: By) -> list[FollowerListed]:
    with services.store.read() as records:
        return listed(records, caller, services.clock.now(), services.alarms)


@router.get("/{name}", summary="One follower", **shown(_DETAIL))
def follower(name: ObjectName, services: Here, caller: By) -> FollowerDetail:
    with services.store.read() as records:
        return detail(records, caller, name, services.clock.now(), services.alarms)


@dataclass(frozen=True, slots=True)
class TokenMade:
    """`enrolment` is shown this once; it is given to the host by file or standard input, never as an argument."""

    follower: str
    token_id: str
    enrolment: str
    expires: datetime


_TOKEN_BODY = {"ttl_seconds": 1800, "replace": False, "origin": "https://master.example:8443"}
_TOKEN = {
    "follower": "web-1",
    "token_id": "1b0e4c1e-7f2b-4c3e-9a55-0a4a5f5f5b52",
    "enrolment": "certline-enrol-1.…",
    "expires": "2026-11-20T12:30:00Z",
}


@router.post(
    "/{name}/token",
    summary="A one-time enrolment string for a follower",
    **shown(
        _TOKEN,
        body={"ttl_seconds": 1800, "replace": False, "origin": "https://master.example:8443"},
        schema="TokenBody",
        needed=False,
    ),
)
def token(
    name: ObjectName, services: Here, caller: By, body: Annotated[TokenBody, Depends(body_of(TokenBody))]
) -> TokenMade:
    if not 1 <= body.ttl_seconds <= MOST_TTL:
        raise Invalid(Fault("/ttl_seconds", f"write 1 to {MOST_TTL} seconds"))
    origin = body.origin or services.origins[0]
    if origin not in services.origins:
        raise Invalid(Fault("/origin", f"is not one of this master's: {', '.join(services.origins)}"))
    now = services.clock.now()
    made = enrolment.EnrolmentString(
        origin=origin,
        token_id=services.chance.uuid(),
        secret=services.chance.token(32),
        trust=services.trust,
        tls_pins=services.identity.tls_pins if services.trust == "pin" else (),
        signing_key_thumbprint=services.identity.keyid,
        expires_at=(now + timedelta(seconds=body.ttl_seconds)).replace(microsecond=0),
    )
    services.store.write(lambda records: _keep(records, caller, name, made, now, replaces=body.replace))
    return TokenMade(name, made.token_id, enrolment.to_text(made), made.expires_at)


def _keep(
    records: Records, caller: Caller, name: str, made: enrolment.EnrolmentString, now: datetime, *, replaces: bool
) -> None:
    """Of the secret only the MAC key stays, in the vault."""
    found = records.followers.get(caller, name)
    if found.state is FollowerState.ACTIVE and not replaces:
        raise Conflict(f"follower {name} is enrolled: for a rebuilt host that takes its place, --replace")
    if found.state in (FollowerState.REVOKED, FollowerState.SUSPENDED):
        raise Conflict(f"follower {name} is {found.state}: make a follower of another name")
    key = records.secrets.add(SYSTEM, SECRET_KIND, enrolment.mac_key(made.secret))
    records.followers.add_token(caller, EnrolmentToken(made.token_id, found.id, key, made.expires_at))
    text = f"an enrolment token was made, good until {time_text(made.expires_at)}"
    data = {"token": made.token_id}
    records.events.add(caller, "token.created", f"follower:{name}", text, now=now, data=data)


@router.post("/{name}/revoke", summary="Revoke a follower for good", **shown(_FOLLOWER | {"state": "revoked"}))
def revoke(name: ObjectName, services: Here, caller: By) -> FollowerView:
    """It holds from the follower's next request on. What is installed on the host stays there."""
    revoked = services.store.write(lambda records: revoke_now(services, records, caller, name))
    services.bell.ring(f"follower:{revoked.id}")
    return FollowerView.of(revoked)


def revoke_now(services: Services, records: Records, caller: Caller, name: str) -> Follower:
    """In the caller's transaction; one that is revoked already stays as it is."""
    found = records.followers.get(caller, name)
    if found.state is FollowerState.REVOKED:
        return found
    revoked = replace(found, state=FollowerState.REVOKED)
    records.followers.save(caller, revoked)
    text = "the follower was revoked"
    records.events.add(caller, "follower.revoked", f"follower:{name}", text, now=services.clock.now())
    stopping.of_the_revoked(services, records, caller, revoked)
    return revoked
