"""A follower's manifest as it stands: read from the store, given its serial when it changed, signed."""

from dataclasses import dataclass, replace

from certline_master.api import polls, sealed_keys
from certline_master.api.callers import refuse_unless_active
from certline_master.api.offers import with_offers
from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_master.domain.custody import SealedKey
from certline_master.domain.model import Follower, LineSnapshot
from certline_master.domain.placement import manifest_of, offered_version, version_to_stage
from certline_master.domain.ports import Records
from certline_master.domain.sealed_files import SealWanted, seals_wanted
from certline_shared.manifest import Manifest, content_tag, sign, to_wire


@dataclass(frozen=True, slots=True)
class Look:
    """A manifest with the entity tag of its content; `stored_tag` is the tag that its serial was given for."""

    manifest: Manifest
    tag: str
    stored_tag: str | None
    follower: Follower
    unsealed: tuple[SealWanted, ...] = ()  # keys that its lines wait for
    steady: bool = True  # nothing in it depends on the time


def news(services: Services, caller: Caller, known: str | None) -> Look | None:
    """What this follower is to hold now; None where that is what it knows, by its entity tag. Raises Refused."""
    follower_id, now = caller.follower_id or "", services.clock.now()
    with services.store.read() as records:
        basis = polls.basis(services, polls.mark_of(records))
    if known and services.told.still(follower_id, known, basis, now):
        return None
    seen = look(services, caller)  # after the mark was read: what changes in between has another one
    if seen.steady:
        services.told.note(follower_id, seen.tag, basis, now)
    return None if seen.tag == known else seen


def look(services: Services, caller: Caller) -> Look:
    """What this follower is to hold now; keys that are not sealed to it yet are. Raises Refused when it was revoked or
    suspended while it waited.
    """
    with services.store.read() as records:
        seen = _look(services, caller, records)
    if not seen.unsealed:
        return seen
    sealed_keys.seal(services, seen.follower, seen.unsealed)
    with services.store.read() as records:
        return _look(services, caller, records)


def with_serial(services: Services, caller: Caller, seen: Look) -> Look:
    """The same, or what it has become meanwhile, under the serial of its content: a new content gets the next one.

    Content and serial are read and written in one transaction, so that an older content never has the higher serial.
    A version that went live in between, with a key that is not sealed yet, is for the next look.
    """

    def work(records: Records) -> Look | None:
        now = _look(services, caller, records)
        if set(now.unsealed) - set(seen.unsealed):
            return None
        serial = records.followers.set_manifest(caller, now.manifest.follower_id, tag=now.tag)
        return replace(now, manifest=replace(now.manifest, serial=serial), stored_tag=now.tag)

    while seen.tag != seen.stored_tag:
        written = services.store.write(work)
        if written is not None:
            return written
        seen = look(services, caller)
    return seen


def signed_body(services: Services, seen: Look) -> bytes:
    """The wire form."""
    return to_wire(sign(seen.manifest, services.identity.private))


def _look(services: Services, caller: Caller, records: Records) -> Look:
    follower = records.followers.by_id(caller, caller.follower_id or "")
    refuse_unless_active(follower)
    snapshots = records.lines.snapshots(caller, [line.id for line in records.lines.all(caller)])
    now = services.clock.now()
    offered = with_offers(records, follower, snapshots, now)
    kept = any(snapshot.kept_keys for snapshot in offered)
    sealed = records.keys.sealed(caller, follower.id) if kept else []
    unsealed = [one for snapshot in offered for one in _seals_wanted(follower, snapshot, sealed)]
    manifest = manifest_of(follower, offered, services.identity.trust, now=now, sealed=sealed)
    steady = not any(snapshot.line.rollout for snapshot in snapshots)
    return Look(manifest, content_tag(manifest), follower.manifest_tag, follower, tuple(unsealed), steady)


def _seals_wanted(follower: Follower, snapshot: LineSnapshot, sealed: list[SealedKey]) -> list[SealWanted]:
    wanted = (offered_version(snapshot), version_to_stage(snapshot))
    return [one for version in wanted for one in seals_wanted(follower, snapshot, version, sealed)]
