"""What a host says of its installations, written down with an event for each change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from certline_master.api.services import Services
from certline_master.api.wishes import find_line
from certline_master.domain.access import Caller
from certline_master.domain.errors import Fault, Invalid, NotFound
from certline_master.domain.model import Deployment, DeploymentState, Line
from certline_master.domain.ports import Records
from certline_shared.messages import DeploymentReport, Report, decode

MOST_ERROR = 2_000
MOST_AGENT = 100
_REPORTED = frozenset(DeploymentState) - {DeploymentState.WANTED}


def read_report(body: bytes) -> Report:
    """Raises BadMessage, and Invalid naming each member that cannot be used."""
    report = decode(Report, body)
    faults = [
        Fault(f"/deployments/{index}/{member}", text)
        for index, deployment in enumerate(report.deployments)
        for member, text in _faults(deployment)
    ]
    if len(report.agent) > MOST_AGENT:
        faults.append(Fault("/agent", f"has more than {MOST_AGENT} characters"))
    if faults:
        raise Invalid(*faults)
    return report


def _faults(deployment: DeploymentReport) -> "list[tuple[str, str]]":
    faults = []
    if deployment.state not in _REPORTED:
        faults.append(("state", f"expected one of {', '.join(sorted(_REPORTED))}"))
    if len(deployment.error or "") > MOST_ERROR:
        faults.append(("error", f"has more than {MOST_ERROR} characters"))
    return faults


def record(services: Services, caller: Caller, report: Report) -> None:
    """Write it down. Lines and versions that are gone are passed over: the rest of the report still counts."""
    services.store.write(lambda records: _Recording(records, caller, services.clock.now()).run(report))


@dataclass(frozen=True, slots=True)
class _Recording:
    """One report on its way into the store, inside a transaction."""

    records: Records
    caller: Caller
    now: datetime

    def run(self, report: Report) -> None:
        follower = self.records.followers.by_id(self.caller, self.caller.follower_id or "")
        if follower.agent != report.agent:
            self.records.followers.touch(self.caller, follower.id, now=self.now, agent=report.agent)
        self._compare_serials(report.manifest_serial, follower.manifest_serial)
        held = self.records.followers.deployments(self.caller, follower_id=follower.id)
        known = {(one.line_id, one.version): one for one in held}
        for said in report.deployments:
            line = self._line_with(said)
            former = known.get((line.id, said.version)) if line else None
            if line and (former is None or (former.state, former.error) != (DeploymentState(said.state), said.error)):
                self._write(said, line, follower.id, former)

    def _compare_serials(self, seen: int, here: int) -> None:
        """A follower that has seen more than we know of: our database went back."""
        if seen <= here:
            return
        text = f"{self.caller.name} has seen manifest {seen}, here is only {here}: was an old backup restored?"
        self._note("manifest.behind", f"follower:{self.caller.name}", text, {"seen": seen, "here": here})

    def _line_with(self, said: DeploymentReport) -> Line | None:
        """The line, if it and the version are still there."""
        try:
            line = find_line(self.records, self.caller, said.line)
            self.records.versions.get(self.caller, line.id, said.version)
        except NotFound:
            return None
        return line

    def _write(self, said: DeploymentReport, line: Line, follower_id: str, former: Deployment | None) -> None:
        """An error in other words (each try may have some) is the same trouble: since when stays."""
        state = DeploymentState(said.state)
        same = former is not None and former.state is state and bool(former.error) and bool(said.error)
        updated = former.updated if same and former else self.now
        deployment = Deployment(follower_id, line.id, said.version, state, said.error, updated)
        self.records.followers.report(self.caller, deployment)
        if self.records.lines.resume(self.caller, line.id, now=self.now):
            self._note("line.resumed", f"line:{line.name}", f"{self.caller.name} pulls it again", {})
        kind = "deployment.failed" if said.error else f"deployment.{state}"
        text = f"version {said.version}: {said.error or f'{state} on {self.caller.name}'}"
        data = {"version": said.version, "state": state.value, "error": said.error}
        self._note(kind, f"line:{line.name}", text, data)

    def _note(self, kind: str, subject: str, text: str, data: Mapping[str, object]) -> None:
        self.records.events.add(self.caller, kind, subject, text, now=self.now, data=data)
