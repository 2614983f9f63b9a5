"""The master's signing key: the announced next one becomes the present one, and another is announced."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends

from certline_master.api.bodies import RotateBody, body_of
from certline_master.api.context import By, Here
from certline_master.api.examples import shown
from certline_master.api.services import MasterIdentity, Services
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict, Unavailable
from certline_master.domain.model import Follower, FollowerState
from certline_master.domain.ports import Records
from certline_shared.failpoints import failpoint
from certline_shared.messages import time_text
from certline_shared.signing import thumbprint

ANNOUNCED = "signing-key:announced"
FAILPOINTS = ("signing-key.rotated",)

router = APIRouter(prefix="/v1/signing-key", tags=["followers"])


@dataclass(frozen=True, slots=True)
class Rotated:
    """Thumbprints: of the key that signs now, and of the one that will after the next rotation."""

    present: str
    next: str | None
    cut_off: tuple[str, ...]  # followers that know neither: they have to be enrolled anew


_ROTATED = {"present": "3b9f…64 hex digits", "next": "5f2c…64 hex digits", "cut_off": []}


@router.post(
    "/rotate",
    summary="Sign with the next key from now on",
    **shown(_ROTATED, body={"force": False}, schema="RotateBody", needed=False),
)
def rotate(services: Here, caller: By, body: Annotated[RotateBody, Depends(body_of(RotateBody))]) -> Rotated:
    """A follower that polled since the last rotation goes on; one that slept across two has to be enrolled anew."""
    identity, cut_off = services.store.write(lambda records: _rotate(services, records, caller, force=body.force))
    failpoint("signing-key.rotated")
    services.identity = identity
    for follower_id in cut_off[1]:
        services.bell.ring(f"follower:{follower_id}")
    following = identity.next_public
    return Rotated(identity.keyid, thumbprint(following) if following else None, cut_off[0])


def _rotate(
    services: Services, records: Records, caller: Caller, *, force: bool
) -> tuple[MasterIdentity, tuple[tuple[str, ...], tuple[str, ...]]]:
    """The new identity, the names of who is cut off, and the ids of all followers."""
    if services.rotate_signing_key is None:
        raise Unavailable("this master cannot change its signing key")
    now, everyone = services.clock.now(), records.followers.all(SYSTEM)
    said = records.instance.get(SYSTEM, ANNOUNCED)
    announced = datetime.fromisoformat(said) if said else None
    cut_off = _without_next(everyone, announced) if announced else ()
    if cut_off and announced and not force:
        some = ", ".join(cut_off[:5]) + (f" and {len(cut_off) - 5} more" if len(cut_off) > 5 else "")
        when = time_text(announced)
        raise Conflict(f"{some} did not ask since the next key was announced at {when}, and would be cut off; or force")
    former = services.identity.keyid
    identity = services.rotate_signing_key(records, now)
    text = "the master signs with its next key; a new next one is announced"
    data = {"former": former, "present": identity.keyid, "cut_off": list(cut_off)}
    records.events.add(caller, "signing-key.rotated", "instance", text, now=now, data=data)
    return identity, (cut_off, tuple(one.id for one in everyone))


def _without_next(everyone: list[Follower], announced: datetime) -> tuple[str, ...]:
    """Followers that cannot know the next key: they did not ask since it was announced."""
    return tuple(
        one.name
        for one in everyone
        if one.state is FollowerState.ACTIVE and (one.last_seen or one.enrolled or announced) < announced
    )
