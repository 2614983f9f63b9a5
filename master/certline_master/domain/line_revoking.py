"""Revoking a line's certificates by somebody's word: intended on record, and a new key is to take their place."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from certline_master.domain import key_moves
from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.custody import Revocation, RevocationState
from certline_master.domain.errors import Conflict
from certline_master.domain.lost_host import KEY_COMPROMISE, Exposed, exposed
from certline_master.domain.model import Custody, Failure, FailureClass, Line, Version, VersionState
from certline_master.domain.ports import Records
from certline_master.domain.staging import KEY_REVOKED, pins
from certline_shared.chance import Chance

REASONS: Mapping[str, int] = {
    "unspecified": 0,
    "key-compromise": KEY_COMPROMISE,
    "affiliation-changed": 3,
    "superseded": 4,
    "cessation": 5,
}
"""What a CA takes of RFC 5280 section 5.3.1 from a subscriber."""


@dataclass(frozen=True, slots=True)
class LineRevoking:
    """One line's revocation, inside a transaction; repeated, it changes nothing more."""

    records: Records
    caller: Caller
    chance: Chance
    now: datetime
    reason: int

    def run(self, line: Line) -> tuple[Revocation, ...]:
        """What is to be revoked, or was already asked for. Raises Conflict where the line has nothing in force."""
        versions = self.records.versions.all(self.caller, line.id)
        live = next((one for one in versions if one.state is VersionState.LIVE), None)
        if live is None:
            raise Conflict(f"line {line.name} has no live version: there is nothing to revoke")
        wanted = [self._revocation(line, one) for one in self._exposed(versions, live)]
        fresh = [one for one in wanted if self.records.revocations.intend(self.caller, one)]
        if fresh:
            self._note(line, fresh)
            self._new_key(line, live)
        known = {one.certificate_id: one for one in self.records.revocations.all(SYSTEM)}
        return tuple(known[one.certificate_id] for one in wanted)

    def _exposed(self, versions: list[Version], live: Version) -> list[Exposed]:
        """With a compromised key all that is still valid for it."""
        held = versions if self.reason == KEY_COMPROMISE else [live]
        return exposed(held, pins(live), self.now)

    def _revocation(self, line: Line, one: Exposed) -> Revocation:
        certificate = one.certificate
        return Revocation(
            id=self.chance.uuid(),
            certificate_id=certificate.id,
            line=line.name,
            issuer_id=issuer_of(self.records, self.caller, line, certificate.id),
            version=one.version,
            serial=certificate.serial or "",
            spki_sha256=certificate.spki_sha256,
            not_after=certificate.not_after or self.now,
            chain=certificate.chain or "",
            reason=self.reason,
            state=RevocationState.INTENDED,
            created=self.now,
            due=self.now,
        )

    def _note(self, line: Line, fresh: list[Revocation]) -> None:
        word = next(word for word, number in REASONS.items() if number == self.reason)
        serials = [one.serial for one in fresh]
        text = f"{self.caller.actor} has {', '.join(serials)} revoked ({word}); hosts keep their files until the next"
        data = {"reason": self.reason, "serials": serials, "versions": sorted({one.version for one in fresh})}
        self.records.events.add(self.caller, "line.revoked", f"line:{line.name}", text, now=self.now, data=data)

    def _new_key(self, line: Line, live: Version) -> None:
        """The host's next key, or the master's: of that all the lines of the key."""
        present = self.records.lines.by_id(SYSTEM, line.id)
        if present.custody is Custody.FOLLOWER or present.key_id is None:
            self._look_at(replace(present, rollover=KEY_REVOKED))
            return
        if not pins(live) & self.records.lines.snapshot(SYSTEM, line.id).current_keys:
            return  # replaced already
        rose = key_moves.replace_current(
            self.records, self.caller, present.key_id, self._given_away(present.key_id, live), self.now
        )
        for one in self.records.lines.of_key(SYSTEM, present.key_id):
            if one.custody is Custody.MASTER:
                why = Failure(FailureClass.RETRY_SOON, f"the key is replaced: {line.name} was revoked")
                self.records.orders.stop(self.caller, one.id, why, now=self.now)
                if not rose:
                    self.records.lines.drop_csrs(self.caller, one.id)
                self._look_at(replace(one, forced=True))

    def _look_at(self, line: Line) -> None:
        self.records.lines.save(self.caller, replace(line, next_look=self.now, paused=None))

    def _given_away(self, key_id: str, live: Version) -> Collection[str]:
        """The keys that whoever has the compromised one may have too."""
        if self.reason != KEY_COMPROMISE:
            return pins(live)
        kept = [one.spki_sha256 for one in self.records.keys.materials(SYSTEM, [key_id]).get(key_id, [])]
        return pins(live) | {copy.spki_sha256 for copy in self.records.keys.copies(SYSTEM, kept)}


def issuer_of(records: Records, caller: Caller, line: Line, certificate_id: str) -> str:
    """The CA that issued it: a line may have gone to another one since."""
    orders = records.orders.of_line(caller, line.id)
    found = (order.issuer_id for order in orders if order.certificate_id == certificate_id)
    return next(found, line.issuer_id or "")
