"""The application: the gate, the routes, and problem documents for every error."""

from fastapi import Depends, FastAPI

from certline_master.api import (
    admission_routes,
    audit_routes,
    bundle_routes,
    fleet_follower_routes,
    fleet_routes,
    follower_routes,
    follower_state_routes,
    key_move_routes,
    key_routes,
    line_routes,
    line_version_routes,
    lost_host_routes,
    object_routes,
    openapi,
    problems,
    rehearsal_routes,
    rollout_routes,
    signing_key_routes,
    status_routes,
    tlsa_routes,
    token_routes,
)
from certline_master.api.enrolment import Enrolment
from certline_master.api.gate import Gate
from certline_master.api.introductions import Introductions
from certline_master.api.long_polls import LongPolls
from certline_master.api.permissions import check_table, permitted
from certline_master.api.services import Services

_DESCRIPTION = "The master of a fleet of TLS certificates: what followers, people and scripts may ask of it."


def build_app(services: Services) -> FastAPI:
    """The ASGI application. `app.state.long_polls.close()` ends the open long-polls when the master stops."""
    app = FastAPI(
        title="certline",
        description=_DESCRIPTION,
        version=services.version,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(permitted)],
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.state.services = services
    app.state.enrolment = Enrolment(services)
    app.state.introductions = Introductions(services)
    app.state.long_polls = LongPolls(services.bell, services.long_polls)
    for routes in (
        admission_routes,
        signing_key_routes,
        follower_routes,
        fleet_routes,
        object_routes,
        line_routes,
        line_version_routes,
        rehearsal_routes,
        rollout_routes,
        fleet_follower_routes,
        follower_state_routes,
        token_routes,
        status_routes,
        audit_routes,
        bundle_routes,
        key_routes,
        key_move_routes,
        lost_host_routes,
        tlsa_routes,
    ):
        app.include_router(routes.router)
    problems.install(app)
    app.add_middleware(Gate, services=services, long_polls=app.state.long_polls)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    check_table(app)
    return app
