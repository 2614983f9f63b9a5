"""Moving a line's rollout: on, to all, or no further. How it stands is told with the line."""

from typing import Annotated

from fastapi import APIRouter, Depends

from certline_master.api.bodies import RolloutBody, body_of
from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.api.line_routes import ROLLOUT
from certline_master.api.rollouts import RolloutView, move, rollout_view
from certline_master.domain.errors import Conflict
from certline_master.domain.ports import Records

router = APIRouter(prefix="/v1/lines", tags=["lines"])


@router.post(
    "/{name}/rollout",
    summary="Open a rollout's next wave, stop it, or let all have the version",
    **shown(ROLLOUT, body={"action": "continue"}, schema="RolloutBody"),
)
def rollout(
    name: ObjectName, services: Here, caller: By, body: Annotated[RolloutBody, Depends(body_of(RolloutBody))]
) -> RolloutView:
    now = services.clock.now()

    def work(records: Records) -> tuple[RolloutView | None, tuple[str, ...]]:
        line = records.lines.get(caller, name)
        topics = move(records, caller, line, body.action, now)
        live = records.versions.live(caller, [line.id])[line.id]
        return rollout_view(records, caller, line, live.number, now=now), topics

    view, topics = services.store.write(work)
    for topic in topics:
        services.bell.ring(topic)
    if view is None:
        raise Conflict(f"the line {name} has no rollout")
    return view
