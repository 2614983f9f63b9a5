"""The audit trail: listed, and verified."""

from typing import Annotated

from fastapi import APIRouter, Query

from certline_master.api.context import By, Here
from certline_master.api.examples import shown
from certline_master.api.line_routes import EVENT
from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_master.domain.audit import Verdict, Verifier
from certline_master.domain.model import Event
from certline_master.domain.ports import Records

router = APIRouter(prefix="/v1/events", tags=["status"])

MOST_EVENTS = 1000

_VERDICT = {
    "events": 1204, "unchained": 0, "chains": 3, "seals": 41, "sealed_at": "2026-11-20T12:00:00Z", "unsealed": 2,
    "problems": [],
}  # fmt: skip


@router.get("", summary="Audit records", **shown([EVENT]))
def events(
    services: Here,
    caller: By,
    *,
    subject: Annotated[str | None, Query(pattern="^[a-z-]+:[^\\x00]{1,300}$")] = None,
    after: Annotated[int, Query(ge=0, le=2**53 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_EVENTS)] = 100,
    newest_first: bool = True,
) -> list[Event]:
    """`subject` as "line:shop" or "follower:web-1"; `after`: only records with a higher id."""
    with services.store.read() as records:
        return records.events.all(caller, subject=subject, after=after, limit=limit, newest_first=newest_first)


@router.get("/verify", summary="Whether a record was changed or removed", **shown(_VERDICT))
def verify(services: Here, caller: By) -> Verdict:
    """Goes through all records: hash chains, and the seals over their ends."""
    with services.store.read() as records:
        return _verified(services, caller, records)


def _verified(services: Services, caller: Caller, records: Records) -> Verdict:
    verifier = Verifier(frozenset(key.hex() for key in services.identity.seal_keys))
    verifier.seals(records.seals.all(caller))
    place = ("", 0)
    while found := records.events.in_chains(caller, after=place, limit=MOST_EVENTS):
        verifier.events(found)
        last = found[-1]
        place = (last.chain, last.link or 0) if last.chain else ("", last.id)
    return verifier.finish()
