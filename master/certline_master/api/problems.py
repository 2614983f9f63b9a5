"""Every error as a problem document (RFC 9457): the one place where errors of the domain get their HTTP status."""

import logging
from collections.abc import Mapping
from email.utils import format_datetime
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from certline_master.domain import errors as domain
from certline_shared.messages import BadMessage, Problem, encode, time_text
from certline_shared.names import BadName

log = logging.getLogger("certline.api")

MEDIA_TYPE = "application/problem+json"
PREFIX = "urn:certline:problem:"

KINDS: Mapping[str, tuple[int, str]] = {
    "bad-message": (400, "The body cannot be read"),
    "unauthorized": (401, "Not authenticated"),
    "stale": (401, "The request is too old, or from a wrong clock"),
    "revoked": (401, "The follower is revoked"),
    "suspended": (403, "The follower is suspended"),
    "forbidden": (403, "Not allowed"),
    "not-granted": (403, "Names without a grant"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "conflict": (409, "Conflict with what is there"),
    "too-large": (413, "The body is too large"),
    "invalid": (422, "The input cannot be used"),
    "too-many-requests": (429, "Too many requests"),
    "internal": (500, "Internal error"),
    "ca": (502, "The CA refused or did not answer"),
    "unavailable": (503, "Not available now"),
}


class Refused(Exception):
    """An answer that is decided: a problem of a kind, with headers."""

    def __init__(self, kind: str, detail: str, *, status: int | None = None, headers: Mapping[str, str] | None = None):
        super().__init__(detail)
        self.problem = make(kind, detail, status=status)
        self.headers = dict(headers or {})


class TooLarge(Refused):
    def __init__(self, most: int) -> None:
        super().__init__("too-large", f"the body has more than {most} bytes", headers={"Connection": "close"})


def make(
    kind: str,
    detail: str,
    *,
    status: int | None = None,
    errors: tuple[dict[str, str], ...] = (),
    names: tuple[str, ...] = (),
    retry_at: str | None = None,
) -> Problem:
    """A problem of one of KINDS; `status` only where it differs from the kind's."""
    usual, title = KINDS[kind]
    return Problem(PREFIX + kind, title, status or usual, detail, errors=errors, names=names, retry_at=retry_at)


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode(problem), problem.status, dict(headers or {}), MEDIA_TYPE)


def answer_to(error: Exception) -> Response:
    """The answer to any error; one that we did not expect is logged, and tells the caller nothing of the inside."""
    match error:
        case Refused():
            return respond(error.problem, error.headers)
        case domain.DomainError():
            return _of_domain(error)
        case BadMessage():
            fields = ({"field": error.pointer, "detail": error.detail},) if error.pointer else ()
            return respond(make("bad-message", str(error), errors=fields))
        case BadName():
            return respond(make("invalid", str(error)))
        case ValidationError() | RequestValidationError():
            return _of_validation(error)
        case HTTPException():
            return _of_http(error)
    log.error("a request failed for a reason of our own", exc_info=error)
    return respond(make("internal", "the master failed at this; its log says why"))


def _of_domain(error: domain.DomainError) -> Response:
    headers = {}
    problem = make(_kind_of(error), str(error))
    if isinstance(error, domain.Invalid):
        fields = tuple({"field": fault.field, "detail": fault.detail} for fault in error.faults)
        problem = make("invalid", str(error), errors=fields)
    if isinstance(error, domain.NotGranted):
        problem = make("not-granted", str(error), names=error.names)
    if isinstance(error, domain.Unavailable) and error.retry_at:
        headers["Retry-After"] = format_datetime(error.retry_at, usegmt=True)
        problem = make("unavailable", str(error), retry_at=time_text(error.retry_at))
    return respond(problem, headers)


def _kind_of(error: domain.DomainError) -> str:
    kinds = {
        domain.NotFound: "not-found",
        domain.Forbidden: "forbidden",
        domain.Conflict: "conflict",
        domain.Invalid: "invalid",
        domain.NotGranted: "not-granted",
        domain.Unavailable: "unavailable",
        domain.LeaseLost: "conflict",
        domain.CaError: "ca",
        domain.SolverError: "unavailable",
    }
    return next(kind for error_class, kind in kinds.items() if isinstance(error, error_class))


def _of_validation(error: ValidationError | RequestValidationError) -> Response:
    places = (
        pointer(entry["loc"]).removeprefix("/desired") for entry in error.errors()
    )  # a fleet counts from its root
    found = tuple(
        {"field": place, "detail": _words(entry)} for place, entry in zip(places, error.errors(), strict=True)
    )
    text = "; ".join(f"{entry['field'] or 'the body'}: {entry['detail']}" for entry in found)
    return respond(make("invalid", text, errors=found))


def pointer(location: "tuple[str | int, ...]") -> str:
    """RFC 6901, from the place that pydantic tells."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)


def _words(entry: "Mapping[str, object]") -> str:
    """What was wrong and what to do, for the kinds of fault that a person meets often."""
    match entry["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            return "unknown member: correct its spelling or remove it"
        case "missing" | "missing_argument":
            return "this member is missing"
    return str(entry["msg"])


def _of_http(error: HTTPException) -> Response:
    """Errors of the framework: unknown routes and methods."""
    kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-message")
    detail = {404: "there is no such route", 405: "this route has other methods: see the header Allow"}
    text = detail.get(error.status_code, HTTPStatus(error.status_code).phrase)
    return respond(make(kind, text, status=error.status_code), error.headers)


def install(app: FastAPI) -> None:
    """Let the application, whose routes are all there, answer with problem documents only."""
    routes = [
        (compile_path(route.path or "")[0], route.methods or set())
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute)
    ]

    async def handle(request: Request, error: Exception) -> Response:
        answer = answer_to(error)
        if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:  # the framework names the first route's method only
            found = [methods for path, methods in routes if path.match(request.scope["path"])]
            answer.headers["Allow"] = ", ".join(sorted(set().union(*found)))
        return answer

    kinds = (Refused, domain.DomainError, BadMessage, BadName, ValidationError, RequestValidationError, HTTPException)
    for kind in kinds:
        app.add_exception_handler(kind, handle)
