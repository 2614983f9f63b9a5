"""What followers may ask: their manifest, a line, a version, and to hear their report. The gate has verified them."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from certline_master.api import examples, manifests, reports, wishes
from certline_master.api.context import By, Here, Raw
from certline_master.api.enrolment import Enrolment
from certline_master.api.long_polls import LongPolls
from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_master.domain.errors import NotFound
from certline_master.domain.model import VersionState
from certline_master.domain.placement import file_name
from certline_shared.messages import VersionContent, encode
from certline_shared.names import LINE_NAME_PATTERN

MOST_WAIT = 55
JSON = "application/json"
_GIVEN = frozenset({VersionState.STAGED, VersionState.LIVE, VersionState.RETIRED})

Local = Annotated[str, Path(pattern=f"^{LINE_NAME_PATTERN}$", description="the line's name in the follower's file")]

router = APIRouter(tags=["followers' protocol"])


@router.post("/v1/enroll", summary="Enrol a host with its one-time token", **examples.ENROL)
def enrol(request: Request, incoming: Raw) -> Response:
    enrolment: Enrolment = request.app.state.enrolment
    return Response(enrolment.enrol(incoming), media_type=JSON)


@router.get("/v1/follower/manifest", summary="What this follower is to hold, signed", **examples.MANIFEST)
async def manifest(
    request: Request, services: Here, caller: By, wait: Annotated[int, Query(ge=0, le=MOST_WAIT)] = 0
) -> Response:
    """With `wait`, an answer that would be 304 is held back until something changes, at most that many seconds."""
    polls: LongPolls = request.app.state.long_polls
    known = request.headers.get("if-none-match")
    until = asyncio.get_running_loop().time() + wait
    async with polls.seat(caller.follower_id or "", wanted=wait > 0) as seat:
        seen = await run_in_threadpool(manifests.look, services, caller)
        while seen.tag == known and await seat.news(request.receive, until):
            seen = await run_in_threadpool(manifests.look, services, caller)
    if seen.tag == known:
        return Response(status_code=304, headers={"ETag": seen.tag} | _come_back(services, full=seat.full))
    seen = await run_in_threadpool(manifests.with_serial, services, caller, seen)
    return Response(manifests.signed_body(services, seen), media_type=JSON, headers={"ETag": seen.tag})


def _come_back(services: Services, *, full: bool) -> "dict[str, str]":
    """Where there is no room to wait, the followers are told to ask again at different times."""
    return {"Retry-After": str(round(services.chance.uniform(15, 45)))} if full else {}


@router.put("/v1/follower/lines/{name}", summary="Say what this host wants of a line", **examples.WISH)
def put_line(name: Local, services: Here, caller: By, incoming: Raw) -> Response:
    answer = wishes.record(services, caller, name, wishes.read_wish(incoming.body))
    return Response(encode(answer), media_type=JSON)


@router.get("/v1/follower/lines/{name}/versions/{number}", summary="The files of a version", **examples.VERSION)
def version(name: Local, number: Annotated[int, Path(ge=1)], services: Here, caller: By) -> Response:
    return Response(encode(_content(services, caller, name, number)), media_type=JSON)


def _content(services: Services, caller: Caller, name: str, number: int) -> VersionContent:
    with services.store.read() as records:
        line = wishes.find_line(records, caller, name)
        found = records.versions.get(caller, line.id, number)
    if found.state not in _GIVEN:
        raise NotFound("version", str(number))
    files = {file_name(certificate): certificate.chain or "" for certificate in found.certificates}
    return VersionContent(name, number, files)


@router.post("/v1/follower/reports", summary="Report what is installed", status_code=204, **examples.REPORT)
def report(services: Here, caller: By, incoming: Raw) -> Response:
    reports.record(services, caller, reports.read_report(incoming.body))
    return Response(status_code=204)
