"""One object at a time: issuers, zones, http names, lines and followers are put and deleted like a fleet of one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from certline_master.api import examples
from certline_master.api.bodies import body_of
from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import CHANGED, shown
from certline_master.api.fleet_work import FleetWork
from certline_master.api.services import Services
from certline_master.api.views import GroupView, HttpView, IssuerView, ZoneView
from certline_master.domain.access import Caller
from certline_master.domain.errors import Conflict, Fault, Invalid, NotFound
from certline_master.domain.fleet import (
    SECTIONS,
    DesiredFleet,
    DesiredFollower,
    DesiredGroup,
    DesiredHttp,
    DesiredIssuer,
    DesiredKey,
    DesiredLine,
    DesiredZone,
    Kind,
    Scope,
    Thing,
)
from certline_master.domain.fleet_changes import Change
from certline_master.domain.fleet_warnings import FleetWarning
from certline_master.domain.model import Owner
from certline_master.domain.orders_caused import OrderCaused
from certline_master.domain.pointers import pointer
from certline_master.domain.ports import Records
from certline_shared.names import normalise

router = APIRouter(prefix="/v1")


@dataclass(frozen=True, slots=True)
class Changed:
    """What was done, and the certificates that this will have ordered."""

    changes: tuple[Change, ...]
    orders: tuple[OrderCaused, ...]
    warnings: tuple[FleetWarning, ...] = ()  # what will hardly be meant, and stops nothing


def _add_changes(kind: Kind, body: type, example: Any) -> None:
    """The routes that put and delete an object of this kind."""
    section = SECTIONS[kind]

    def put(name: str, services: Here, caller: By, wanted: Annotated[Any, Depends(body_of(body))]) -> Changed:
        return _put(services, caller, kind, name, wanted)

    def delete(name: str, services: Here, caller: By) -> Changed:
        return _delete(services, caller, kind, name)

    put_shown, delete_shown = shown(CHANGED, body=example, schema=body.__name__), shown({**CHANGED, "orders": []})
    path = f"/{section}/{{name}}"
    tags: list[str | Enum] = [section]
    router.put(path, summary=f"Make or change the {kind}", tags=tags, name=f"put_{kind}", **put_shown)(put)
    router.delete(path, summary=f"Delete the {kind}", tags=tags, name=f"delete_{kind}", **delete_shown)(delete)


_add_changes("issuer", DesiredIssuer, examples.ISSUER)
_add_changes("zone", DesiredZone, examples.ZONE)
_add_changes("http", DesiredHttp, examples.HTTP)
_add_changes("line", DesiredLine, examples.LINE)
_add_changes("follower", DesiredFollower, examples.FOLLOWER)
_add_changes("group", DesiredGroup, examples.GROUP)
_add_changes("key", DesiredKey, examples.KEY)


def _put(services: Services, caller: Caller, kind: Kind, name: str, wanted: Any) -> Changed:
    name = _spelled(kind, name)
    former = _find(services, caller, kind, name)
    if former is not None and former.owner is not Owner.API:
        raise Conflict(f"the {kind} {name} belongs to {_BELONGS[former.owner]}: change it there")
    desired = replace(DesiredFleet(), **{SECTIONS[kind]: {name: wanted}})
    return _apply(services, caller, desired, Scope(Owner.API, (kind, name)))


def _delete(services: Services, caller: Caller, kind: Kind, name: str) -> Changed:
    name = _spelled(kind, name)
    former = _find(services, caller, kind, name)
    if former is None:
        raise NotFound(kind, name)
    if former.owner is Owner.FILE:
        raise Conflict(f"the {kind} {name} belongs to {_BELONGS[former.owner]}: remove it there")
    try:
        return _apply(services, caller, DesiredFleet(), Scope(former.owner, (kind, name)))
    except Invalid as error:  # there is no input to be wrong: something else needs the object
        raise Conflict("; ".join(fault.detail for fault in error.faults)) from None


_BELONGS = {Owner.FILE: "the fleet file", Owner.FOLLOWER: "the follower that asked for it"}


def _apply(services: Services, caller: Caller, desired: DesiredFleet, scope: Scope) -> Changed:
    try:
        done = FleetWork(services, caller).apply(desired, scope, shown=None, force=True)
    except Invalid as error:
        raise Invalid(*(_from_object(fault, scope) for fault in error.faults)) from None
    root = pointer(SECTIONS[scope.only[0]], scope.only[1]) if scope.only else ""
    told = (
        replace(one, field=one.field.removeprefix(root)) for one in done.warnings if one.field.startswith(f"{root}/")
    )
    return Changed(done.changes, done.orders, tuple(told))


def _from_object(fault: Fault, scope: Scope) -> Fault:
    """The fault's place counted from the object's own root, which is the body that the caller sent."""
    kind, name = scope.only or ("line", "")
    return Fault(fault.field.removeprefix(pointer(SECTIONS[kind], name)), fault.detail)


def _spelled(kind: Kind, name: str) -> str:
    """Raises BadName."""
    return normalise(name) if kind in ("zone", "http") else name


def _find(services: Services, caller: Caller, kind: Kind, name: str) -> Thing | None:
    with services.store.read() as records:
        return next((thing for thing in _all(records, caller, kind) if thing.name == name), None)


def _all(records: Records, caller: Caller, kind: Kind) -> Sequence[Thing]:
    match kind:
        case "issuer":
            return records.issuers.all(caller)
        case "zone":
            return records.zones.all(caller)
        case "http":
            return records.http.all(caller)
        case "line":
            return records.lines.all(caller, limit=1_000_000)
        case "follower":
            return records.followers.all(caller)
        case "group":
            return records.groups.all(caller)
        case "key":
            return [key for key in records.keys.all(caller) if key.declared]


_ISSUER = examples.ISSUER | {
    "name": "staging", "owner": "file", "preferred_chain": None, "ca_certificates": None, "profiles": ["classic"],
    "account": "https://acme-staging-v02.api.letsencrypt.org/acme/acct/1", "test_of": "letsencrypt",
}  # fmt: skip
_ZONE = {
    "name": "example.org", "shown": "example.org", "owner": "file", "solver": "rfc2136",
    "settings": examples.ZONE["settings"], "has_secret": True,
}  # fmt: skip
_HTTP = {"name": "www.example.net", "shown": "www.example.net", "owner": "api", "solver": "listener"}


@router.get("/issuers", tags=["issuers"], summary="All issuers", **shown([_ISSUER]))
def issuers(services: Here, caller: By) -> list[IssuerView]:
    with services.store.read() as records:
        return [IssuerView.of(issuer) for issuer in records.issuers.all(caller)]


@router.get("/issuers/{name}", tags=["issuers"], summary="One issuer", **shown(_ISSUER))
def issuer(name: ObjectName, services: Here, caller: By) -> IssuerView:
    with services.store.read() as records:
        return IssuerView.of(records.issuers.get(caller, name))


@router.get("/zones", tags=["zones"], summary="All zones", **shown([_ZONE]))
def zones(services: Here, caller: By) -> list[ZoneView]:
    with services.store.read() as records:
        return [ZoneView.of(zone) for zone in records.zones.all(caller)]


@router.get("/zones/{name}", tags=["zones"], summary="One zone", **shown(_ZONE))
def zone(name: str, services: Here, caller: By) -> ZoneView:
    with services.store.read() as records:
        return ZoneView.of(records.zones.get(caller, normalise(name)))


_GROUP = {"name": "web", "owner": "file", "grants": examples.GROUP["grants"], "followers": ["web-1", "web-2"]}


@router.get("/groups", tags=["groups"], summary="All groups of followers", **shown([_GROUP]))
def groups(services: Here, caller: By) -> list[GroupView]:
    with services.store.read() as records:
        followers = records.followers.all(caller)
        return [GroupView.of(group, followers) for group in records.groups.all(caller)]


@router.get("/groups/{name}", tags=["groups"], summary="One group of followers", **shown(_GROUP))
def group(name: ObjectName, services: Here, caller: By) -> GroupView:
    with services.store.read() as records:
        return GroupView.of(records.groups.get(caller, name), records.followers.all(caller))


@router.get("/http", tags=["http"], summary="All names proven by http-01", **shown([_HTTP]))
def http_names(services: Here, caller: By) -> list[HttpView]:
    with services.store.read() as records:
        return [HttpView.of(http) for http in records.http.all(caller)]


@router.get("/http/{name}", tags=["http"], summary="One name proven by http-01", **shown(_HTTP))
def http_name(name: str, services: Here, caller: By) -> HttpView:
    with services.store.read() as records:
        found = next((http for http in records.http.all(caller) if http.name == normalise(name)), None)
    if found is None:
        raise NotFound("http name", name)
    return HttpView.of(found)
