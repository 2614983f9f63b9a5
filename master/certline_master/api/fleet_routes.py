"""The whole fleet at once: show what a desired fleet would change, and do what was shown."""

from typing import Annotated

from fastapi import APIRouter, Depends

from certline_master.api.bodies import ApplyBody, PlanBody, body_of
from certline_master.api.context import By, Here
from certline_master.api.examples import FLEET, PLANNED, shown
from certline_master.api.fleet_work import FleetPlan, FleetWork
from certline_master.domain.fleet import FILE

router = APIRouter(prefix="/v1/fleet", tags=["fleet"])

_APPLY = {"desired": FLEET, "hash": PLANNED["hash"], "force": False}


@router.post(
    "/plan",
    summary="What a desired fleet would change and order",
    **shown(PLANNED, body={"desired": FLEET}, schema="PlanBody"),
)
def plan(services: Here, caller: By, body: Annotated[PlanBody, Depends(body_of(PlanBody))]) -> FleetPlan:
    return FleetWork(services, caller).plan(body.desired, FILE)


@router.post("/apply", summary="Do what a plan showed", **shown(PLANNED, body=_APPLY, schema="ApplyBody"))
def apply(services: Here, caller: By, body: Annotated[ApplyBody, Depends(body_of(ApplyBody))]) -> FleetPlan:
    return FleetWork(services, caller).apply(body.desired, FILE, shown=body.hash, force=body.force)
