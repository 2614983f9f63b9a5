"""One turn of the follower: recover, ask the master, plan, do the steps, tell what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from certline_follower import (
    choosing,
    copies,
    following,
    handing_back,
    hook_planning,
    hooks,
    installing,
    pauses,
    planning,
    reloading,
    reports,
    rotation,
    steps,
    undoing,
    wishes,
)
from certline_follower.faults import InstallFault
from certline_follower.host import Host, StepFailed, StepRefused, StepVoid, StepWarned, log
from certline_follower.master_client import ManifestAnswer
from certline_follower.master_faults import MasterFault, Unreachable, Untrusted
from certline_follower.planning import Plan
from certline_follower.state import HeldLine, State, settled
from certline_shared import manifest as manifests
from certline_shared.manifest import BadManifest, Manifest
from certline_shared.messages import read_time

MOST_ROUNDS = 100  # a turn ends by itself; this stops one that would not

_DO: dict[type, Callable[[Host, Any], None]] = {
    wishes.MakeKey: steps.make_key,
    wishes.Ask: steps.ask,
    planning.Pull: steps.pull,
    choosing.Install: installing.install,
    hook_planning.RunHook: hooks.run,
    planning.Reload: reloading.reload,
    planning.Probe: reloading.probe,
    reports.Report: steps.report,
    planning.Prune: steps.prune,
}
_CHANGES = (wishes.MakeKey, wishes.Ask, planning.Pull, choosing.Install, hook_planning.RunHook, planning.Reload)


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
        return any(isinstance(step, _CHANGES) for step in self.done)


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
    host.save(pauses.ended_by_settings(_checked(host, state, notes), host.settings))
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
    prune = state.prune or bool(host.installer.spare()) or copies.left_over(host, host.settings)
    host.save(replace(state, prune=prune))
    return [
        f"{one.path} still holds the key of line {one.line}, which the master keeps, and is no output any more: "
        "remove it once nothing reads it"
        for one in host.installer.leftovers()
    ]


def insist(host: Host) -> None:
    """Somebody asks: the next turn tries at once all that would wait for its time."""
    host.save(pauses.all_ended(host.state))


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


def _checked(host: Host, state: State, notes: list[str]) -> State:
    """The state without keys and pulled files that are gone from disk, and with keys that it did not know."""
    for line in host.settings.lines:
        held = state.line(line.name)
        known = dict(held.keys)
        on_disk = host.material.key_types(line.name)
        for kind in on_disk - set(known):
            try:
                known[kind] = host.material.make_key(line.name, kind)
            except (OSError, ValueError) as error:
                notes.append(f"line {line.name}: its {kind} key cannot be read: {error}")
        known = {kind: pin for kind, pin in known.items() if kind in on_disk}
        pulled = held.pulled
        if pulled and not pulled.same(state.installed(line.name)) and not host.material.has_version(line.name, pulled):
            pulled = None
        if known != held.keys or pulled != held.pulled:
            state = state.with_line(line.name, replace(held, keys=known, pulled=pulled))
    return state


def _kept_manifest(host: Host) -> Manifest | None:
    """The manifest last followed, for while the master is away."""
    if not host.state.manifest:
        return None
    try:
        return following.opened(host, manifests.from_wire(host.state.manifest))
    except BadManifest:
        return None  # asked for anew


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
    try:
        manifest = following.opened(host, signed)
        following.check_versions(host, manifest)
    except BadManifest as error:
        if isinstance(error, manifests.Rollback) and not host.keeper.read_only:
            handing_back.tell_behind(host)
        raise Untrusted(f"the manifest is refused: {error}") from None
    return manifest


def work(host: Host, outcome: Outcome) -> None:
    """Plan and do, stage by stage, until nothing is left that was not tried in this turn. Raises StateError."""
    tried: set[str] = set()
    _try(host, outcome, lambda host: host.installer.recover())
    _try(host, outcome, undoing.finish_going_back)
    for _ in range(MOST_ROUNDS):
        plan = _plan(host, reachable=outcome.away is None)
        steps = [step for step in plan.steps if _name(step) not in tried]
        stage = planning.next_stage(steps)
        if not stage:
            break
        for step in stage:
            if isinstance(step, choosing.Install):  # what it makes owed is owed anew
                tried = {name for name in tried if not name.startswith("reload ")}
            tried.add(_name(step))
            _do(host, outcome, step)
    _keep_waits(host, plan)
    _conclude(outcome, plan)


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
