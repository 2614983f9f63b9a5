"""The files of a version as one follower gets them; a sealed key only once its release is on record."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from certline_master.api import sealed_keys
from certline_master.api.callers import refuse_unless_active
from certline_master.api.services import Services
from certline_master.api.wishes import find_line
from certline_master.domain.access import Caller
from certline_master.domain.custody import KeyCopy, SealedKey
from certline_master.domain.errors import NotFound, Unavailable
from certline_master.domain.model import Follower, LineSnapshot, Version, VersionState
from certline_master.domain.placement import version_files
from certline_master.domain.ports import Records
from certline_master.domain.sealed_files import SealWanted, kept_certificates, seals_wanted
from certline_shared.failpoints import failpoint
from certline_shared.messages import VersionContent

_GIVEN = frozenset({VersionState.STAGED, VersionState.LIVE, VersionState.RETIRED})


@dataclass(frozen=True, slots=True)
class _Found:
    follower: Follower
    snapshot: LineSnapshot
    version: Version
    sealed: list[SealedKey]

    @property
    def wanted(self) -> list[SealWanted]:
        return seals_wanted(self.follower, self.snapshot, self.version, self.sealed)

    @property
    def files(self) -> dict[str, str]:
        return version_files(self.follower, self.snapshot, self.version, self.sealed)

    def is_given(self, held: Iterable[KeyCopy]) -> bool:
        """Whether it is on record that this host, not one that it took the place of, has its keys."""
        since = self.follower.enrolled
        there = {copy.spki_sha256 for copy in held if not copy.deleted and (since is None or copy.released >= since)}
        return {one.spki_sha256 for one in kept_certificates(self.version, self.snapshot)} <= there

    def copies(self, now: datetime) -> list[KeyCopy]:
        """Of the keys that go with it."""
        given = kept_certificates(self.version, self.snapshot)
        who, line = self.follower, self.snapshot.line.name
        return [KeyCopy(who.id, one.spki_sha256, who.name, line, one.key_type, now) for one in given]


def content(
    services: Services, caller: Caller, name: str, number: int, *, actor: Caller | None = None
) -> VersionContent:
    """`caller` is the follower, `actor` whoever asks for it (the follower itself when left out).

    Raises NotFound, and Refused for a follower that was stopped meanwhile.
    """
    with services.store.read() as records:
        found = _find(records, caller, name, number)
        is_given = found.is_given(records.keys.copies_at(caller, found.follower.id))
    if found.wanted:
        sealed_keys.seal(services, found.follower, found.wanted)
    if found.wanted or not is_given:
        now, by = services.clock.now(), actor or caller

        def work(records: Records) -> _Found:
            """Read anew in the transaction that writes it down: what was withdrawn meanwhile is not given."""
            found = _find(records, caller, name, number)
            if found.wanted:
                raise Unavailable(f"the key of line {name} could not be sealed to {found.follower.name}")
            sealed_keys.release(records, by, found.copies(now))
            return found

        found = services.store.write(work)
        failpoint("key.released")
    return VersionContent(name, number, found.files)


def _find(records: Records, caller: Caller, name: str, number: int) -> _Found:
    line = find_line(records, caller, name)
    version = records.versions.get(caller, line.id, number)
    if version.state not in _GIVEN:
        raise NotFound("version", str(number))
    follower = records.followers.by_id(caller, caller.follower_id or "")
    refuse_unless_active(follower)  # it may have been stopped since the gate let it in
    snapshot = records.lines.snapshot(caller, line.id)
    sealed = records.keys.sealed(caller, follower.id) if snapshot.kept_keys else []
    return _Found(follower, snapshot, version, sealed)
