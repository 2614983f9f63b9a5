"""TLSA records: what the ledger says, what DNS shows, and having a line's records looked at now."""

from fastapi import APIRouter

from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.api.tlsa_views import (
    LineCheckView,
    LineTlsaView,
    NameCheckView,
    NameToCheck,
    TlsaRecordView,
    checked,
    every_record,
    line_view,
    to_check,
)
from certline_master.domain.access import Caller
from certline_master.domain.authorization import zone_of
from certline_master.domain.dane_looking import wanted_of
from certline_master.domain.errors import SolverError
from certline_master.domain.ports import Records, TlsaView

router = APIRouter(tags=["tlsa"])

_RDATA = "3 1 1 0a1b…64 hex digits"
_NAME = "_443._tcp.shop.example.com"
_RECORD = {
    "name": _NAME, "rdata": _RDATA, "ttl": 300, "zone": "example.com", "state": "visible", "lines": ["shop"],
    "since": "2026-11-20T12:00:05Z", "visible_since": "2026-11-20T12:00:05Z", "cached_until": "2026-11-20T13:00:05Z",
    "former_ttl": 3600, "error": None,
}  # fmt: skip
_LINE = {
    "line": "shop", "records": [_RECORD], "kept": [], "waits_for": [], "left_out": [],
    "standing": ["1 of 1 TLSA records are shown by every name server"],
}  # fmt: skip
_SERVER = {"server": "ns1.example.com (192.0.2.53)", "serial": "42", "ttl": 300, "lacks": [], "foreign": []}
_CHECK = {"line": "shop", "ok": True, "names": [{"name": _NAME, "ok": True, "servers": [_SERVER], "faults": []}]}


@router.get("/v1/tlsa", summary="All TLSA records in the ledger, by name", **shown([_RECORD]))
def every(services: Here, caller: By) -> tuple[TlsaRecordView, ...]:
    with services.store.read() as records:
        return every_record(records, caller)


@router.get("/v1/lines/{name}/tlsa", summary="A line's TLSA records, and what they wait for", **shown(_LINE))
def of_line(name: ObjectName, services: Here, caller: By) -> LineTlsaView:
    with services.store.read() as records:
        return line_view(records, caller, records.lines.get(caller, name), services.clock.now())


@router.post(
    "/v1/lines/{name}/tlsa/check", summary="What each name server shows of a line's TLSA records now", **shown(_CHECK)
)
def check(name: ObjectName, services: Here, caller: By) -> LineCheckView:
    with services.store.read() as records:
        names = _names(records, caller, name)
    found = tuple(_look(services.tlsa, one) for one in names)
    return LineCheckView(name, all(one.ok for one in found), found)


@router.post(
    "/v1/lines/{name}/tlsa/update", summary="Bring a line's TLSA records to DNS now, where they differ", **shown(_LINE)
)
def update(name: ObjectName, services: Here, caller: By) -> LineTlsaView:
    now = services.clock.now()

    def work(records: Records) -> LineTlsaView:
        line = records.lines.get(caller, name)
        if line.options.tlsa:
            records.tlsa.look(caller, line.id, now)
            text = f"{caller.actor} had its TLSA records looked at"
            records.events.add(caller, "line.tlsa", f"line:{name}", text, now=now)
        return line_view(records, caller, line, now)

    view = services.store.write(work)
    services.bell.ring("work")
    return view


def _names(records: Records, caller: Caller, name: str) -> list[NameToCheck]:
    line, zones = records.lines.get(caller, name), records.zones.all(caller)
    wanted = wanted_of(records, caller, line).wanted
    at = {one.name for one in wanted} | {row.name for row in records.tlsa.all(caller, line_id=line.id)}
    return to_check(wanted, records.tlsa.at_names(caller, at), {one: zone_of(one, zones) for one in at})


def _look(view: TlsaView | None, one: NameToCheck) -> NameCheckView:
    if view is None:
        return NameCheckView(one.name, ok=False, servers=(), faults=("this master looks at no DNS",))
    try:
        return checked(one, view.look(one.name, one.zone))
    except SolverError as fault:
        return NameCheckView(one.name, ok=False, servers=(), faults=(str(fault),))
