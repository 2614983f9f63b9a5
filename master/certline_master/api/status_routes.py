"""How the master does, at a glance: health for machines, status and events for people."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, PlainTextResponse

from certline_master.api import openapi
from certline_master.api.context import By, Here
from certline_master.api.examples import shown
from certline_master.api.line_views import line_views
from certline_master.api.problems import Refused
from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_master.domain.deployment import NotDeployed
from certline_master.domain.ports import Records
from certline_master.domain.survival import Budget, budgets

router = APIRouter()


@dataclass(frozen=True, slots=True)
class WhoAmI:
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class FailingLine:
    name: str
    standing: str
    reason: str  # of the last try, or of the order under way


@dataclass(frozen=True, slots=True)
class SeenFollower:
    name: str
    state: str
    last_seen: datetime | None
    skew_seconds: int | None  # its clock against the master's, as it last reported


@dataclass(frozen=True, slots=True)
class Status:
    version: str
    time: datetime
    ready: str | None  # null when the master can do its work, else why not
    counts: dict[str, int]
    soonest_expiry: datetime | None
    failing: tuple[FailingLine, ...]
    not_deployed: tuple[NotDeployed, ...]  # live, but not in use on its host
    survival: tuple[Budget, ...]  # how long until something breaks if the master, the CA or the DNS stops now
    followers: tuple[SeenFollower, ...]


_HEALTH: dict[str, Any] = {"tags": ["health"]}
_PLAIN = _HEALTH | {"response_class": PlainTextResponse} | shown("ok", media_type="text/plain")
_PAGE = _HEALTH | {"response_class": HTMLResponse} | shown("<!doctype html>…", media_type="text/html")
_RELOAD = "service nginx: its reload failed: exit code 1"
_STATUS = {
    "version": "0.1.0",
    "time": "2026-11-20T12:00:00Z",
    "ready": None,
    "counts": {"lines": 2, "lines_live": 1, "failing": 1, "not_deployed": 1, "orders_live": 1, "followers": 1},
    "soonest_expiry": "2027-02-18T12:00:00Z",
    "failing": [
        {
            "name": "blog",
            "standing": "the first certificate; tried again at 2026-11-20 12:10 UTC: no zone for blog.example.org",
            "reason": "no zone for blog.example.org",
        }
    ],
    "not_deployed": [
        {
            "line": "shop",
            "follower": "web-1",
            "version": 3,
            "since": "2026-11-20T11:00:00Z",
            "error": _RELOAD,
            "text": f"version 3 is held back on web-1 since 2026-11-20 11:00 UTC: {_RELOAD}",
        }
    ],
    "followers": [{"name": "web-1", "state": "active", "last_seen": "2026-11-20T12:00:03Z", "skew_seconds": 1}],
    "survival": [
        {
            "what": "master",
            "until": "2026-12-11T12:00:00Z",
            "seconds": 1_814_400,
            "line": "shop",
            "follower": "web-1",
            "low": False,
        }
    ],
}


@router.get("/healthz", summary="The process answers", **_PLAIN)
async def healthz() -> PlainTextResponse:
    return PlainTextResponse("ok\n")


@router.get("/readyz", summary="The master can do its work", **_PLAIN)
async def readyz(services: Here) -> PlainTextResponse:
    why_not = services.ready()
    if why_not is not None:
        raise Refused("unavailable", why_not)
    return PlainTextResponse("ok\n")


@router.get("/v1/docs", summary="This interface as a page", **_PAGE)
def docs(request: Request) -> HTMLResponse:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return HTMLResponse(openapi.page(request.app.openapi()), headers={"Content-Security-Policy": policy})


@router.get("/v1/whoami", tags=["status"], summary="Who asks", **shown({"name": "ops", "role": "admin"}))
def whoami(caller: By) -> WhoAmI:
    return WhoAmI(caller.name, caller.role)


@router.get("/v1/status", tags=["status"], summary="How the fleet does", **shown(_STATUS))
def status(services: Here, caller: By) -> Status:
    now = services.clock.now()
    with services.store.read() as records:
        found = records.lines.all(caller, limit=1_000_000)
        lines = line_views(records, caller, [line.id for line in found], now, services.alarms)
        followers = records.followers.all(caller)
        orders = records.orders.live(caller)
        survival = _survival(services, records, caller, now)
    states = Counter(follower.state for follower in followers)
    failing = tuple(
        FailingLine(one.name, one.standing, one.why_failing) for one in lines if one.why_failing is not None
    )
    missing = tuple(one for line in lines for one in line.not_deployed)
    counts = {
        "lines": len(lines),
        "lines_live": sum(line.version is not None for line in lines),
        "failing": len(failing),
        "not_deployed": len(missing),
        "orders_live": len(orders),
        "followers": len(followers),
        **{f"followers_{state}": count for state, count in sorted(states.items())},
    }
    return Status(
        version=services.version,
        time=now,
        ready=services.ready(),
        counts=counts,
        soonest_expiry=min((line.not_after for line in lines if line.not_after), default=None),
        failing=failing,
        not_deployed=missing,
        survival=survival,
        followers=tuple(SeenFollower(one.name, one.state, one.last_seen, one.skew_seconds) for one in followers),
    )


def _survival(services: Services, records: Records, caller: Caller, now: datetime) -> tuple[Budget, ...]:
    by_http = {one.name for one in records.http.all(caller)}
    in_use, live = records.standings.in_use(caller), records.standings.live_until(caller)
    return budgets(in_use, live, by_http, now, services.alarms.survival)
