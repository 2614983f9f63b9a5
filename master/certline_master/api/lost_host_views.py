"""The worklist of a lost host as people see it: what is exposed, what is done, and what is waited for."""

from dataclasses import dataclass
from datetime import datetime

from certline_master.api.lost_hosts import LostHost, LostLine
from certline_master.domain.custody import KeyCopy, Revocation, RevocationState
from certline_master.domain.lost_host import Exposed
from certline_master.domain.model import Follower, FollowerState


@dataclass(frozen=True, slots=True)
class GivenKey:
    line: str
    key_type: str
    spki_sha256: str
    released: datetime
    seen: datetime | None
    deleted: datetime | None

    @classmethod
    def of(cls, copy: KeyCopy) -> "GivenKey":
        return cls(copy.line, copy.key_type, copy.spki_sha256, copy.released, copy.seen, copy.deleted)


@dataclass(frozen=True, slots=True)
class OtherHost:
    """Another host with the line: the version that it uses, and whether that has another key than the lost one."""

    follower: str
    version: int | None
    moved_on: bool


@dataclass(frozen=True, slots=True)
class ExposedView:
    """A certificate whose key the lost host had. `revocation`: `to do` (not asked for), `waits` (for other hosts, at
    the longest until `deadline`), `intended`, `revoked` or `failed`.
    """

    version: int
    serial: str
    not_after: datetime
    revocation: str
    deadline: datetime | None
    ended: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class WorklistLine:
    """`own`: only the lost host had it, and nothing takes its place. `needs_key`: its present key is exposed.
    `new_version`: the live version, if it has another key.
    """

    line: str
    own: bool
    needs_key: bool
    new_version: int | None
    others: tuple[OtherHost, ...]
    certificates: tuple[ExposedView, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Worklist:
    """`done`: the host is revoked, no exposed certificate is left to revoke, and every other host has moved on."""

    follower: str
    state: str
    keys: tuple[GivenKey, ...]
    lines: tuple[WorklistLine, ...]
    done: bool

    @classmethod
    def of(cls, lost: LostHost) -> "Worklist":
        asked = {one.certificate_id: one for one in lost.revocations}
        lines = tuple(_line(one, asked) for one in lost.lines)
        left = any(one.needs_key or _left(one) for one in lines)
        done = lost.follower.state is FollowerState.REVOKED and not left
        keys = tuple(GivenKey.of(copy) for copy in lost.keys)
        return cls(lost.follower.name, lost.follower.state, keys, lines, done)


def _left(line: WorklistLine) -> bool:
    return any(one.revocation != "revoked" for one in line.certificates) or any(not one.moved_on for one in line.others)


def _line(lost: LostLine, asked: dict[str, Revocation]) -> WorklistLine:
    others = tuple(_other(lost, other) for other in lost.others)
    past = [one for one in asked.values() if one.line == lost.line.name]
    shown = {one.certificate_id for one in past}
    fresh = [_exposed(one) for one in lost.exposed if one.certificate.id not in shown]
    certificates = (*fresh, *(_asked(one) for one in past))
    return WorklistLine(
        line=lost.line.name,
        own=lost.own,
        needs_key=lost.needs_key,
        new_version=lost.newest_safe,
        others=others,
        certificates=certificates,
        text=_text(lost, others),
    )


def _other(lost: LostLine, other: Follower) -> OtherHost:
    return OtherHost(other.name, lost.in_use(other), lost.has_moved_on(other))


def _exposed(one: Exposed) -> ExposedView:
    certificate = one.certificate
    until = certificate.not_after
    if until is None:
        raise AssertionError("only an issued certificate is exposed")
    return ExposedView(one.version, certificate.serial or "", until, "to do", None, None, None)


def _asked(one: Revocation) -> ExposedView:
    waits = one.state is RevocationState.INTENDED and one.deadline is not None
    word = "waits" if waits else str(one.state)
    return ExposedView(one.version, one.serial, one.not_after, word, one.deadline, one.ended, one.error)


def _text(lost: LostLine, others: "tuple[OtherHost, ...]") -> str:
    if lost.own:
        return "only this host has it: its certificates are revoked, and nothing takes their place"
    if lost.needs_key:
        return "gets a new key and a new version, which the other hosts install; then the old certificates are revoked"
    if lost.newest_safe is None:
        return "the version with the new key is not live yet"
    behind = [one.follower for one in others if not one.moved_on]
    if behind:
        return f"version {lost.newest_safe} has a new key; {', '.join(behind)} still to install it"
    return f"version {lost.newest_safe} has a new key, and every other host uses it"
