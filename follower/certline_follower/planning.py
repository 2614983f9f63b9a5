"""The follower's plan: from what is wanted and what is held to ordered steps with reasons. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile

from certline_follower.choosing import Draft, Install, installations
from certline_follower.custody import MASTER
from certline_follower.hook_planning import HookPlan, RunHook, hook_plan
from certline_follower.pulling import Activate, Pull, as_of, pulls
from certline_follower.reports import Report, report_of, unseen
from certline_follower.settings import LineSettings, Settings
from certline_follower.state import State, Wait
from certline_follower.wishes import Ask, MakeAhead, MakeKey, next_types, wish_of
from certline_shared.key_types import KeyType
from certline_shared.manifest import Manifest, ManifestLine
from certline_shared.messages import time_text

WRONG = 30  # seconds by which a clock may be off without a word


@dataclass(frozen=True, slots=True)
class Reload:
    """Check and reload a service that is owed it."""

    service: str
    generation: int  # the cause
    reason: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Look whether a service serves what is installed of these lines."""

    service: str
    lines: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Prune:
    """Remove generations and cached versions that nothing needs."""

    reason: str


Step = MakeKey | MakeAhead | Ask | Pull | Activate | Install | RunHook | Reload | Probe | Report | Prune


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in their order, what an operator should know, and when to look again without being told."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    waiting: tuple[str, ...]  # lines that have no version yet and may still get one
    refused: tuple[str, ...]  # lines that the master refuses, or does not grant
    held_back: bool  # something failed before and waits for its time
    next_look: datetime | None
    waits: Mapping[str, Wait]  # line -> until when its pulled version is not installed


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the host shows, beside its own records."""

    astray: Mapping[str, str] = field(default_factory=dict)  # line -> which output is not as it was left
    starts: Mapping[str, datetime] = field(default_factory=dict)  # line -> from when on its certificate is valid
    ends: Mapping[str, datetime] = field(default_factory=dict)  # line -> until when
    skew: int | None = None  # seconds that this host's clock is ahead of the master's, if that is known
    forced: frozenset[str] = frozenset()  # lines that an operator wants deployed now
    types: Mapping[str, frozenset[KeyType]] = field(default_factory=dict)  # line -> key types that are installed
    quiet: bool = False  # neither hooks nor services are to be run
    side: Mapping[str, str] = field(default_factory=dict)  # line -> mark of its side files


def plan(
    settings: Settings, state: State, manifest: Manifest | None, now: datetime, *,
    reachable: bool = True, found: Found | None = None,
) -> Plan:  # fmt: skip
    """What is to be done now; `now` is the master's time as far as known.

    Steps that need the master are left out while it is not `reachable`. Nothing is ever removed because the master is
    away or a line vanished there.
    """
    found = found or Found()
    offered = {line.name: as_of(line, now) for line in manifest.lines} if manifest else {}
    draft = Draft(state, now, found.astray, found.ends, found.forced, offered, found.types, found.side)
    asked = [_plan_line(draft, line, offered.get(line.name), manifest) for line in settings.lines if manifest]
    # Reloads first: who is to blame is told by each generation's own reload. But not of what is to be mended first.
    now_owed, then_owed = _reloads(draft)
    install = list(installations(draft, settings))
    hooks = hook_plan(settings.hooks, draft)
    now_owed, then_owed = [[step for step in part if _may_reload(step, draft, hooks)] for part in (now_owed, then_owed)]
    local: list[Step] = [*hooks.before, *now_owed, *install, *then_owed, *_probes(draft, settings), *hooks.after]
    if found.quiet:
        draft.notes += [f"owed: {words(step)}: {step.reason}" for step in local if not isinstance(step, Install)]
        local = list(install)
    reports = () if local else report_of(settings, state, manifest, draft.waits, found.skew)
    prune = (Prune("a generation was installed"),) if state.prune and not local else ()
    first = sorted((step for steps in asked for step in steps), key=_rank)
    steps = (*first, *local, *reports, *prune) or (tuple(_ahead(draft, settings)) if reachable else ())
    waiting = [s.name for s in settings.lines if state.installed(s.name) is None and s.name not in draft.refused]
    return Plan(
        tuple(step for step in steps if reachable or not isinstance(step, Ask | Pull | Report)),
        (*draft.notes, *_notes(settings, state, offered), *_clock_notes(found, now)),
        tuple(waiting),
        tuple(draft.refused),
        draft.held_back,
        min((due for due in draft.dues if due > now), default=None),
        draft.waits,
    )


def _ahead(draft: Draft, settings: Settings) -> Iterator[MakeAhead]:
    """Next keys that the master wants to know, of lines that have what they need now."""
    for line in settings.lines:
        offered, held = draft.offered.get(line.name), draft.state.line(line.name)
        if offered and offered.custody != MASTER and not line.key_file and draft.state.installed(line.name):
            for key_type in next_types(offered, held):
                if key_type not in held.next_keys:
                    yield MakeAhead(line.name, key_type, "the key after the current one is made ahead")


def _rank(step: MakeKey | Ask | Pull | Activate) -> int:
    """All keys, then all wishes, then what came of them."""
    return (MakeKey, Ask, Pull, Activate).index(type(step))


def next_stage(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps that can be done before the plan is made anew: the leading ones of one kind."""
    return tuple(takewhile(lambda step: type(step) is type(steps[0]), steps))


def _plan_line(
    draft: Draft, line: LineSettings, offered: ManifestLine | None, manifest: Manifest
) -> tuple[MakeKey | Ask | Pull | Activate, ...]:
    wanted = wish_of(line, offered, draft.state.line(line.name), manifest, draft.now)
    draft.notes += wanted.notes
    draft.dues += wanted.dues
    if wanted.refused:
        draft.refused.append(line.name)
    return (*wanted.steps, *(pulls(draft, line, offered) if offered else ()))


def _reloads(draft: Draft) -> tuple[list[Step], list[Step]]:
    """Those whose outputs are in place, and the others."""
    steps = list(_owed(draft))
    astray = {name for name, debt in draft.state.debts.items() if any(line in draft.astray for line in debt.lines)}
    return [step for step in steps if step.service not in astray], [step for step in steps if step.service in astray]


def _owed(draft: Draft) -> Iterator[Reload]:
    for service, debt in draft.state.debts.items():
        if debt.retry is None:
            yield Reload(service, debt.generation, f"{', '.join(debt.lines)} changed")
        elif debt.retry.is_due(draft.now):
            yield Reload(service, debt.generation, f"try {debt.retry.attempts + 1}, after: {debt.retry.error}")
        else:
            draft.hold(debt.retry, f"service {service}: {debt.retry.error}; tried again at {debt.retry.due}")


def _may_reload(step: Step, draft: Draft, hooks: HookPlan) -> bool:
    """Not before the required hooks of its lines did their part."""
    return not isinstance(step, Reload) or not hooks.held.intersection(draft.state.debts[step.service].lines)


def _probes(draft: Draft, settings: Settings) -> Iterator[Step]:
    """What is reloaded and was not seen yet: settings that are new, or a state that was lost."""
    for service in settings.services.values():
        lines = tuple(line.name for line in settings.lines if service.name in unseen(settings, line, draft.state))
        if lines and service.name not in draft.state.debts:
            yield Probe(service.name, lines, f"{', '.join(lines)} not seen there yet")


def _notes(settings: Settings, state: State, offered: dict[str, ManifestLine]) -> Iterator[str]:
    known = {line.name for line in settings.lines}
    for name in sorted(set(offered) - known):
        yield f"line {name} is granted to this host, but the file has no [[line]] of that name"
    for line in settings.lines:
        stated = offered.get(line.name)
        if stated and stated.error:
            yield f"line {line.name}: the master says: {stated.error}"
        if offered and stated is None and state.installed(line.name):
            yield f"line {line.name} is gone from the master; what is installed stays"


def _clock_notes(found: Found, now: datetime) -> Iterator[str]:
    """The master's time decides; what this host's own programs make of it is said."""
    if found.skew is None or abs(found.skew) <= WRONG:
        return
    way = "ahead of" if found.skew > 0 else "behind"
    yield f"this host's clock is {abs(found.skew)} s {way} the master's: certificates are judged by the master's time"
    local = now + timedelta(seconds=found.skew)
    for name, start in found.starts.items():
        if local < start:
            yield f"line {name}: what is installed is valid from {time_text(start)} on: not yet by this host's clock"
    for name, end in found.ends.items():
        if now < end <= local:
            yield f"line {name}: what is installed is valid until {time_text(end)}: no more by this host's clock"


def words(step: Step) -> str:
    """A step in words, for log and listing."""
    match step:
        case MakeKey() | MakeAhead():
            return f"make an {step.key_type} key for line {step.line}{'' if step.slot == 'current' else ' ahead'}"
        case Ask():
            return f"ask for line {step.line}"
        case Pull() | Activate():
            return f"{type(step).__name__.lower()} line {step.line} version {step.version.number}"
        case Install():
            return f"install {', '.join(step.changed) or 'a generation'}"
        case RunHook():
            return f"run {step.action.name}"
        case Reload():
            return f"reload {step.service}"
        case Probe():
            return f"probe {step.service}"
        case Report() | Prune():
            return type(step).__name__.lower()
