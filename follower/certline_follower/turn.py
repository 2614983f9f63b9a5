"""One turn of the follower: recover, ask the master, plan, do the steps, tell what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from certline_follower import (
    choosing,
    following,
    handing_back,
    hook_planning,
    hooks,
    installing,
    pauses,
    planning,
    pulling,
    reloading,
    reports,
    rolling,
    rotation,
    side_files,
    steps,
    undoing,
    wishes,
)
from certline_follower.faults import InstallFault
from certline_follower.host import Host, StepFailed, StepRefused, StepVoid, StepWarned, log
from certline_follower.master_client import ManifestAnswer
from certline_follower.master_faults import MasterFault, Unreachable, Untrusted
from certline_follower.planning import Plan
from certline_shared import manifest as manifests
from certline_shared.manifest import BadManifest, Manifest
from certline_shared.messages import read_time

MOST_ROUNDS = 100  # a turn ends by itself; this stops one that would not

_DO: dict[type, Callable[[Host, Any], None]] = {
    wishes.MakeKey: steps.make_key,
    wishes.MakeAhead: steps.make_key,
    wishes.Ask: steps.ask,
    pulling.Pull: steps.pull,
    pulling.Activate: steps.activate,
    choosing.Install: installing.install,
    hook_planning.RunHook: hooks.run,
    planning.Reload: reloading.reload,
    planning.Probe: reloading.probe,
    reports.Report: steps.report,
    planning.Prune: steps.prune,
}
_CHANGES = (wishes.MakeKey, wishes.Ask, pulling.Pull, choosing.Install, hook_planning.RunHook, planning.Reload)


@dataclass(slots=True)
class Outcome:
    """What came of a turn."""

    news: bool = False  # the manifest changed
    polled: float = 0.0  # seconds until the master answered
    retry_after: int | None = None  # seconds, from a master that could not hold the request open
    done: list[planning.Step] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # of steps that were done all the same
    notes: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    held_back: bool = False  # something is owed and not due yet
    next_look: datetime | None = None
    lost: bool = False  # the turn broke off: the host itself cannot do its part
    away: MasterFault | None = None  # why the master's word could not be had

    @property
    def changed(self) -> bool:
        return any(isinstance(step, _CHANGES) and not wishes.is_upkeep(step) for step in self.done)


def insist(host: Host) -> None:
    """Somebody asks: the next turn tries at once all that would wait for its time."""
    host.save(pauses.all_ended(host.state))


def turn(host: Host, wait: int = 0) -> Outcome:
    """One turn; the master may hold its answer up to `wait` seconds. Raises StateError."""
    outcome = Outcome()
    _try(host, outcome, rotation.settle)
    began = host.clock.monotonic()
    try:
        answer = _ask_master(host, wait)
        outcome.news, outcome.retry_after = answer.signed is not None, answer.retry_after
    except MasterFault as fault:
        outcome.away = fault
    outcome.polled = host.clock.monotonic() - began
    work(host, outcome)
    if outcome.away is None and not outcome.failures:
        _try(host, outcome, rotation.forget_former)
    return outcome


def preview(host: Host) -> tuple[Plan, MasterFault | None]:
    """What a turn that somebody asks for would do now, and why the master could not be asked, if so; does nothing."""
    away: MasterFault | None = None
    insist(host)
    try:
        _ask_master(host, 0)
    except MasterFault as fault:
        away = fault
    return _plan(host), away


def _ask_master(host: Host, wait: int) -> ManifestAnswer:
    """Learn the manifest, if it changed. Raises MasterFault."""
    with host.interruptible():
        answer = host.client.manifest(host.state.etag if host.manifest else None, wait)
    host.keeper.note_contact()
    if answer.signed is None:
        return answer
    signed, etag, manifest = answer.signed, answer.etag, _believed(host, answer.signed)
    if not host.keeper.read_only and handing_back.hand_back(host, manifest):
        again = host.client.manifest(None)
        if again.signed is not None:
            signed, etag, manifest = again.signed, again.etag, _believed(host, again.signed)
    following.follow(host, manifest, signed, etag)
    return answer


def _believed(host: Host, signed: manifests.SignedManifest) -> Manifest:
    """Raises Untrusted."""
    offered = 0
    try:
        manifest = following.opened(host, signed)
        offered = manifest.serial
        following.check_versions(host, manifest)
    except BadManifest as error:
        if isinstance(error, manifests.Rollback) and not host.keeper.read_only:
            handing_back.tell_behind(host, offered)
        raise Untrusted(f"the manifest is refused: {error}") from None
    return manifest


def work(host: Host, outcome: Outcome) -> None:
    """Plan and do, stage by stage, until nothing is left that was not tried in this turn. Raises StateError."""
    tried: set[str] = set()
    _try(host, outcome, lambda host: host.installer.recover())
    _try(host, outcome, undoing.finish_going_back)
    _try(host, outcome, rolling.keep_up)
    for _ in range(MOST_ROUNDS):
        plan = _plan(host, reachable=outcome.away is None)
        steps = [step for step in plan.steps if _name(step) not in tried]
        stage = planning.next_stage(steps)
        if not stage:
            break
        for step in stage:
            tried.add(_name(step))
            if _is_for_later(step, outcome):
                continue
            if isinstance(step, choosing.Install):  # what it makes owed is owed anew
                tried = {name for name in tried if not name.startswith("reload ")}
            _do(host, outcome, step)
    _keep_waits(host, plan)
    _conclude(outcome, plan)
    if any(isinstance(one, wishes.MakeAhead) for one in outcome.done):
        outcome.next_look = host.now()  # there may be more of them to make


def _is_for_later(step: planning.Step, outcome: Outcome) -> bool:
    """RSA keys take seconds: of those for later each turn makes one, so that no other work waits for them all."""
    made = [one for one in outcome.done if isinstance(one, wishes.MakeAhead) and one.key_type.startswith("rsa")]
    return isinstance(step, wishes.MakeAhead) and step.key_type.startswith("rsa") and bool(made)


def _keep_waits(host: Host, plan: Plan) -> None:
    """For `status`."""
    state = host.state
    for line in host.settings.lines:
        held, wait = state.line(line.name), plan.waits.get(line.name)
        state = state if held.wait == wait else state.with_line(line.name, replace(held, wait=wait))
    host.save(state)


def _plan(host: Host, *, reachable: bool = True) -> Plan:
    live = host.installer.live()
    facts = live.facts if live else {}
    starts = {name: [read_time(one.not_before) for one in types if one.not_before] for name, types in facts.items()}
    ends = {name: [read_time(one.not_after) for one in types if one.not_after] for name, types in facts.items()}
    found = planning.Found(
        host.installer.astray(),
        {name: max(moments) for name, moments in starts.items() if moments},
        {name: min(moments) for name, moments in ends.items() if moments},
        host.client.skew(),
        host.forced,
        {name: frozenset(one.key_type for one in types) for name, types in facts.items()},
        host.quiet,
        side_files.marks(host.settings, side_files.read(host.settings)),
    )
    return planning.plan(host.settings, host.state, host.manifest, host.now(), reachable=reachable, found=found)


def _name(step: planning.Step) -> str:
    """What makes a step the same step, tried once in a turn."""
    match step:
        case choosing.Install():
            return f"install {step.tag} {sorted(step.versions.items())}"
        case hook_planning.RunHook():
            return f"hook {step.tag}"
        case planning.Reload():
            return f"reload {step.service} {step.generation}"
    return repr(step)


def _do(host: Host, outcome: Outcome, step: planning.Step) -> None:
    def act(host: Host) -> None:
        try:
            _DO[type(step)](host, step)
        except StepWarned as warned:
            outcome.warnings.append(str(warned))
            log.warning("%s", warned)
        outcome.done.append(step)
        log.info("%s", planning.words(step), extra={"reason": step.reason})

    _try(host, outcome, act)


def _try(host: Host, outcome: Outcome, act: Callable[[Host], None]) -> None:
    """A failure of one line is told and blocks no other."""
    try:
        act(host)
    except Unreachable as fault:
        outcome.away = fault
    except StepVoid:
        return
    except StepRefused as refused:
        log.warning("%s", refused)
    except (StepFailed, MasterFault, InstallFault, OSError) as fault:
        outcome.failures.append(str(fault))
        log.warning("%s", fault)


def _conclude(outcome: Outcome, plan: Plan) -> None:
    outcome.notes = plan.notes
    outcome.waiting = plan.waiting
    outcome.refused = plan.refused
    outcome.held_back = plan.held_back
    outcome.next_look = plan.next_look
