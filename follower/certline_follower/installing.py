"""The step that changes what services see: installing a generation."""

from collections.abc import Sequence
from dataclasses import replace

from certline_follower import hook_causes, reloading, undoing
from certline_follower.choosing import Install
from certline_follower.faults import InstallFault
from certline_follower.generation import LineMaterial
from certline_follower.host import Host, StepFailed
from certline_follower.rendering import render
from certline_follower.settings import LineSettings
from certline_follower.state import Pending, Shown, State, VersionRef, swapped
from certline_shared.failpoints import failpoint
from certline_shared.keys import KeyType

FAILPOINTS = (
    "install.intended",
    "install.swapped",
    *reloading.FAILPOINTS,
    *undoing.FAILPOINTS,
)


def install(host: Host, step: Install) -> None:
    """Make the generation live; the reloads that this makes owed are on record before the swap."""
    try:
        generation = render(_materials(host, step), host.settings, host.installer.next_number())
        number = host.installer.number_of(generation)
        debts = {service: reloading.debt(host, number, service, lines) for service, lines in step.services.items()}
        shown = Shown(number, step.versions, step.tags, step.tag)
        pending = Pending(shown, debts, happenings=hook_causes.made_by(host, generation))
        host.save(replace(host.state, pending=pending))
        failpoint("install.intended")
        changed = host.installer.install(generation, step.left)
    except (InstallFault, OSError, ValueError) as error:
        host.save(_after_fault(host, step, str(error)))
        raise StepFailed(f"not installed ({step.reason}): {error}") from None
    failpoint("install.swapped")
    host.save(_after_install(host, step, changed=changed))


def _after_fault(host: Host, step: Install, error: str) -> State:
    """What was live is live; or this generation, if the fault came after the swap: then its reloads wait."""
    state, live = host.state, host.installer.live()
    failed = {**state.failed, step.tag: host.later(state.failed.get(step.tag), error)}
    swap = state.pending and live and live.number == state.pending.shown.generation and not state.shows(live.number)
    if not state.pending or not swap:
        return replace(state, pending=None, failed=failed)
    waiting = {name: replace(debt, retry=host.later(None, error)) for name, debt in state.pending.debts.items()}
    return swapped(replace(state, pending=replace(state.pending, debts=waiting)))


def _after_install(host: Host, step: Install, *, changed: bool) -> State:
    """Not `changed`: the same content was live, and all its outputs in place."""
    state, now = host.state, host.now()
    failed = {tag: retry for tag, retry in state.failed.items() if tag != step.tag and not retry.is_due(now)}
    if not changed and state.pending:
        state = replace(state, pending=replace(state.pending, debts={}))
    return replace(swapped(state), failed=failed)


def _materials(host: Host, step: Install) -> list[LineMaterial]:
    """Of each line the pulled version, or what is live. Raises ValueError, OSError."""
    live = host.installer.materials()
    lines = {line.name: line for line in host.settings.lines}
    found = [_of_line(host, lines[name], version, live.get(name, ())) for name, version in step.versions.items()]
    return [one for types in found for one in types]


def _of_line(
    host: Host, line: LineSettings, version: VersionRef, live: Sequence[LineMaterial]
) -> Sequence[LineMaterial]:
    """One for each key type; where they need not go together, what is live of a type that the version lacks."""
    if version.same(host.state.installed(line.name)) and live:
        return [one for one in live if one.key_type in line.key_types] or live
    types = [one for one in line.key_types if line.together or host.material.can_install(line.name, version, one)]
    left = [one for one in live if one.key_type in line.key_types and one.key_type not in types]
    return [*(_material(host, line.name, version, one) for one in types), *left]


def _material(host: Host, name: str, version: VersionRef, key_type: KeyType) -> LineMaterial:
    chain = host.material.chain(name, version, key_type)
    copy = host.material.copy_pem(name, version, key_type)
    key = copy if copy is not None else host.material.key_pem(name, key_type)
    return LineMaterial(name, version.number, key_type, key, chain, is_copy=copy is not None)
