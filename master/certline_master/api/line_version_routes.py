"""What an operator does with a line's versions: revoke what is in force, go back to an older one, use its next key."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends

from certline_master.api.bodies import LineRevokeBody, LineRolloverBody, RollbackBody, body_of
from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.api.services import Services
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.custody import Revocation
from certline_master.domain.errors import Conflict
from certline_master.domain.key_moves import ask_rollover
from certline_master.domain.line_going_back import go_back
from certline_master.domain.line_revoking import REASONS, LineRevoking
from certline_master.domain.model import Line
from certline_master.domain.placement import live_version
from certline_master.domain.planning import plan
from certline_master.domain.ports import Records
from certline_master.domain.rollover import is_rolling, why_pinned

router = APIRouter(prefix="/v1/lines", tags=["lines"])

_REVOKED = {
    "line": "shop",
    "text": "1 certificate of version 3 is to be revoked; hosts keep their files until the next is there",
    "certificates": [
        {"version": 3, "serial": "3f2a", "not_after": "2027-02-18T12:00:00Z", "state": "intended", "error": None}
    ],
}  # fmt: skip
_BACK = {"line": "shop", "version": 2, "former": 3, "text": "version 2 is live again; version 3 is retired"}
_ROLLED = {"line": "shop", "standing": "version 3 is live; its next key is used: asked for by admin:ada"}


@dataclass(frozen=True, slots=True)
class RevocationView:
    version: int
    serial: str
    not_after: datetime
    state: str  # intended | revoked | failed
    error: str | None

    @classmethod
    def of(cls, one: Revocation) -> "RevocationView":
        return cls(one.version, one.serial, one.not_after, one.state, one.error)


@dataclass(frozen=True, slots=True)
class LineRevoked:
    line: str
    text: str
    certificates: tuple[RevocationView, ...]


@dataclass(frozen=True, slots=True)
class WentBack:
    """`version` is live again; `former` was until then."""

    line: str
    version: int
    former: int | None
    text: str


@dataclass(frozen=True, slots=True)
class RolledOver:
    line: str
    standing: str


@router.post(
    "/{name}/revoke",
    summary="Have a line's certificates revoked at their CA; the next ones are for a new key",
    **shown(_REVOKED, body={"reason": "superseded"}, schema="LineRevokeBody", needed=False),
)
def revoke(
    name: ObjectName, services: Here, caller: By, body: Annotated[LineRevokeBody, Depends(body_of(LineRevokeBody))]
) -> LineRevoked:
    def work(records: Records) -> tuple[Revocation, ...]:
        line, now = records.lines.get(caller, name), services.clock.now()
        return LineRevoking(records, caller, services.chance, now, REASONS[body.reason]).run(line)

    found = services.store.write(work)
    services.bell.ring("work")
    versions = sorted({one.version for one in found})
    whose = ", ".join(f"version {number}" for number in versions)
    many = f"{len(found)} certificate{'s' if len(found) > 1 else ''} of {whose} {'are' if len(found) > 1 else 'is'}"
    text = f"{many} to be revoked; hosts keep their files until the next version is there"
    return LineRevoked(name, text, tuple(RevocationView.of(one) for one in found))


@router.post(
    "/{name}/rollback",
    summary="Make an older version of a line live again",
    **shown(_BACK, body={"to": 2}, schema="RollbackBody", needed=False),
)
def rollback(
    name: ObjectName, services: Here, caller: By, body: Annotated[RollbackBody, Depends(body_of(RollbackBody))]
) -> WentBack:
    def work(records: Records) -> tuple[WentBack, list[str]]:
        line = records.lines.get(caller, name)
        version, former = go_back(records, caller, line, body.to, services.clock.now())
        text = f"version {version.number} is live again"
        text += f"; version {former.number} is retired" if former else ""
        done = WentBack(name, version.number, former.number if former else None, text)
        return done, records.keys.holders(SYSTEM, line)

    done, holders = services.store.write(work)
    _ring(services, holders)
    return done


@router.post(
    "/{name}/rollover",
    summary="Use a line's next key from now on; with force, even while clients may keep pins without it",
    **shown(_ROLLED, body={"force": False}, schema="LineRolloverBody", needed=False),
)
def rollover(
    name: ObjectName, services: Here, caller: By, body: Annotated[LineRolloverBody, Depends(body_of(LineRolloverBody))]
) -> RolledOver:
    standing = services.store.write(
        lambda records: _roll_over(services, records, caller, records.lines.get(caller, name), force=body.force)
    )
    services.bell.ring("work")
    return RolledOver(name, standing)


def _roll_over(services: Services, records: Records, caller: Caller, line: Line, *, force: bool) -> str:
    snapshot, now = records.lines.snapshot(caller, line.id), services.clock.now()
    if live_version(snapshot) is None:
        raise Conflict(f"line {line.name} has no live version: its first one is for a new key anyway")
    pinned = why_pinned(snapshot.keys, line.key_types, snapshot.key_options, now)
    if pinned and not force:
        raise Conflict(f"the key of line {line.name} is not rolled over: {pinned}; --force does it all the same")
    if not is_rolling(snapshot) and ask_rollover(records, caller, [line], f"asked for by {caller.actor}", now):
        text, data = f"{caller.actor} asked for its next key to be used", {"force": force}
        records.events.add(caller, "line.rollover", f"line:{line.name}", text, now=now, data=data)
    return plan(records.lines.snapshot(caller, line.id), now).standing


def _ring(services: Services, holders: Iterable[str]) -> None:
    services.bell.ring("work")
    for follower_id in holders:
        services.bell.ring(f"follower:{follower_id}")
