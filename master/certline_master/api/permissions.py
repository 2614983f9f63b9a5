"""Who may call which route: the one table. A route without a row cannot be served."""

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute, iter_route_contexts

from certline_master.domain.access import Caller, Role
from certline_master.domain.errors import Forbidden

LEAST: dict[tuple[str, str], Role | None] = {
    # None: open to everyone; what it needs it checks itself
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/v1/docs"): None,
    ("POST", "/v1/enroll"): None,
    ("GET", "/v1/follower/manifest"): Role.FOLLOWER,
    ("PUT", "/v1/follower/lines/{name}"): Role.FOLLOWER,
    ("GET", "/v1/follower/lines/{name}/versions/{number}"): Role.FOLLOWER,
    ("POST", "/v1/follower/reports"): Role.FOLLOWER,
    ("GET", "/v1/whoami"): Role.VIEWER,
    ("GET", "/v1/status"): Role.VIEWER,
    ("GET", "/v1/events"): Role.VIEWER,
    ("POST", "/v1/fleet/plan"): Role.ADMIN,  # it looks at the directories that the caller names
    ("POST", "/v1/fleet/apply"): Role.ADMIN,
    ("GET", "/v1/issuers"): Role.VIEWER,
    ("GET", "/v1/issuers/{name}"): Role.VIEWER,
    ("PUT", "/v1/issuers/{name}"): Role.ADMIN,
    ("DELETE", "/v1/issuers/{name}"): Role.ADMIN,
    ("GET", "/v1/zones"): Role.VIEWER,
    ("GET", "/v1/zones/{name}"): Role.VIEWER,
    ("PUT", "/v1/zones/{name}"): Role.ADMIN,
    ("DELETE", "/v1/zones/{name}"): Role.ADMIN,
    ("GET", "/v1/http"): Role.VIEWER,
    ("GET", "/v1/http/{name}"): Role.VIEWER,
    ("PUT", "/v1/http/{name}"): Role.ADMIN,
    ("DELETE", "/v1/http/{name}"): Role.ADMIN,
    ("GET", "/v1/lines"): Role.VIEWER,
    ("GET", "/v1/lines/{name}"): Role.VIEWER,
    ("PUT", "/v1/lines/{name}"): Role.OPERATOR,
    ("DELETE", "/v1/lines/{name}"): Role.OPERATOR,
    ("GET", "/v1/lines/{name}/history"): Role.VIEWER,
    ("POST", "/v1/lines/{name}/issue"): Role.OPERATOR,
    ("GET", "/v1/followers"): Role.VIEWER,
    ("GET", "/v1/followers/{name}"): Role.VIEWER,
    ("PUT", "/v1/followers/{name}"): Role.OPERATOR,
    ("DELETE", "/v1/followers/{name}"): Role.OPERATOR,
    ("POST", "/v1/followers/{name}/token"): Role.OPERATOR,
    ("POST", "/v1/followers/{name}/revoke"): Role.OPERATOR,
}


async def permitted(request: Request) -> None:
    """The dependency that stands before every route. Raises Forbidden."""
    least = LEAST[request.method, request.scope["route"].path]
    if least is None:
        return
    caller = request.state.caller
    if not isinstance(caller, Caller):
        raise Forbidden("this needs credentials")
    if least is not Role.FOLLOWER:
        caller.require(least)
    elif caller.role is not Role.FOLLOWER:
        raise Forbidden("this is for followers")


def check_table(app: FastAPI) -> None:
    """Raises LookupError for a route without a row, or a row without a route."""
    routes = {
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute)
        for method in route.methods or ()
    }
    unmatched = routes ^ set(LEAST)
    if unmatched:
        raise LookupError(f"routes and their table differ at {sorted(unmatched)}")
