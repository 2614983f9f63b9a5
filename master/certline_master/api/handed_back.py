"""A version that this master lost when it went back in time, and its host still has: taken back, not ordered again."""

from dataclasses import dataclass
from datetime import datetime

from certline_master.api.services import Services
from certline_master.api.wishes import find_line
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.errors import Conflict, Fault, Invalid
from certline_master.domain.going_back import HELD_UNTIL
from certline_master.domain.model import Certificate, Custody, Line, LineCsr, Version, VersionState
from certline_master.domain.ports import Records
from certline_shared.certificates import BadChain, CertificateFacts, check_issued
from certline_shared.chance import Chance
from certline_shared.keys import KeyType
from certline_shared.messages import VersionContent, decode

REASON = "its host handed it back, after the master went back to a backup"


def take(services: Services, caller: Caller, name: str, number: int, body: bytes) -> None:
    """Only of the follower's own line, for the key it asks with, and higher than all that is known here.

    Raises BadMessage, Conflict where the master knows better, Invalid for a certificate that is not the line's.
    """
    taking = _Taking(services.clock.now(), services.chance, caller, name, number, decode(VersionContent, body))
    line = services.store.write(taking.run)
    if line is not None:
        services.limits.noted(caller.follower_id)
        services.bell.ring("work")


@dataclass(frozen=True, slots=True)
class _Taking:
    now: datetime
    chance: Chance
    caller: Caller
    name: str
    number: int
    content: VersionContent

    def run(self, records: Records) -> Line | None:
        """None when it is here already."""
        line = find_line(records, self.caller, self.name)
        self._compare()
        if self._is_here(records, line):
            return None
        self._refuse(records, line)
        csrs = {csr.key_type: csr for csr in records.lines.csrs(SYSTEM, line.id)}
        facts = {kind: self._checked(kind, csrs, line) for kind in line.key_types}
        version = self._version(line, csrs, facts)
        records.versions.open(SYSTEM, version, ())
        records.versions.set_state(SYSTEM, version.id, VersionState.LIVE, now=self.now)
        records.lines.set_next_look(SYSTEM, line.id, self.now)
        text = f"version {version.number} is live: {REASON}"
        data = {"version": version.number, "serial": [one.serial for one in version.certificates]}
        records.events.add(self.caller, "version.handed-back", f"line:{line.name}", text, now=self.now, data=data)
        return line

    def _compare(self) -> None:
        told = (("line", self.content.line == self.name), ("version", self.content.version == self.number))
        if faults := [Fault(f"/{member}", "is not what the path names") for member, fits in told if not fits]:
            raise Invalid(*faults)

    def _is_here(self, records: Records, line: Line) -> bool:
        same = (one for one in records.versions.all(SYSTEM, line.id) if one.number == self.number)
        wanted = set(self.content.files.values())
        return any({certificate.chain for certificate in one.certificates} == wanted for one in same)

    def _refuse(self, records: Records, line: Line) -> None:
        if records.instance.get(SYSTEM, HELD_UNTIL) is None:
            raise Conflict("this master did not go back in time: it has all versions that it made")
        if line.custody is not Custody.FOLLOWER or line.follower_id != self.caller.follower_id:
            raise Conflict("only a line of this host alone can be taken back from it")
        records.versions.drop_unopened(SYSTEM, line.id)
        known = records.versions.all(SYSTEM, line.id)
        if any(one.state is VersionState.ORDERED for one in known):
            raise Conflict("an order for this line is under way")
        newest = max((one.number for one in known), default=0)
        if newest >= self.number:
            raise Conflict(f"version {newest} of this line is known here")

    def _checked(self, kind: KeyType, csrs: "dict[KeyType, LineCsr]", line: Line) -> CertificateFacts:
        chain, csr = self.content.files.get(f"{kind}/chain.pem"), csrs.get(kind)
        if chain is None or csr is None:
            raise Invalid(Fault("/files", f"the line's key type {kind} is not in it, or its request is not known here"))
        try:
            return check_issued(chain, names=line.names, spki_sha256=csr.spki_sha256, now=self.now)
        except BadChain as fault:
            raise Invalid(Fault(f"/files/{kind}~1chain.pem", str(fault))) from None

    def _version(self, line: Line, csrs: "dict[KeyType, LineCsr]", facts: "dict[KeyType, CertificateFacts]") -> Version:
        version_id = self.chance.uuid()
        certificates = tuple(
            Certificate(
                id=self.chance.uuid(),
                version_id=version_id,
                key_type=kind,
                csr=csrs[kind].csr,
                spki_sha256=csrs[kind].spki_sha256,
                names=line.names,
                chain=self.content.files[f"{kind}/chain.pem"],
                serial=found.serial,
                not_before=found.not_before,
                not_after=found.not_after,
            )
            for kind, found in facts.items()
        )
        return Version(version_id, line.id, self.number, VersionState.ORDERED, self.now, REASON, certificates)
