"""What followers may ask: their manifest, a line, a version, and to hear their report. The gate has verified them."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from certline_master.api import (
    examples,
    handed_back,
    key_changes,
    line_asks,
    manifests,
    rehearsals,
    reports,
    version_content,
    wish_reading,
    wishes,
)
from certline_master.api.context import By, Here, Raw
from certline_master.api.enrolment import Enrolment
from certline_master.api.polls import MOST_WAIT
from certline_master.api.sequences import counter
from certline_master.domain.rehearsal import MARK
from certline_shared.messages import encode
from certline_shared.names import LINE_NAME_PATTERN

MOST_VERSION = 2**31 - 1
JSON = "application/json"

Local = Annotated[str, Path(pattern=f"^{LINE_NAME_PATTERN}$", description="the line's name in the follower's file")]

router = APIRouter(tags=["followers' protocol"])


@router.post("/v1/enroll", summary="Enrol a host with its one-time token", **examples.ENROL)
def enrol(request: Request, incoming: Raw) -> Response:
    enrolment: Enrolment = request.app.state.enrolment
    return Response(enrolment.enrol(incoming), media_type=JSON)


@router.get("/v1/follower/manifest", summary="What this follower is to hold, signed", **examples.MANIFEST)
def manifest(
    request: Request,
    services: Here,
    caller: By,
    wait: Annotated[int, Query(ge=0, le=MOST_WAIT)] = 0,  # noqa: ARG001 the gate waits; here it is described and checked
) -> Response:
    """With `wait`, an answer that would be 304 is held back until something changes, at most that many seconds."""
    known = request.headers.get("if-none-match")
    seen = manifests.news(services, caller, known)
    if seen is None:
        return Response(status_code=304, headers={"ETag": known or ""})
    seen = manifests.with_serial(services, caller, seen)
    return Response(manifests.signed_body(services, seen), media_type=JSON, headers={"ETag": seen.tag})


@router.put("/v1/follower/lines/{name}", summary="Say what this host wants of a line", **examples.WISH)
def put_line(name: Local, services: Here, caller: By, incoming: Raw) -> Response:
    wish = wish_reading.read_wish(incoming.body)
    if wish.is_test:
        return Response(encode(rehearsals.record(services, caller, name, wish)), media_type=JSON)
    answer = wishes.record(services, caller, name, wish, counter(services, caller, incoming, wish.seq))
    return Response(encode(answer), media_type=JSON)


@router.get("/v1/follower/lines/{name}/versions/{number}", summary="The files of a version", **examples.VERSION)
def version(
    name: Local,
    number: Annotated[int, Path(ge=1)],
    services: Here,
    caller: By,
    test: Annotated[bool, Query(description="of the line's rehearsal")] = False,
) -> Response:
    local = f"{name}{MARK}" if test else name
    found = version_content.content(services, caller, local, number)
    return Response(encode(replace(found, line=name)), media_type=JSON)


@router.put(
    "/v1/follower/lines/{name}/versions/{number}",
    summary="Hand back a version that the master lost",
    status_code=204,
    **examples.HAND_BACK,
)
def hand_back(
    name: Local, number: Annotated[int, Path(ge=1, le=MOST_VERSION)], services: Here, caller: By, incoming: Raw
) -> Response:
    """Taken only after the master went back in time, for a line of this host alone, and higher than what it knows."""
    handed_back.take(services, caller, name, number, incoming.body)
    return Response(status_code=204)


@router.post("/v1/follower/lines/{name}/renew", summary="Have this host's line issued anew", **examples.RENEW)
def renew(name: Local, services: Here, caller: By, incoming: Raw) -> Response:
    """A line that other hosts have too is the operator's to renew."""
    return Response(encode(line_asks.renew(services, caller, name, incoming)), media_type=JSON)


@router.post(
    "/v1/follower/lines/{name}/rollover", summary="Have this host's line use its next key", **examples.ROLLOVER
)
def rollover(name: Local, services: Here, caller: By, incoming: Raw) -> Response:
    """Refused while clients may keep pins without the next key, and for a key that other hosts have too."""
    return Response(encode(line_asks.rollover(services, caller, name, incoming)), media_type=JSON)


@router.post("/v1/follower/reports", summary="Report what is installed", status_code=204, **examples.REPORT)
def report(services: Here, caller: By, incoming: Raw) -> Response:
    said = reports.read_report(incoming.body)
    if said.rehearsals:
        rehearsals.end(services, caller, said)
        return Response(status_code=204)
    reports.record(services, caller, said, counter(services, caller, incoming, said.seq))
    return Response(status_code=204)


@router.post("/v1/follower/keys", summary="Announce the follower's next keys", status_code=204, **examples.KEYS)
def change_keys(services: Here, caller: By, incoming: Raw) -> Response:
    """They take over with the first request that they sign, within a day; until then the present ones are good."""
    key_changes.announce(services, caller, incoming, key_changes.read_change(incoming.body))
    return Response(status_code=204)
