"""Letting a host in by its keys: known beforehand, or compared by their fingerprint."""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from certline_master.api.introductions import KEPT, fingerprint_of
from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_master.domain.errors import Conflict, NotFound
from certline_master.domain.model import Follower, FollowerState, Introduction, Owner
from certline_master.domain.ports import Records
from certline_shared import introduction as shared
from certline_shared.signing import thumbprint

BY_KEYS = "certline-follower keygen"  # the agent, until it reports


@dataclass(frozen=True, slots=True)
class Typed:
    """What an operator typed: a fingerprint and the code after it."""

    fingerprint: str
    code: str


@dataclass(frozen=True, slots=True)
class Admission:
    """One operator's decision, in one transaction."""

    services: Services
    records: Records
    caller: Caller

    @property
    def now(self) -> datetime:
        return self.services.clock.now()

    def waiting(self, fits: Callable[[str], bool]) -> Introduction:
        """Raises NotFound."""
        for one in self.records.introductions.all(self.caller, self.now):
            if fits(fingerprint_of(self.services, one)):
                return one
        raise NotFound("waiting host with the fingerprint", "given")

    def approve(self, typed: Typed, name: str | None) -> Follower:
        """The follower, its keys and the proof for the host. Raises NotFound, Conflict."""
        found = self.waiting(lambda other: hmac.compare_digest(other, typed.fingerprint))
        follower = self._invited(name or found.name)
        self._admit(follower, shared.HostKeys(found.identity_key, found.sealing_key), found.agent)
        proof = shared.approval(typed.code, typed.fingerprint, follower.id)
        if not self.records.introductions.approve(
            self.caller, found.id, follower_id=follower.id, proof=proof, until=self.now + KEPT, now=self.now
        ):
            raise Conflict(f"the host at {found.address} was approved or rejected meanwhile")
        text = f"the host at {found.address} was approved as {follower.name}, by its fingerprint"
        data = {"thumbprint": found.id, "address": found.address}
        self._note("follower.approved", f"follower:{follower.name}", text, data)
        return follower

    def reject(self, fingerprint: str) -> None:
        """Raises NotFound."""
        found = self.waiting(fingerprint.startswith)
        self.records.introductions.drop(self.caller, found.id)
        text = f"the host at {found.address} that would be called {found.name} was rejected"
        self._note("introduction.rejected", f"introduction:{found.name}", text, {"thumbprint": found.id})

    def by_keys(self, name: str, given: shared.HostKeys) -> Follower:
        """Raises NotFound, Conflict; the same keys again are the same follower."""
        found = self.records.followers.get(self.caller, name)
        same = (found.identity_key, found.sealing_key) == (given.identity_key, given.sealing_key)
        if same and found.state is FollowerState.ACTIVE:
            return found
        self._admit(_only_invited(found), given, BY_KEYS)
        data = {"thumbprint": thumbprint(given.identity_key)}
        self._note("follower.enrolled", f"follower:{name}", f"{name} was admitted by its keys", data)
        return found

    def _invited(self, name: str) -> Follower:
        """The follower of that name, made if there is none. Raises Conflict when it is enrolled, or was."""
        try:
            return _only_invited(self.records.followers.get(self.caller, name))
        except NotFound:
            made = Follower(self.services.chance.uuid(), name, Owner.API, FollowerState.INVITED, created=self.now)
        self.records.followers.save(self.caller, made)
        self._note("follower.created", f"follower:{name}", f"follower {name} was created", {})
        return made

    def _admit(self, follower: Follower, keys: shared.HostKeys, agent: str) -> None:
        """Raises Conflict when it was admitted meanwhile."""
        if not self.records.identities.admit(
            self.caller,
            follower.id,
            identity_key=keys.identity_key,
            sealing_key=keys.sealing_key,
            agent=agent,
            now=self.now,
        ):
            raise Conflict(f"follower {follower.name} is enrolled already")

    def _note(self, kind: str, subject: str, text: str, data: Mapping[str, object]) -> None:
        self.records.events.add(self.caller, kind, subject, text, now=self.now, data=data)


def _only_invited(found: Follower) -> Follower:
    """Raises Conflict with what can be done instead."""
    if found.state is FollowerState.INVITED:
        return found
    instead = "choose another name"
    if found.state is FollowerState.ACTIVE:
        instead = f"for a rebuilt host `certline follower token {found.name} --replace` makes a string"
    raise Conflict(f"follower {found.name} is {found.state} already: {instead}")
