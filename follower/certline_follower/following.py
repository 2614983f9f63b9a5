"""Following a manifest: by whom it is signed, for whom, and that it does not lead back."""

from dataclasses import replace
from datetime import datetime

from certline_follower import custody, hook_causes
from certline_follower.host import Host
from certline_follower.state import State
from certline_shared import manifest as manifests
from certline_shared.manifest import Manifest, SignedManifest


def opened(host: Host, signed: SignedManifest, *, now: datetime | None = None) -> Manifest:
    """The manifest, if this host may follow it. Raises BadManifest.

    Expiry is asked only of one that came by file, with `now`: online, the answer that brought it was fresh by its nonce
    (protocol, section 6).
    """
    floor = max(host.state.epoch, host.identity.epoch)
    manifest = manifests.open_signed(
        signed,
        keys=host.identity.signing_keys,
        follower_id=host.identity.follower_id,
        epoch=floor,
        serial=host.state.serial if host.state.epoch == floor else 0,
        now=now,
    )
    return replace(manifest, lines=manifest.rehearsals) if host.settings.rehearsal else manifest


def check_versions(host: Host, manifest: Manifest) -> None:
    """No line goes back unmarked within an epoch. Raises BadManifest."""
    if host.manifest and host.manifest.epoch == manifest.epoch:
        seen = {line.name: line.version for line in host.manifest.lines if line.version is not None}
        manifests.check_versions(manifest, seen)


def follow(host: Host, manifest: Manifest, signed: SignedManifest, etag: str | None) -> None:
    """From now on this one counts; it is on disk before anything that it asks for is done. Raises StateError."""
    restored = manifest.epoch > host.state.epoch
    owed = hook_causes.told_by(host, manifest)
    host.learn(manifest)
    state = replace(
        host.state,
        epoch=manifest.epoch,
        serial=manifest.serial,
        etag=etag,
        manifest=manifests.to_wire(signed),
        happenings=owed,
    )
    host.save(custody.own_keys_spent(untold(state) if restored else state, manifest))


def untold(state: State) -> State:
    """As if the master had been told nothing of it yet: what it heard before may be lost."""
    lines = {name: replace(line, reported=None, told_staged=None) for name, line in state.lines.items()}
    return replace(state, lines=lines, told_copies=None)
