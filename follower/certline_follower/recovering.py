"""What is done at each start: finish or undo what a kill left, and rebuild what was lost."""

from dataclasses import replace

from certline_follower import copies, following, pauses, rolling
from certline_follower.host import Host
from certline_follower.state import HeldLine, State, settled
from certline_shared import manifest as manifests
from certline_shared.manifest import BadManifest, Manifest


def recover(host: Host) -> list[str]:
    """Read the state, finish or undo what a kill left, and rebuild what was lost; notes for the operator.

    To be called at each start. Raises StateError for a state of a newer version, InstallFault.
    """
    note = host.keeper.load()
    notes = [note] if note else []
    host.save(_of_identity(host))
    if not host.keeper.read_only:
        host.installer.recover()
    live = host.installer.live()
    state = settled(host.state, live.number if live else None, live.lines if live else {})
    host.save(pauses.ended_by_settings(_with_pulled(host, state), host.settings))
    notes += rolling.mended(host)
    notes += _look_at_copies(host)
    host.manifest = _kept_manifest(host)
    return notes


def _look_at_copies(host: Host) -> list[str]:
    """Keys from the master that a kill, or a line that left the file, made to be in the way go with the next prune.

    Notes about those that only the operator can remove.
    """
    if host.keeper.read_only:
        return []
    host.material.sweep()
    state = copies.counted(host)
    is_old = bool(host.installer.spare()) or host.installer.has_overdue()
    prune = state.prune or is_old or copies.left_over(host, host.settings)
    host.save(replace(state, prune=prune))
    return [
        f"{one.path} still holds the key of line {one.line}, which the master keeps, and is no output any more: "
        "remove it once nothing reads it"
        for one in host.installer.leftovers()
    ]


def _of_identity(host: Host) -> State:
    """The state, as far as it is of use to the identity; an enrolment proved the master, whatever life it has now."""
    state, follower = host.state, host.identity.follower_id
    mark = host.identity.mark
    if state.follower_id != follower:
        return State(follower_id=follower, identity=mark)
    if state.identity == mark:
        return state
    lines = {name: HeldLine(keys=line.keys, spent=line.spent) for name, line in state.lines.items()}
    return replace(state, identity=mark, epoch=0, serial=0, etag=None, manifest=b"", lines=lines, told_copies=None)


def _with_pulled(host: Host, state: State) -> State:
    """The state without pulled files that are gone from disk."""
    for line in host.settings.lines:
        held, has = state.line(line.name), host.material.has_version
        pulled, staged = held.pulled, held.staged
        if pulled and not pulled.same(state.installed(line.name)) and not has(line.name, pulled):
            pulled = None
        if staged and not has(line.name, staged.version):
            staged = None
        if (pulled, staged) != (held.pulled, held.staged):
            state = state.with_line(line.name, replace(held, pulled=pulled, staged=staged))
    return state


def _kept_manifest(host: Host) -> Manifest | None:
    """The manifest last followed, for while the master is away."""
    if not host.state.manifest:
        return None
    try:
        return following.opened(host, manifests.from_wire(host.state.manifest))
    except BadManifest:
        return None  # asked for anew
