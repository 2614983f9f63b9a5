"""Lines as people see them: what is live, what is under way, what it waits for, what happened."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from certline_master.api.bodies import IssueBody, body_of
from certline_master.api.context import OBJECT_NAME, By, Here, ObjectName
from certline_master.api.examples import LINE, shown
from certline_master.api.line_views import LineDetail, LineView, line_views, lines_with_hosts
from certline_master.api.rollouts import rollout_view
from certline_master.api.services import Services
from certline_master.api.tlsa_views import line_story
from certline_master.api.views import DeploymentView, OrderView, VersionView
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.line_settings import line_settings
from certline_master.domain.model import Event, Issuer, Line
from certline_master.domain.planning import plan
from certline_master.domain.ports import Records

router = APIRouter(prefix="/v1/lines", tags=["lines"])

MOST = 1000

_RENEWS = "renews 2026-12-03 03:12 UTC: inside the CA's window"
_LINE = {
    "name": "shop", "owner": "file", "custody": "follower", "follower": "web-1",
    "followers": ["web-1"], "names": LINE["names"], "shown": LINE["names"],
    "issuer": "staging", "profile": None, "key_types": ["ecdsa-p256"], "key": "shop", "version": 3,
    "not_after": "2027-02-18T12:00:00Z", "renews": "2026-12-03T03:12:00Z",
    "standing": f"version 3 is live; {_RENEWS}", "failing": False, "why_failing": None,
    "not_deployed": [], "csr_wanted": [], "paused": None,
}  # fmt: skip
_CERTIFICATE = {
    "key_type": "ecdsa-p256", "names": LINE["names"], "serial": "3f2a", "spki_sha256": "0a1b…64 hex digits",
    "not_before": "2026-11-20T12:00:00Z", "not_after": "2027-02-18T12:00:00Z", "renews": "2026-12-03T03:12:00Z",
    "renewal": _RENEWS, "explanation_url": None,
}  # fmt: skip
_VERSION = {
    "number": 3, "state": "live", "created": "2026-11-20T12:00:00Z", "ended": None, "reason": "the first certificate",
    "certificates": [_CERTIFICATE], "failure": None, "live_since": "2026-11-20T12:00:02Z", "activate_at": None,
    "held_by": None,
}  # fmt: skip
_ORDER = {
    "id": "0d5c2a52-6d0f-4c53-9b4e-5c1f4f0f7a11", "state": "issued", "names": LINE["names"], "profile": "classic",
    "created": "2026-11-20T12:00:00Z", "due": "2026-11-20T12:00:01Z", "attempts": 0, "waiting": None,
    "url": "https://ca.example/order/1", "failure": None,
}  # fmt: skip
_DEPLOYMENT = {
    "follower": "web-1", "version": 3, "state": "reloaded", "error": None, "updated": "2026-11-20T12:00:03Z",
    "goal": "reloaded", "retry_at": None, "seen": {}, "alarmed": None,
}  # fmt: skip
STANDING = {
    "line": "shop", "follower": "web-1", "wanted": 3, "pulled": 3, "installed": 3, "reloaded": 3, "served": None,
    "staged": None, "goal": "reloaded", "arrived": True, "late": False, "since": "2026-11-20T12:00:02Z", "error": None,
    "retry_at": None, "seen": {}, "text": "version 3 is reloaded on web-1",
}  # fmt: skip
ROLLOUT = {
    "canaries": ["web-1"], "wave": 10, "after_seconds": 1800, "version": 3, "step": 1,
    "opened": "2026-11-20T12:30:00Z", "stopped": None, "finished": None,
    "steps": [{"step": 0, "followers": ["web-1"], "open": True}, {"step": 1, "followers": ["web-2"], "open": True}],
    "text": "wave 1: waits for web-2",
}  # fmt: skip
_DETAIL = {
    "line": _LINE, "versions": [_VERSION], "orders": [_ORDER], "hosts": [STANDING], "deployments": [_DEPLOYMENT],
    "rollout": None, "settings": [{"name": "renew_before", "value": "30d", "origin": "defaults"}], "tlsa": [],
}  # fmt: skip
EVENT = {
    "id": 42, "at": "2026-11-20T12:00:02Z", "kind": "order.issued", "actor": "system", "subject": "line:shop",
    "text": "version 3 was issued", "data": {"serial": "3f2a"},
}  # fmt: skip


@router.get("", summary="All lines, by name", **shown([_LINE]))
def lines(
    services: Here,
    caller: By,
    after: Annotated[str | None, Query(pattern=OBJECT_NAME)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> list[LineView]:
    """`after`: the last name of the page before."""
    now = services.clock.now()
    with services.store.read() as records:
        found = records.lines.all(caller, after=after, limit=limit)
        views = line_views(records, caller, [line.id for line in found], now, services.alarms)
    return sorted(views, key=lambda line: line.name)


@router.get("/{name}", summary="One line with its versions, orders and deployments", **shown(_DETAIL))
def line(name: ObjectName, services: Here, caller: By) -> LineDetail:
    with services.store.read() as records:
        return _detail(services, records, caller, name)


def _detail(services: Services, records: Records, caller: Caller, name: str) -> LineDetail:
    found, now = records.lines.get(caller, name), services.clock.now()
    ((view, hosts),) = lines_with_hosts(records, caller, [found.id], now, services.alarms)
    followers = {one.id: one.name for one in records.standings.receivers(caller, [found.id]).get(found.id, ())}
    deployments = records.followers.deployments(caller, line_id=found.id)
    return LineDetail(
        line=view,
        versions=tuple(VersionView.of(version, found) for version in records.versions.all(caller, found.id)),
        orders=tuple(OrderView.of(order) for order in records.orders.of_line(caller, found.id)),
        hosts=hosts,
        rollout=rollout_view(records, caller, found, view.version, now=now),
        deployments=tuple(DeploymentView.of(deployment, followers) for deployment in deployments),
        settings=line_settings(found, _issuer_of(records, found)),
        tlsa=line_story(records, caller, found, now),
    )


def _issuer_of(records: Records, line: Line) -> Issuer | None:
    every = records.issuers.all(SYSTEM)
    return next((one for one in every if one.id == line.issuer_id or (not line.issuer_id and one.is_default)), None)


@router.get("/{name}/history", summary="What happened to a line, newest first", **shown([EVENT]))
def history(
    name: ObjectName, services: Here, caller: By, limit: Annotated[int, Query(ge=1, le=MOST)] = 100
) -> list[Event]:
    """A line that was deleted still has its history."""
    with services.store.read() as records:
        events = records.events.all(caller, subject=f"line:{name}", limit=limit)
        if not events:
            records.lines.get(caller, name)
    return events


@dataclass(frozen=True, slots=True)
class Issued:
    """The planner looks at the line at once; `standing` is what it will say."""

    line: str
    standing: str


@router.post(
    "/{name}/issue",
    summary="Look at a line now; with force, issue whatever the age",
    **shown(
        {"line": "shop", "standing": "asked for by hand"},
        body={"force": True},
        schema="IssueBody",
        needed=False,
    ),
)
def issue(
    name: ObjectName, services: Here, caller: By, body: Annotated[IssueBody, Depends(body_of(IssueBody))]
) -> Issued:
    standing = services.store.write(lambda records: _issue(services, records, caller, name, force=body.force))
    services.bell.ring("work")
    return Issued(name, standing)


def _issue(services: Services, records: Records, caller: Caller, name: str, *, force: bool) -> str:
    now, found = services.clock.now(), records.lines.get(caller, name)
    records.lines.save(caller, replace(found, forced=found.forced or force, next_look=now, paused=None))
    text = f"{caller.actor} asked for a certificate{' whatever the age' if force else ''}"
    records.events.add(caller, "line.issue", f"line:{name}", text, now=now, data={"force": force})
    return plan(records.lines.snapshot(caller, found.id), now).standing
