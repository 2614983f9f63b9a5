"""A follower's manifest as it stands: read from the store, given its serial when it changed, signed."""

from dataclasses import dataclass, replace

from certline_master.api.callers import refuse_unless_active
from certline_master.api.offers import with_offers
from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_master.domain.placement import manifest_of
from certline_master.domain.ports import Records
from certline_shared.manifest import Manifest, content_tag, sign, to_wire


@dataclass(frozen=True, slots=True)
class Look:
    """A manifest with the entity tag of its content; `stored_tag` is the tag that its serial was given for."""

    manifest: Manifest
    tag: str
    stored_tag: str | None


def look(services: Services, caller: Caller) -> Look:
    """What this follower is to hold now. Raises Refused when it was revoked or suspended while it waited."""
    with services.store.read() as records:
        return _look(services, caller, records)


def with_serial(services: Services, caller: Caller, seen: Look) -> Look:
    """The same, or what it has become meanwhile, under the serial of its content: a new content gets the next one.

    Content and serial are read and written in one transaction, so that an older content never has the higher serial.
    """

    def work(records: Records) -> Look:
        now = _look(services, caller, records)
        serial = records.followers.set_manifest(caller, now.manifest.follower_id, tag=now.tag)
        return Look(replace(now.manifest, serial=serial), now.tag, now.tag)

    return seen if seen.tag == seen.stored_tag else services.store.write(work)


def signed_body(services: Services, seen: Look) -> bytes:
    """The wire form."""
    return to_wire(sign(seen.manifest, services.identity.private))


def _look(services: Services, caller: Caller, records: Records) -> Look:
    follower = records.followers.by_id(caller, caller.follower_id or "")
    refuse_unless_active(follower)
    snapshots = records.lines.snapshots(caller, [line.id for line in records.lines.all(caller)])
    now = services.clock.now()
    offered = with_offers(records, follower, snapshots, now)
    manifest = manifest_of(follower, offered, services.identity.trust, now=now)
    return Look(manifest, content_tag(manifest), follower.manifest_tag)
