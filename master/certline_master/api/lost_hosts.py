"""A lost host: what it had, what has to be done for that, doing it, and how far that is."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from certline_master.domain.access import SYSTEM, Caller
from certline_master.domain.custody import KeyCopy, Revocation, RevocationState
from certline_master.domain.deployment import arrived
from certline_master.domain.key_moves import replace_current
from certline_master.domain.lost_host import KEY_COMPROMISE, PATIENCE, Exposed, exposed, has_moved_on, newest_safe
from certline_master.domain.model import (
    Deployment,
    DeploymentState,
    Failure,
    FailureClass,
    Follower,
    FollowerState,
    Line,
    Slot,
    Version,
)
from certline_master.domain.ports import Records
from certline_master.domain.succession import last_live
from certline_shared.chance import Chance

FIRST_LOOK = timedelta(minutes=1)  # the engine looks again by itself, and whenever a host reports


@dataclass(frozen=True, slots=True)
class LostLine:
    """A line whose key the host had: what is exposed of it, and the other hosts that have it."""

    line: Line
    own: bool  # no other host has it
    versions: tuple[Version, ...]
    exposed: tuple[Exposed, ...]
    needs_key: bool  # the key that new certificates are for is exposed
    others: tuple[Follower, ...]
    reported: tuple[Deployment, ...]
    pins: frozenset[str]

    @property
    def newest_safe(self) -> int | None:
        return newest_safe(self.versions, self.pins)

    def has_moved_on(self, other: Follower) -> bool:
        return has_moved_on(self.versions, [one for one in self.reported if one.follower_id == other.id], self.pins)

    def in_use(self, other: Follower) -> int | None:
        """The version that this host installed and kept last."""
        used = (one.version for one in self.reported if one.follower_id == other.id and arrived(one))
        return last_live(self.versions, used)


@dataclass(frozen=True, slots=True)
class LostHost:
    follower: Follower
    keys: tuple[KeyCopy, ...]
    lines: tuple[LostLine, ...]
    revocations: tuple[Revocation, ...]


def look(records: Records, caller: Caller, name: str, now: datetime) -> LostHost:
    """What this follower had, was it lost now; or what is left to do, where it was. Raises NotFound."""
    follower = records.followers.get(caller, name)
    return _Looking(records, caller, follower, now).run()


@dataclass(frozen=True, slots=True)
class _Looking:
    records: Records
    caller: Caller
    follower: Follower
    now: datetime

    def run(self) -> LostHost:
        copies = self.records.keys.copies_at(self.caller, self.follower.id)
        revocations = self.records.revocations.all(self.caller, follower=self.follower.name)
        lines = self.records.lines.all(self.caller, limit=1_000_000)
        pins = self._pins(lines, copies)
        concerned = self._concerned(lines, pins, {one.line for one in revocations})
        return LostHost(
            self.follower, tuple(copies), tuple(self._line(*one, pins) for one in concerned), tuple(revocations)
        )

    def _pins(self, lines: Iterable[Line], copies: Iterable[KeyCopy]) -> frozenset[str]:
        """All keys it ever had: those it was given, those of its own lines, those of versions that it reported."""
        own = {line.id for line in lines if line.follower_id == self.follower.id}
        reported = self.records.followers.deployments(self.caller, follower_id=self.follower.id)
        held = {(one.line_id, one.version) for one in reported if one.state is not DeploymentState.WANTED}
        found = {copy.spki_sha256 for copy in copies}
        for line_id in own | {line_id for line_id, _ in held}:
            for version in self.records.versions.all(self.caller, line_id):
                if line_id in own or (line_id, version.number) in held:
                    found |= {certificate.spki_sha256 for certificate in version.certificates}
        return frozenset(found)

    def _concerned(
        self, lines: Iterable[Line], pins: frozenset[str], named: Collection[str]
    ) -> Iterator[tuple[Line, bool]]:
        """The lines that have to do with it, each with whether it needs a new key: of the others nothing is asked."""
        had = self.records.versions.for_keys(self.caller, sorted(pins))
        current = self._current_keys(lines)
        for line in lines:
            needs_key = line.follower_id is None and bool(current.get(line.key_id or "", frozenset()) & pins)
            if needs_key or line.id in had or line.name in named:
                yield line, needs_key

    def _line(self, line: Line, needs_key: bool, pins: frozenset[str]) -> LostLine:
        versions = tuple(self.records.versions.all(self.caller, line.id))
        holders = [self.records.followers.by_id(self.caller, one) for one in self.records.keys.holders(SYSTEM, line)]
        return LostLine(
            line=line,
            own=line.follower_id == self.follower.id,
            versions=versions,
            exposed=tuple(exposed(versions, pins, self.now)),
            needs_key=needs_key,
            others=tuple(one for one in holders if one.id != self.follower.id and one.state is FollowerState.ACTIVE),
            reported=tuple(self.records.followers.deployments(self.caller, line_id=line.id)),
            pins=pins,
        )

    def _current_keys(self, lines: Iterable[Line]) -> dict[str, frozenset[str]]:
        """The pins that new certificates are for, by the master's key."""
        kept = self.records.keys.materials(self.caller, sorted({line.key_id for line in lines if line.key_id}))
        return {
            key: frozenset(one.spki_sha256 for one in materials if one.slot is Slot.CURRENT)
            for key, materials in kept.items()
        }


@dataclass(frozen=True, slots=True)
class Clearing:
    """Does what a look has shown, inside a transaction; repeated, it changes nothing more."""

    records: Records
    caller: Caller
    chance: Chance
    now: datetime
    at_once: bool  # revoke without waiting for the other hosts

    def run(self, lost: LostHost) -> None:
        keys = sorted({one.line.key_id or "" for one in lost.lines if one.needs_key})
        for key_id in keys:
            self._replace_key(key_id, lost)
        intended = [self._intend(lost.follower, line, one) for line in lost.lines for one in line.exposed]
        hastened = self.records.revocations.hasten(self.caller, lost.follower.name, now=self.now) if self.at_once else 0
        if keys or any(intended) or hastened:
            self._note(lost, len(keys), sum(intended))

    @staticmethod
    def _pins(lost: LostHost) -> frozenset[str]:
        return frozenset(pin for line in lost.lines for pin in line.pins) | {copy.spki_sha256 for copy in lost.keys}

    def _replace_key(self, key_id: str, lost: LostHost) -> None:
        """All lines of the key get a new one; the engine makes it, and orders."""
        key = next(one for one in self.records.keys.all(self.caller) if one.id == key_id)
        risen = replace_current(self.records, self.caller, key_id, self._pins(lost), self.now)
        lines = [line for line in self.records.lines.all(SYSTEM, limit=1_000_000) if line.key_id == key_id]
        for line in lines:
            if line.follower_id is None:
                why = Failure(FailureClass.RETRY_SOON, f"the key is replaced: {lost.follower.name} had it and is lost")
                self.records.orders.stop(self.caller, line.id, why, now=self.now)
                if not risen:
                    self.records.lines.drop_csrs(self.caller, line.id)
                present = self.records.lines.by_id(SYSTEM, line.id)
                self.records.lines.save(self.caller, replace(present, forced=True, next_look=self.now))
        which = "the next key is used" if risen else "a new key is made"
        text = f"{which} and its certificates are issued anew: {lost.follower.name} had it and is lost"
        data = {"lines": [line.name for line in lines], "follower": lost.follower.name}
        self.records.events.add(self.caller, "key.replaced", f"key:{key.name}", text, now=self.now, data=data)

    def _intend(self, lost: Follower, line: LostLine, one: Exposed) -> bool:
        waits = not (self.at_once or line.own or not line.others)
        deadline = self.now + PATIENCE if waits else None
        revocation = Revocation(
            id=self.chance.uuid(),
            certificate_id=one.certificate.id,
            line=line.line.name,
            issuer_id=self._issuer_of(line.line, one),
            version=one.version,
            serial=one.certificate.serial or "",
            spki_sha256=one.certificate.spki_sha256,
            not_after=one.certificate.not_after or self.now,
            chain=one.certificate.chain or "",
            reason=KEY_COMPROMISE,
            state=RevocationState.INTENDED,
            created=self.now,
            due=self.now + FIRST_LOOK if waits else self.now,
            follower=lost.name,
            deadline=deadline,
        )
        return self.records.revocations.intend(self.caller, revocation)

    def _issuer_of(self, line: Line, one: Exposed) -> str:
        """The CA that issued it: a line may have gone to another one since."""
        orders = self.records.orders.of_line(self.caller, line.id)
        found = (order.issuer_id for order in orders if order.certificate_id == one.certificate.id)
        return next(found, line.issuer_id or "")

    def _note(self, lost: LostHost, keys: int, certificates: int) -> None:
        text = (
            f"{lost.follower.name} is lost: new keys for {keys} shared key(s), {certificates} certificate(s) to revoke"
        )
        data = {"lines": [one.line.name for one in lost.lines], "keys": [copy.spki_sha256 for copy in lost.keys]}
        subject = f"follower:{lost.follower.name}"
        self.records.events.add(self.caller, "follower.lost", subject, text, now=self.now, data=data)
