"""A follower's manifest as it stands: read from the store, given its serial when it changed, signed."""

from dataclasses import dataclass, replace

from certline_master.api.services import Services
from certline_master.domain.access import Caller
from certline_master.domain.placement import manifest_of
from certline_shared.manifest import Manifest, content_tag, sign, to_wire


@dataclass(frozen=True, slots=True)
class Look:
    """A manifest with the entity tag of its content; `stored_tag` is the tag that its serial was given for."""

    manifest: Manifest
    tag: str
    stored_tag: str | None


def look(services: Services, caller: Caller) -> Look:
    """What this follower is to hold now."""
    follower_id = caller.follower_id or ""
    with services.store.read() as records:
        follower = records.followers.by_id(caller, follower_id)
        snapshots = records.lines.snapshots(caller, [line.id for line in records.lines.all(caller)])
    manifest = manifest_of(follower, snapshots, services.identity.trust, now=services.clock.now())
    return Look(manifest, content_tag(manifest), follower.manifest_tag)


def signed_body(services: Services, caller: Caller, seen: Look) -> bytes:
    """The wire form. A content that differs from the last one written down gets the next serial first."""
    manifest, follower_id = seen.manifest, caller.follower_id or ""
    if seen.tag != seen.stored_tag:
        serial = services.store.write(lambda records: records.followers.set_manifest(caller, follower_id, tag=seen.tag))
        manifest = replace(manifest, serial=serial)
    return to_wire(sign(manifest, services.identity.private))
