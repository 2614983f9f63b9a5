"""Rehearsals as hosts ask for them and tell how they ended; uncounted, for they change nothing that is in use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certline_master.api.callers import refuse_unless_active
from certline_master.api.problems import Refused
from certline_master.api.services import Services
from certline_master.api.wish_reading import Wish
from certline_master.api.wishes import find_line
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict, Fault, Invalid, NotFound, NotGranted
from certline_master.domain.model import Follower, Issuer, Line, LineCsr, Owner
from certline_master.domain.placement import granted_names, wanted_requests
from certline_master.domain.ports import Records
from certline_master.domain.rehearsal import MOST_A_DAY, issuer_for_tests, rehearsal_name, rehearsal_of
from certline_shared.keys import KeyType
from certline_shared.messages import DeploymentReport, LineAnswer, Report

DAY = timedelta(days=1)
BEGAN, PASSED, FAILED = "rehearsal.began", "rehearsal.passed", "rehearsal.failed"


def record(services: Services, caller: Caller, local: str, wish: Wish) -> LineAnswer:
    """Begin a rehearsal of a line, or take its requests; the same may be asked again. Raises Invalid, Conflict,
    NotGranted, NotFound and Refused.
    """
    answer = services.store.write(lambda records: Rehearsing(services, caller, records, local, wish).run())
    services.bell.ring("work")
    services.bell.ring(f"follower:{caller.follower_id}")
    return answer


def end(services: Services, caller: Caller, report: Report) -> None:
    """The host's last word on its rehearsals: on record with the lines, and they are gone."""
    services.store.write(lambda records: _end(services, caller, records, report.rehearsals))
    services.bell.ring(f"follower:{caller.follower_id}")


def _end(services: Services, caller: Caller, records: Records, told: Sequence[DeploymentReport]) -> None:
    follower = records.followers.by_id(caller, caller.follower_id or "")
    for said in {one.line: one for one in told}.values():
        name = rehearsal_name(said.line, follower)
        try:
            records.lines.get(caller, name)
        except NotFound:
            continue  # told again, or its time was over
        records.lines.delete(caller, name)
        text = said.error or f"{said.state} on {caller.name}"
        data = {"follower": caller.name, "state": said.state, "error": said.error}
        kind, about = FAILED if said.error else PASSED, _subject(records, caller, said.line, name)
        records.events.add(caller, kind, about, f"the rehearsal: {text}", now=services.clock.now(), data=data)
        services.limits.noted(caller.follower_id)


def _subject(records: Records, caller: Caller, local: str, name: str) -> str:
    """The line that was rehearsed, where the master knows it already."""
    try:
        return f"line:{find_line(records, caller, local).name}"
    except NotFound:
        return f"line:{name}"


@dataclass(frozen=True, slots=True)
class Rehearsing:
    """One wish for a rehearsal on its way into the store, inside a transaction."""

    services: Services
    caller: Caller
    records: Records
    local: str
    wish: Wish
    asked_by: Caller | None = None  # an operator; None: the host itself

    @property
    def now(self) -> datetime:
        return self.services.clock.now()

    def run(self) -> LineAnswer:
        follower = self.records.followers.by_id(self.caller, self.caller.follower_id or "")
        refuse_unless_active(follower)
        name = rehearsal_name(self.local, follower)
        former = self._found(name)
        line = former if former and self._goes_on(former) else self._begun(former, name, follower)
        self._take(line)
        held = self.records.lines.csrs(self.caller, line.id)
        state = "csr_wanted" if wanted_requests(line, held) else "waiting"
        return LineAnswer(line.name, state, line.names)

    def _found(self, name: str) -> Line | None:
        try:
            return self.records.lines.get(self.caller, name)
        except NotFound:
            return None

    def _goes_on(self, former: Line) -> bool:
        """What it has is what is sent, or nothing yet; all else is another rehearsal."""
        held = {csr.spki_sha256 for csr in self.records.lines.csrs(self.caller, former.id)}
        sent = {csr.spki_sha256 for csr in self.wish.csrs.values()}
        return self._is_for(former) and held in (set(), sent) and bool(sent or not held)

    def _is_for(self, line: Line) -> bool:
        return all(set(csr.names) == set(line.names) for csr in self.wish.csrs.values())

    def _begun(self, former: Line | None, name: str, follower: Follower) -> Line:
        line = self._rehearsed()
        names, key_types = self._names(line, follower), self._key_types(line)
        issuer = self._issuer(line)
        subject = _subject(self.records, self.caller, self.local, name)
        self._check_often(subject)
        if former:
            self.records.lines.delete(self.caller, former.name)
        uuid = self.services.chance.uuid()
        bare = Line(uuid, name, Owner.FOLLOWER, follower.id, names, key_types, issuer.id)
        begun = rehearsal_of(line, bare, self.now)
        self.records.lines.save(self.caller, begun)
        by = f", asked for by {self.asked_by.actor}" if self.asked_by else ""
        text = f"{self.caller.name} rehearses it at {issuer.name}{by}"
        self._note(BEGAN, subject, text, {"follower": self.caller.name, "issuer": issuer.name, "names": list(names)})
        return begun

    def _rehearsed(self) -> Line | None:
        """None for a line of its own that a host tries before it asks for it."""
        try:
            return find_line(self.records, self.caller, self.local)
        except NotFound:
            if self.wish.names:
                return None
            raise

    def _names(self, line: Line | None, follower: Follower) -> tuple[str, ...]:
        if line is not None and line.owner is not Owner.FOLLOWER:
            if self.wish.names is not None and set(self.wish.names) != set(line.names):
                text = f"the operator set the names of {line.name} to {', '.join(line.names)}: leave them out"
                raise Invalid(Fault("/names", text))
            return line.names
        names = self.wish.names or (line.names if line else ())
        missing = tuple(name for name in names if name not in granted_names(follower))
        if missing:
            raise NotGranted(self.caller.name, missing)
        return names

    def _key_types(self, line: Line | None) -> tuple[KeyType, ...]:
        if line is not None and line.owner is not Owner.FOLLOWER:
            return line.key_types
        return tuple(self.wish.csrs) or (line.key_types if line else (KeyType.ECDSA_P256,))

    def _issuer(self, line: Line | None) -> Issuer:
        found = issuer_for_tests(line, self.records.issuers.all(SYSTEM))
        if isinstance(found, str):
            raise Conflict(f"line {self.local} cannot be rehearsed: {found}")
        return found

    def _check_often(self, subject: str) -> None:
        since = self.now - DAY
        events = self.records.events.all(SYSTEM, subject=subject, limit=1_000)
        began = [one for one in events if one.kind == BEGAN and one.at > since and self._is_ours(one.data)]
        if len(began) >= MOST_A_DAY:
            text = f"{MOST_A_DAY} rehearsals of a line in a day are the most that one follower may ask for"
            raise Refused("too-many-requests", text, headers={"Retry-After": "3600"})

    def _is_ours(self, data: Mapping[str, object]) -> bool:
        return data.get("follower") == self.caller.name

    def _take(self, line: Line) -> None:
        held = {csr.spki_sha256 for csr in self.records.lines.csrs(self.caller, line.id)}
        fresh = [csr for csr in self.wish.csrs.values() if csr.spki_sha256 not in held]
        for csr in fresh:
            self._check(csr, line)
            self.records.lines.put_csr(self.caller, line.id, csr)
        if fresh:
            self.records.lines.set_next_look(self.caller, line.id, self.now)

    def _check(self, csr: LineCsr, line: Line) -> None:
        field = f"/csrs/{csr.key_type}"
        if csr.key_type not in line.key_types:
            raise Invalid(Fault(field, f"line {self.local} has the key type {', '.join(line.key_types)}"))
        if set(csr.names) != set(line.names):
            raise Invalid(
                Fault(field, f"the line is for {', '.join(line.names)}, the request for others: make a new one")
            )
        used = self.records.versions.for_keys(SYSTEM, [csr.spki_sha256]) - {line.id}
        if used or self.records.keys.is_kept(SYSTEM, csr.spki_sha256):
            raise Invalid(Fault(field, "the request is for a key that is in use: a rehearsal has keys of its own"))

    def _note(self, kind: str, subject: str, text: str, data: Mapping[str, object]) -> None:
        self.records.events.add(self.asked_by or self.caller, kind, subject, text, now=self.now, data=data)
        self.services.limits.noted(self.caller.follower_id)
