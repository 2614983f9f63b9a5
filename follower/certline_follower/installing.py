"""The steps that change what services see: installing a generation, reloading, and going back when that fails."""

from collections.abc import Mapping
from dataclasses import replace

from certline_follower import planning, services
from certline_follower.faults import InstallFault
from certline_follower.generation import LineMaterial, render
from certline_follower.host import Host, StepFailed
from certline_follower.settings import Service
from certline_follower.state import Debt, HeldBack, Pending, Shown, State, VersionRef, swapped
from certline_shared.failpoints import failpoint
from certline_shared.keys import KeyType

FAILPOINTS = (
    "install.intended",
    "install.swapped",
    "service.reloading",
    "service.reloaded",
    "install.going_back",
    "install.went_back",
)


def install(host: Host, step: planning.Install) -> None:
    """Make the generation live; the reloads that this makes owed are on record before the swap."""
    try:
        generation = render(_materials(host, step), host.settings, host.installer.next_number())
        number = host.installer.number_of(generation)
        debts = {service: _debt(host, number, service, lines) for service, lines in step.services.items()}
        shown = Shown(number, step.versions, step.tags)
        host.save(replace(host.state, pending=Pending(shown, debts)))
        failpoint("install.intended")
        changed = host.installer.install(generation)
    except (InstallFault, OSError, ValueError) as error:
        host.save(_after_fault(host, step, str(error)))
        raise StepFailed(f"not installed ({step.reason}): {error}") from None
    failpoint("install.swapped")
    host.save(_after_install(host, step, changed=changed))


def _after_fault(host: Host, step: planning.Install, error: str) -> State:
    """What was live is live; or this generation, if the fault came after the swap: then its reloads wait."""
    state, live = host.state, host.installer.live()
    failed = {**state.failed, step.tag: host.later(state.failed.get(step.tag), error)}
    swap = state.pending and live and live.number == state.pending.shown.generation and not state.shows(live.number)
    if not state.pending or not swap:
        return replace(state, pending=None, failed=failed)
    waiting = {name: replace(debt, retry=host.later(None, error)) for name, debt in state.pending.debts.items()}
    return swapped(replace(state, pending=replace(state.pending, debts=waiting)))


def _after_install(host: Host, step: planning.Install, *, changed: bool) -> State:
    """Not `changed`: the same content was live, and all its outputs in place."""
    state, now = host.state, host.now()
    failed = {tag: retry for tag, retry in state.failed.items() if tag != step.tag and not retry.is_due(now)}
    if not changed and state.pending:
        state = replace(state, pending=replace(state.pending, debts={}))
    return replace(swapped(state), failed=failed)


def _materials(host: Host, step: planning.Install) -> list[LineMaterial]:
    """Of each line the pulled version, or what is live. Raises ValueError, OSError."""
    live = host.installer.materials()
    types = {line.name: line.key_type for line in host.settings.lines}
    return [_material(host, name, version, types[name], live) for name, version in step.versions.items()]


def _material(
    host: Host, name: str, version: VersionRef, key_type: KeyType, live: Mapping[str, LineMaterial]
) -> LineMaterial:
    if version.same(host.state.installed(name)) and name in live:
        return live[name]
    chain = host.material.chain(name, version, key_type)
    copy = host.material.copy_pem(name, version, key_type)
    key = copy if copy is not None else host.material.key_pem(name, key_type)
    return LineMaterial(name, version.number, key_type, key, chain, is_copy=copy is not None)


def _debt(host: Host, generation: int, name: str, lines: tuple[str, ...]) -> Debt:
    """A service whose check fails before the swap already is not blamed on the new version."""
    service = host.settings.services[name]
    before = services.run(service, "check", env=_environment(name, lines))
    well = (before is None or before.ok) and not host.state.shows(generation)
    former = host.state.debts.get(name)
    owed = tuple(dict.fromkeys((*(former.lines if former else ()), *lines)))
    return Debt(generation, owed, may_go_back=well and service.on_failure == "rollback")


def _environment(service: str, lines: tuple[str, ...]) -> Mapping[str, str]:
    return {"CERTLINE_SERVICE": service, "CERTLINE_LINES": " ".join(lines)}


def reload(host: Host, step: planning.Reload) -> None:
    """Check and reload one service; on failure go back to the former generation where that is the service's wish."""
    state = host.state
    debt, service = state.debts[step.service], host.settings.services.get(step.service)
    error = _check_and_reload(service, debt) if service else None
    if error is None:
        host.save(_paid(state, step.service))
        return
    if debt.may_go_back and state.former and state.live and state.live.generation == debt.generation:
        go_back(host, debt, f"service {step.service}: {error}")
        raise StepFailed(f"service {step.service}: {error}; the former generation is back")
    debts = {**state.debts, step.service: replace(debt, retry=host.later(debt.retry, error), may_go_back=False)}
    host.save(replace(state, debts=debts))
    raise StepFailed(f"service {step.service}: {error}")


def _check_and_reload(service: Service, debt: Debt) -> str | None:
    """What went wrong, or None."""
    environment = _environment(service.name, debt.lines)
    check = services.run(service, "check", env=environment)
    if check and not check.ok:
        return f"its check failed: {check.detail}"
    failpoint("service.reloading")
    done = services.run(service, "reload", env=environment)
    failpoint("service.reloaded")
    return f"its reload failed: {done.detail}" if done and not done.ok else None


def _paid(state: State, service: str) -> State:
    """The debt is gone; versions that were held back and are well now are no longer."""
    debts = {name: debt for name, debt in state.debts.items() if name != service}
    lines = {
        name: replace(line, held_back=None)
        if line.held_back and line.held_back.version.same(state.installed(name))
        else line
        for name, line in state.lines.items()
    }
    return replace(state, debts=debts, lines=lines)


def go_back(host: Host, debt: Debt, error: str) -> None:
    """Put the former generation back; what is blamed is on record before, so that it is not tried again at once."""
    state = _blamed(host, debt, error)
    live, former = state.live, state.former
    if live is None or former is None:
        raise StepFailed(f"{error}; there is no former generation")
    changed = {name for name in live.tags if live.tags[name] != former.tags.get(name)}
    users: dict[str, tuple[str, ...]] = {}
    for line in host.settings.lines:
        for service in line.services if line.name in changed else ():
            users[service] = (*users.get(service, ()), line.name)
    debts = {service: Debt(former.generation, lines) for service, lines in users.items()}
    host.save(replace(state, pending=Pending(former, debts, back=True)))
    failpoint("install.going_back")
    finish_going_back(host)


def _blamed(host: Host, debt: Debt, error: str) -> State:
    """The changed versions of the debt's lines are held back; where only the settings changed, the generation is."""
    state = host.state
    live = state.live or Shown(0)
    before = state.former.versions if state.former else {}
    versions = {name: live.versions[name] for name in debt.lines if name in live.versions}
    new = {name: version for name, version in versions.items() if not version.same(before.get(name))}
    for name, version in new.items():
        line = state.line(name)
        same = line.held_back.retry if line.held_back and line.held_back.version.same(version) else None
        state = state.with_line(name, replace(line, held_back=HeldBack(version, host.later(same, error))))
    if new:
        return state
    tag = planning.generation_tag(live.tags)
    return replace(state, failed={**state.failed, tag: host.later(state.failed.get(tag), error)})


def finish_going_back(host: Host) -> None:
    """Do the rollback that is on record. Raises StepFailed, then what is live stays and its debts are tried again."""
    pending = host.state.pending
    if pending is None or not pending.back:
        return
    try:
        host.installer.rollback_to(pending.shown.generation)
    except (InstallFault, OSError) as error:
        debts = {
            name: replace(debt, retry=host.later(debt.retry, str(error))) for name, debt in host.state.debts.items()
        }
        host.save(replace(host.state, pending=None, former=None, debts=debts))
        raise StepFailed(f"the former generation could not be put back: {error}") from None
    failpoint("install.went_back")
    host.save(swapped(host.state))
