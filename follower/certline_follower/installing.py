"""The step that changes what services see: installing a generation."""

from dataclasses import replace

from certline_follower import gathering, hook_causes, reloading, rolling, side_files, undoing
from certline_follower.choosing import Install
from certline_follower.faults import InstallFault
from certline_follower.host import Host, StepFailed, log
from certline_follower.rendering import render
from certline_follower.state import Pending, Shown, State, swapped
from certline_shared.failpoints import failpoint

FAILPOINTS = (
    "install.intended",
    "install.swapped",
    *reloading.FAILPOINTS,
    *undoing.FAILPOINTS,
)


def install(host: Host, step: Install) -> None:
    """Make the generation live; the reloads that this makes owed are on record before the swap."""
    try:
        side, made = side_files.read(host.settings), host.installer.made()
        generation = render(gathering.materials(host, step), host.settings, host.installer.next_number(), side, made)
        number = host.installer.number_of(generation)
        debts = {service: reloading.debt(host, number, service, lines) for service, lines in step.services.items()}
        shown = Shown(number, step.versions, step.tags, step.tag)
        pending = Pending(shown, debts, happenings=hook_causes.made_by(host, generation))
        host.save(replace(host.state, pending=pending))
        failpoint("install.intended")
        said = _said(host)
        changed = host.installer.install(generation, step.left)
    except (InstallFault, OSError, ValueError) as error:
        host.save(_after_fault(host, step, str(error)))
        raise StepFailed(f"not installed ({step.reason}): {error}") from None
    failpoint("install.swapped")
    for text in generation.left_out:
        if text not in said:
            log.warning("%s", text)
    host.save(_after_install(host, step, changed=changed))
    rolling.roll_on(host)


def _said(host: Host) -> tuple[str, ...]:
    """What the operator knows of outputs that cannot be written."""
    live = host.installer.live()
    return live.left_out if live else ()


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
