"""The count of a follower's changing requests: two hosts with one identity cannot both go on unseen (T1)."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from certline_master.api.callers import refuse_unless_active
from certline_master.api.incoming import Incoming
from certline_master.api.limits import Limits
from certline_master.api.problems import Refused
from certline_master.api.services import Services
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.model import Follower, FollowerState
from certline_master.domain.ports import Counted, Records

Count = Callable[[Records], Refused | None]
"""Counts one request, in the transaction of what it changes; what it returns is to be raised after the commit."""


def counter(services: Services, caller: Caller, incoming: Incoming, sequence: int | None) -> Count:
    """For the request in hand."""
    return lambda records: counted(services, records, caller, incoming, sequence)


def counted(
    services: Services, records: Records, caller: Caller, incoming: Incoming, sequence: int | None
) -> Refused | None:
    """See Count."""
    follower = records.followers.by_id(caller, caller.follower_id or "")
    one = _One(records, caller, incoming, follower, services.clock.now(), services.limits)
    if sequence is None:
        return one.uncounted()
    found = records.identities.count(
        caller,
        follower.id,
        sequence,
        digest=hashlib.sha256(incoming.body).hexdigest(),
        address=incoming.address,
        now=one.now,
    )
    if found.tell or found.locks:
        one.tell(sequence, found)
    return one.suspended() if found.locks else None


@dataclass(frozen=True, slots=True)
class _One:
    """One request that is counted, inside a transaction."""

    records: Records
    caller: Caller
    incoming: Incoming
    follower: Follower
    now: datetime
    limits: Limits

    def uncounted(self) -> Refused | None:
        """Releases before 0.2 do not count; one that did and no longer does is not the host that it was (T16)."""
        if self.follower.sequence == 0:
            return None
        text = f"{self.follower.name} sent a request without `seq`, as an older release does, after it had counted"
        self._note("follower.downgrade", text, {"reason": "no sequence", "address": self.incoming.address})
        return Refused(
            "bad-message", "/seq: this follower counted its requests before: put its newer release back, or enrol anew"
        )

    def tell(self, sequence: int, found: Counted) -> None:
        text = (
            f"two hosts may have the identity of {self.follower.name}: a request from {self.incoming.address} has the "
            f"number {sequence}, after one from {found.former_address} had {found.former}; a host put back to an old "
            "snapshot looks the same, once"
        )
        data = {
            "sequence": sequence, "address": self.incoming.address,
            "former_sequence": found.former, "former_address": found.former_address,
        }  # fmt: skip
        self._note("follower.possible-clone", text, data)

    def suspended(self) -> Refused | None:
        suspended = replace(
            self.follower, state=FollowerState.SUSPENDED, state_reason="two hosts may have its identity"
        )
        self.records.followers.save(SYSTEM, suspended)
        text = f"{self.follower.name} was suspended: two hosts may have its identity, and lock_clones is set"
        self._note("follower.suspended", text, {"reason": "possible clone"})
        try:
            refuse_unless_active(suspended)
        except Refused as refusal:
            return refusal
        return None

    def _note(self, kind: str, text: str, data: Mapping[str, object]) -> None:
        subject = f"follower:{self.follower.name}"
        self.records.events.add(self.caller, kind, subject, text, now=self.now, data=data)
        self.limits.noted(self.follower.id)
