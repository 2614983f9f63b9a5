"""Who may call which route, by the one table of domain/access.py. A route without a row cannot be served."""

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute, iter_route_contexts

from certline_master.domain.access import LEAST, Caller, Role
from certline_master.domain.errors import Forbidden


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
