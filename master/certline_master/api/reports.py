"""What a host says of its installations, written down with an event for each change."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from certline_master.api import behind, key_copies
from certline_master.api.limits import Limits
from certline_master.api.problems import Refused
from certline_master.api.sequences import Count
from certline_master.api.services import Services
from certline_master.api.wishes import line_called
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.deployment import arrived, merged
from certline_master.domain.errors import Fault, Invalid
from certline_master.domain.model import Deployment, DeploymentState, Line
from certline_master.domain.ports import Records
from certline_shared.codec import BadMessage
from certline_shared.messages import DeploymentReport, Report, decode, read_time

MOST_ERROR = 2_000
MOST_AGENT = 100
MOST_SEEN = 50
MOST_TARGET = 300
MOST_SKEW = 10**10
"""Seconds: three centuries, so that any clock can be told of."""

_REPORTED = frozenset(DeploymentState) - {DeploymentState.WANTED}
_GOALS = _REPORTED - {DeploymentState.STAGED, DeploymentState.PULLED}
_FINGERPRINT = re.compile("[0-9a-f]{64}")


def read_report(body: bytes) -> Report:
    """Raises BadMessage, and Invalid naming each member that cannot be used."""
    report = decode(Report, body)
    faults = [
        Fault(f"/deployments/{index}/{member}", text)
        for index, deployment in enumerate(report.deployments)
        for member, text in _faults(deployment)
    ]
    faults += [
        Fault(f"/rehearsals/{index}/{member}", text)
        for index, deployment in enumerate(report.rehearsals)
        for member, text in _faults(deployment)
    ]
    faults += [Fault(f"/keys/{place}", text) for place, text in key_copies.faults(report.keys)]
    if len(report.agent) > MOST_AGENT:
        faults.append(Fault("/agent", f"has more than {MOST_AGENT} characters"))
    if abs(report.skew or 0) > MOST_SKEW:
        faults.append(Fault("/skew", f"expected at most {MOST_SKEW} seconds"))
    if faults:
        raise Invalid(*faults)
    return report


def _faults(deployment: DeploymentReport) -> "list[tuple[str, str]]":
    faults = list(_faults_of_new_members(deployment))
    if deployment.state not in _REPORTED:
        faults.append(("state", f"expected one of {', '.join(sorted(_REPORTED))}"))
    if len(deployment.error or "") > MOST_ERROR:
        faults.append(("error", f"has more than {MOST_ERROR} characters"))
    return faults


def _faults_of_new_members(deployment: DeploymentReport) -> "Iterator[tuple[str, str]]":
    if deployment.goal is not None and deployment.goal not in _GOALS:
        yield "goal", f"expected one of {', '.join(sorted(_GOALS))}"
    if deployment.retry_at is not None:
        try:
            read_time(deployment.retry_at)
        except BadMessage as error:
            yield "retry_at", str(error)
    if len(deployment.seen) > MOST_SEEN or any(len(target) > MOST_TARGET for target in deployment.seen):
        yield "seen", f"expected at most {MOST_SEEN} targets of at most {MOST_TARGET} characters"
    if not all(_FINGERPRINT.fullmatch(value) for value in deployment.seen.values()):
        yield "seen", "expected SHA-256 hashes, 64 lower-case hex digits each"


def record(services: Services, caller: Caller, report: Report, count: Count) -> None:
    """Write it down. Lines and versions that are gone are passed over: the rest of the report still counts."""

    def work(records: Records) -> Refused | None:
        refusal = count(records)
        if refusal is None:
            _Recording(services.identity.epoch, records, caller, services.clock.now(), services.limits).run(report)
        return refusal

    refusal = services.store.write(work)
    if refusal is not None:
        raise refusal


@dataclass(frozen=True, slots=True)
class _Recording:
    """One report on its way into the store, inside a transaction."""

    epoch: int
    records: Records
    caller: Caller
    now: datetime
    limits: Limits

    def run(self, report: Report) -> None:
        follower = self.records.followers.by_id(self.caller, self.caller.follower_id or "")
        if follower.agent != report.agent:
            self.records.followers.touch(self.caller, follower.id, now=self.now, agent=report.agent)
        if report.skew is not None and _moved(follower.skew_seconds, report.skew):
            self.records.followers.set_skew(self.caller, follower.id, report.skew)
        behind.look(self.records, self.caller, report, follower, epoch=self.epoch, now=self.now)
        held = self.records.followers.deployments(self.caller, follower_id=follower.id)
        known = {(one.line_id, one.version): one for one in held}
        for _ in range(key_copies.record(self.records, self.caller, report.keys, self.now)):
            self.limits.noted(self.caller.follower_id)
        for said, line in self._still_there(report.deployments):
            self._hear(said, line, follower.id, known.get((line.id, said.version)))

    def _still_there(self, told: Sequence[DeploymentReport]) -> "list[tuple[DeploymentReport, Line]]":
        """With its line, whatever is said of one that is there; the last word counts. However long a report is, it
        costs two queries: the master has one writer.
        """
        newest = {(said.line, said.version): said for said in told}
        lines = {line.name: line for line in self.records.lines.all(self.caller, limit=1_000_000)} if newest else {}
        there = self.records.versions.numbers(self.caller, [line.id for line in lines.values()]) if lines else ()
        found = ((said, line_called(said.line, self.caller, lines)) for said in newest.values())
        return [(said, line) for said, line in found if line and (line.id, said.version) in there]

    def _hear(self, said: DeploymentReport, line: Line, follower_id: str, former: Deployment | None) -> None:
        """Only what is new is written; only what became of the version is an event, not each new try's time."""
        deployment = merged(former, _deployment(said, line.id, follower_id, self.now))
        if deployment == former:
            return
        self.records.followers.report(self.caller, deployment)
        self.records.revocations.look(SYSTEM, line.name, now=self.now)
        if self.records.lines.resume(SYSTEM, line.id, now=self.now):
            self._note("line.resumed", f"line:{line.name}", f"{self.caller.name} pulls it again", {})
        if former is None or (former.state, former.error) != (deployment.state, deployment.error):
            self._note_change(deployment, line)
        if former is not None and former.alarmed and arrived(deployment):
            text = f"version {said.version} is {deployment.state} on {self.caller.name}, after it was late"
            data = {"follower": self.caller.name, "version": said.version}
            self._note("deployment.recovered", f"line:{line.name}", text, data)

    def _note_change(self, deployment: Deployment, line: Line) -> None:
        state, number = deployment.state, deployment.version
        kind = "deployment.failed" if deployment.error else f"deployment.{state}"
        text = f"version {number}: {deployment.error or f'{state} on {self.caller.name}'}"
        data = {"version": number, "state": state.value, "error": deployment.error}
        self._note(kind, f"line:{line.name}", text, data)

    def _note(self, kind: str, subject: str, text: str, data: Mapping[str, object]) -> None:
        self.records.events.add(self.caller, kind, subject, text, now=self.now, data=data)
        self.limits.noted(self.caller.follower_id)


def _moved(former: int | None, skew: int) -> bool:
    """A clock's measure trembles by a second or two."""
    return former is None or abs(former - skew) >= 5


def _deployment(said: DeploymentReport, line_id: str, follower_id: str, now: datetime) -> Deployment:
    return Deployment(
        follower_id,
        line_id,
        said.version,
        DeploymentState(said.state),
        said.error,
        now,
        goal=DeploymentState(said.goal) if said.goal else None,
        retry_at=read_time(said.retry_at) if said.retry_at else None,
        seen=dict(said.seen),
    )
