"""Ways into the fleet without a token: hosts known by their keys beforehand, and hosts that introduced themselves."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from certline_master.api import examples
from certline_master.api.admission import Admission, Typed
from certline_master.api.bodies import ApproveBody, KeysBody, RejectBody, body_of
from certline_master.api.context import By, Here, ObjectName, Raw
from certline_master.api.introductions import Introductions, fingerprint_of
from certline_master.api.services import Services
from certline_master.domain.errors import Fault, Invalid
from certline_master.domain.model import Follower
from certline_shared import introduction as shared
from certline_shared.names import BadName, check_object_name
from certline_shared.signing import thumbprint

router = APIRouter()


@router.post(
    "/v1/introductions",
    summary="Introduce a host that has no token",
    tags=["followers' protocol"],
    **examples.INTRODUCTION,
)
def introduce(request: Request, incoming: Raw) -> Response:
    introductions: Introductions = request.app.state.introductions
    return introductions.introduce(incoming)


@dataclass(frozen=True, slots=True)
class IntroductionView:
    """A host that waits. `fingerprint` is without the code that only the host shows."""

    name: str
    fingerprint: str
    address: str
    agent: str
    created: datetime
    expires: datetime


@router.get("/v1/introductions", summary="Hosts that wait to be approved", tags=["followers"], **examples.INTRODUCTIONS)
def introductions(services: Here, caller: By) -> list[IntroductionView]:
    with services.store.read() as records:
        waiting = records.introductions.all(caller, services.clock.now())
    return [
        IntroductionView(one.name, fingerprint_of(services, one), one.address, one.agent, one.created, one.expires)
        for one in waiting
    ]


@dataclass(frozen=True, slots=True)
class Approved:
    follower: str
    follower_id: str


@router.post("/v1/introductions/approve", summary="Let a host in", tags=["followers"], **examples.APPROVE)
def approve(services: Here, caller: By, body: Annotated[ApproveBody, Depends(body_of(ApproveBody))]) -> Approved:
    """Only with the whole of what the host shows, so that somebody has looked there."""
    try:
        print_, code = shared.typed(body.fingerprint)
        name = None if body.name is None else check_object_name(body.name, "follower")
    except (shared.BadString, BadName) as error:
        place = "/fingerprint" if isinstance(error, shared.BadString) else "/name"
        raise Invalid(Fault(place, str(error))) from None
    follower = services.store.write(
        lambda records: Admission(services, records, caller).approve(Typed(print_, code), name)
    )
    services.bell.ring(f"follower:{follower.id}")
    return Approved(follower.name, follower.id)


@router.post(
    "/v1/introductions/reject", summary="Send a host away", tags=["followers"], status_code=204, **examples.REJECT
)
def reject(services: Here, caller: By, body: Annotated[RejectBody, Depends(body_of(RejectBody))]) -> Response:
    """It may introduce itself again, under the same keys."""
    wanted = body.fingerprint.strip().upper()
    services.store.write(lambda records: Admission(services, records, caller).reject(wanted))
    return Response(status_code=204)


@dataclass(frozen=True, slots=True)
class Joined:
    """`join` holds no secret; the host needs it unchanged."""

    follower: str
    join: str


@router.post("/v1/followers/{name}/keys", summary="Admit a host by its keys", tags=["followers"], **examples.JOIN)
def keys(name: ObjectName, services: Here, caller: By, body: Annotated[KeysBody, Depends(body_of(KeysBody))]) -> Joined:
    """The same keys again get the same string."""
    try:
        given = shared.keys_of(body.keys)
    except shared.BadString as error:
        raise Invalid(Fault("/keys", str(error))) from None
    origin = body.origin or services.origins[0]
    if origin not in services.origins:
        raise Invalid(Fault("/origin", f"is not one of this master's: {', '.join(services.origins)}"))
    follower = services.store.write(lambda records: Admission(services, records, caller).by_keys(name, given))
    return Joined(follower.name, shared.join_text(_join(services, follower, given, origin)))


def _join(services: Services, follower: Follower, given: shared.HostKeys, origin: str) -> shared.JoinString:
    identity = services.identity
    return shared.JoinString(
        origin=origin,
        follower_id=follower.id,
        follower=follower.name,
        identity_thumbprint=thumbprint(given.identity_key),
        trust=services.trust,
        tls_pins=identity.tls_pins if services.trust == "pin" else (),
        signing_keys=identity.trust.signing_keys,
        epoch=identity.epoch,
    )
