"""What an operator does with a key: roll it over, have its certificates revoked, forget former ones."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends

from certline_master.api.bodies import ForgetBody, LineRevokeBody, LineRolloverBody, body_of
from certline_master.api.context import By, Here, ObjectName
from certline_master.api.examples import shown
from certline_master.api.line_version_routes import RevocationView
from certline_master.api.services import Services
from certline_master.domain import line_keys
from certline_master.domain.access import SYSTEM
from certline_master.domain.line_revoking import REASONS
from certline_master.domain.planning import plan
from certline_master.domain.ports import Records

router = APIRouter(prefix="/v1/keys", tags=["keys"])

_PIN = "0a1b…64 hex digits"
_STANDING = {"line": "shop", "standing": "asked for by admin:ada; the next key's request is made"}
_REVOKED = {
    "version": 3, "serial": "3f2a", "not_after": "2027-02-18T12:00:00Z", "state": "intended",
    "error": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LineStanding:
    line: str
    standing: str


@dataclass(frozen=True, slots=True)
class KeyRolledOver:
    """`asked`: the lines for which that is new."""

    name: str
    asked: tuple[str, ...]
    lines: tuple[LineStanding, ...]


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    name: str
    text: str
    certificates: tuple[RevocationView, ...]


@dataclass(frozen=True, slots=True)
class KeyForgotten:
    name: str
    forgotten: tuple[str, ...]  # pins


@router.post(
    "/{name}/rollover",
    summary="Use the next key in all lines of a key; with force, even while clients may keep pins without it",
    **shown(
        {"name": "shop", "asked": ["shop"], "lines": [_STANDING]},
        body={"force": False},
        schema="LineRolloverBody",
        needed=False,
    ),
)
def rollover(
    name: ObjectName, services: Here, caller: By, body: Annotated[LineRolloverBody, Depends(body_of(LineRolloverBody))]
) -> KeyRolledOver:
    """Refused while they may, with the days that are missing."""
    now = services.clock.now()

    def work(records: Records) -> KeyRolledOver:
        asked = line_keys.roll_over(records, caller, name, now, force=body.force)
        found = line_keys.find(records, caller, name)
        standings = tuple(LineStanding(one.line.name, plan(one, now).standing) for one in found.lines)
        return KeyRolledOver(name, asked.lines, standings)

    done = services.store.write(work)
    services.bell.ring("work")
    return done


@router.post(
    "/{name}/revoke",
    summary="Have the certificates of all lines of a key revoked at their CA; the next ones are for another key",
    **shown(
        {"name": "shop", "text": "1 certificate of shop is to be revoked", "certificates": [_REVOKED]},
        body={"reason": "key-compromise"},
        schema="LineRevokeBody",
        needed=False,
    ),
)
def revoke(
    name: ObjectName, services: Here, caller: By, body: Annotated[LineRevokeBody, Depends(body_of(LineRevokeBody))]
) -> KeyRevoked:
    now, reason = services.clock.now(), REASONS[body.reason]
    found = services.store.write(lambda records: line_keys.revoke(records, caller, services.chance, name, reason, now))
    services.bell.ring("work")
    lines = sorted({one.line for one in found})
    many = f"{len(found)} certificate{'s' if len(found) > 1 else ''} of {', '.join(lines)}"
    text = f"{many} {'are' if len(found) > 1 else 'is'} to be revoked; hosts keep their files until the next is there"
    return KeyRevoked(name, text, tuple(map(RevocationView.of, found)))


@router.post(
    "/{name}/forget",
    summary="Delete the former keys of a key, and what is known of their pins",
    **shown({"name": "shop", "forgotten": [_PIN]}, body={"slot": "previous"}, schema="ForgetBody", needed=False),
)
def forget(
    name: ObjectName, services: Here, caller: By, _body: Annotated[ForgetBody, Depends(body_of(ForgetBody))]
) -> KeyForgotten:
    """The line cannot go back to versions with them. Conflict while one is in use."""

    def work(records: Records) -> tuple[tuple[str, ...], list[str]]:
        done = line_keys.forget_previous(records, caller, name, services.clock.now())
        lines = [one.line for one in line_keys.find(records, caller, name).lines]
        return done, [holder for line in lines for holder in records.keys.holders(SYSTEM, line)]

    done, holders = services.store.write(work)
    _ring(services, holders)
    return KeyForgotten(name, done)


def _ring(services: Services, holders: Iterable[str]) -> None:
    services.bell.ring("work")
    for follower_id in sorted(set(holders)):
        services.bell.ring(f"follower:{follower_id}")
