"""The follower's plan: from what is wanted and what is held to ordered steps with reasons. Pure."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from certline_follower.custody import MASTER, has_sealed
from certline_follower.reports import Report, report_of
from certline_follower.settings import LineSettings, Settings
from certline_follower.state import HeldLine, Retry, State, VersionRef
from certline_follower.wishes import Ask, MakeKey, wish_of
from certline_shared.manifest import Manifest, ManifestFile, ManifestLine
from certline_shared.messages import read_time


@dataclass(frozen=True, slots=True)
class Pull:
    """Fetch a version's files."""

    line: str
    version: VersionRef
    files: tuple[ManifestFile, ...]
    key_type: str
    spki_sha256: str
    reason: str


@dataclass(frozen=True, slots=True)
class Install:
    """Make a generation of these versions live."""

    versions: dict[str, VersionRef]  # all lines in it
    tags: dict[str, str]
    changed: tuple[str, ...]
    services: dict[str, tuple[str, ...]]  # affected service -> the changed lines that use it
    tag: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reload:
    """Check and reload a service that is owed it."""

    service: str
    generation: int  # the cause
    reason: str


@dataclass(frozen=True, slots=True)
class Prune:
    """Remove generations and cached versions that nothing needs."""

    reason: str


Step = MakeKey | Ask | Pull | Install | Reload | Report | Prune


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in their order, what an operator should know, and when to look again without being told."""

    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    waiting: tuple[str, ...]  # lines that have no version yet and may still get one
    refused: tuple[str, ...]  # lines that the master refuses, or does not grant
    held_back: bool  # something failed before and waits for its time
    next_look: datetime | None


@dataclass(slots=True)
class _Draft:
    """What is found, line by line."""

    state: State
    now: datetime
    notes: list[str] = field(default_factory=list)
    dues: list[datetime] = field(default_factory=list)
    asks: list[Step] = field(default_factory=list)
    pulls: list[Step] = field(default_factory=list)
    astray: Mapping[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    held_back: bool = False

    def hold(self, retry: Retry, note: str) -> None:
        """Something that is not tried before its time."""
        self.held_back = True
        self.notes.append(note)
        self.dues.append(read_time(retry.due))


def plan(
    settings: Settings, state: State, manifest: Manifest | None, now: datetime, *,
    reachable: bool = True, astray: Mapping[str, str] | None = None,
) -> Plan:  # fmt: skip
    """What is to be done now; `now` is the master's time as far as known, `astray` says by line which output is.

    Steps that need the master are left out while it is not `reachable`. Nothing is ever removed because the master is
    away or a line vanished there.
    """
    draft = _Draft(state, now, astray=astray or {})
    offered = {line.name: line for line in manifest.lines} if manifest else {}
    if manifest:
        for line in settings.lines:
            _plan_line(draft, line, offered.get(line.name), manifest)
    local = [*_install(draft, settings), *_reloads(draft)]
    reports = () if local else report_of(settings, state, manifest)
    prune = (Prune("a generation was installed"),) if state.prune and not local else ()
    asks = sorted(draft.asks, key=lambda step: isinstance(step, Ask))  # all keys first
    steps = (*asks, *draft.pulls, *local, *reports, *prune)
    waiting = [s.name for s in settings.lines if state.installed(s.name) is None and s.name not in draft.refused]
    return Plan(
        tuple(step for step in steps if reachable or not isinstance(step, Ask | Pull | Report)),
        (*draft.notes, *_notes(settings, state, offered)),
        tuple(waiting),
        tuple(draft.refused),
        draft.held_back,
        min((due for due in draft.dues if due > now), default=None),
    )


def next_stage(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps that can be done before the plan is made anew: the leading ones of one kind."""
    return tuple(step for step in steps if type(step) is type(steps[0])) if steps else ()


def files_digest(files: Sequence[ManifestFile]) -> str:
    """What tells one version's content from another of the same number."""
    text = "\n".join(sorted(f"{file.name} {file.sha256} {file.length}" for file in files))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def line_tag(line: LineSettings, version: VersionRef) -> str:
    """What tells one way of showing a line from another: version, key type and outputs."""
    outputs = "\n".join(sorted(map(repr, line.outputs)))
    return hashlib.sha256(f"{version.number} {version.digest} {line.key_type}\n{outputs}".encode()).hexdigest()[:16]


def generation_tag(tags: dict[str, str]) -> str:
    """What tells one generation from another, by the tags of its lines."""
    return hashlib.sha256(repr(sorted(tags.items())).encode()).hexdigest()[:16]


def _plan_line(draft: _Draft, line: LineSettings, offered: ManifestLine | None, manifest: Manifest) -> None:
    wanted = wish_of(line, offered, draft.state.line(line.name), manifest, draft.now)
    draft.asks += wanted.steps
    draft.notes += wanted.notes
    draft.dues += wanted.dues
    if wanted.refused:
        draft.refused.append(line.name)
    if offered is not None and offered.version is not None:
        _pull(draft, line, offered, _target(line, offered, offered.version))


def _target(line: LineSettings, offered: ManifestLine, number: int) -> VersionRef:
    """Of the keys that come with a version only the kind in use is opened here: another kind is another pull."""
    digest = files_digest(offered.files)
    return VersionRef(number, f"{digest}-{line.key_type}" if has_sealed(offered.files, line.key_type) else digest)


def _pull(draft: _Draft, line: LineSettings, offered: ManifestLine, target: VersionRef) -> None:
    held, before = draft.state.line(line.name), draft.state.installed(line.name)
    if target.same(before) or target.same(held.pulled):
        return
    if held.held_back and held.held_back.version.same(target) and not held.held_back.retry.is_due(draft.now):
        return  # told and timed with the other versions held back
    why_not = _unusable(line, offered, held)
    if why_not:
        draft.notes.append(f"line {line.name}: version {target.number} cannot be used here: {why_not}")
        return
    reason = f"version {target.number} is live on the master, {f'{before.number} is' if before else 'none is'} here"
    pin = offered.spki_sha256[line.key_type]
    draft.pulls.append(Pull(line.name, target, offered.files, line.key_type, pin, reason))


def _unusable(line: LineSettings, offered: ManifestLine, held: HeldLine) -> str | None:
    pin = offered.spki_sha256.get(line.key_type)
    if pin is None:
        kinds = ", ".join(sorted(offered.spki_sha256)) or "none"
        return f"it has no {line.key_type} certificate (it has: {kinds}); set key_type in the file to one of these"
    if not has_sealed(offered.files, line.key_type) and held.keys.get(line.key_type) != pin:
        if offered.custody == MASTER:
            return f"the master has not given this host its {line.key_type} key yet"
        return f"its {line.key_type} key is not on this host; a version for the present key follows"
    return None


# Installing


def _install(draft: _Draft, settings: Settings) -> Iterator[Step]:
    """One generation for all lines that are complete; one line alone where all together could not be installed."""
    present, fresh = _targets(draft, settings)
    candidates = [{**present, **fresh}] if present or fresh else []
    if len(fresh) > 1:
        candidates += [{**present, name: version} for name, version in fresh.items()]
    for versions in candidates:
        step = _install_step(settings, draft, versions)
        if step is None:
            return
        retry = draft.state.failed.get(step.tag)
        if retry is None or retry.is_due(draft.now):
            yield step
            return
        draft.hold(retry, f"installing {_listed(step.versions)} failed: {retry.error}")


def _targets(draft: _Draft, settings: Settings) -> tuple[dict[str, VersionRef], dict[str, VersionRef]]:
    """The version of each line that is shown now, and the pulled ones that are to take their place."""
    present: dict[str, VersionRef] = {}
    fresh: dict[str, VersionRef] = {}
    for line in settings.lines:
        held, installed = draft.state.line(line.name), draft.state.installed(line.name)
        if installed:
            present[line.name] = installed
        if not (_is_stopped(draft, line, held, installed) or held.pulled is None or held.pulled.same(installed)):
            fresh[line.name] = held.pulled
    return present, fresh


def _is_stopped(draft: _Draft, line: LineSettings, held: HeldLine, installed: VersionRef | None) -> bool:
    """Whether the pulled version is one that is held back for now."""
    back = held.held_back
    if back is None or back.version.same(installed) or back.retry.is_due(draft.now):
        return False
    draft.hold(back.retry, f"line {line.name}: version {back.version.number} is held back: {back.retry.error}")
    return back.version.same(held.pulled)


def _install_step(settings: Settings, draft: _Draft, versions: dict[str, VersionRef]) -> Install | None:
    state = draft.state
    lines = {line.name: line for line in settings.lines if line.name in versions}
    tags = {name: line_tag(line, versions[name]) for name, line in lines.items()}
    shown = state.live.tags if state.live else {}
    changed = tuple(name for name, tag in tags.items() if shown.get(name) != tag or name in draft.astray)
    gone = sorted(set(state.live.versions if state.live else ()) - set(lines))
    if not changed and not gone:
        return None
    services: dict[str, tuple[str, ...]] = {}
    for name in changed:
        for service in lines[name].services:
            services[service] = (*services.get(service, ()), name)
    whys = {name: None if shown.get(name) != tags[name] else draft.astray[name] for name in changed}
    reasons = [f"{name}: {why or _why(name, versions[name], state)}" for name, why in whys.items()]
    reason = "; ".join([*reasons, *(f"{name} left the file" for name in gone)])
    return Install(versions, tags, changed, services, generation_tag(tags), reason)


def _why(name: str, version: VersionRef, state: State) -> str:
    before = state.installed(name)
    if version.same(before):
        return "its outputs are to be looked at"
    return f"version {version.number} after {before.number}" if before else f"version {version.number}"


def _listed(versions: dict[str, VersionRef]) -> str:
    return ", ".join(f"{name} version {version.number}" for name, version in versions.items())


def _reloads(draft: _Draft) -> Iterator[Step]:
    for service, debt in draft.state.debts.items():
        if debt.retry is None:
            yield Reload(service, debt.generation, f"{', '.join(debt.lines)} changed")
        elif debt.retry.is_due(draft.now):
            yield Reload(service, debt.generation, f"try {debt.retry.attempts + 1}, after: {debt.retry.error}")
        else:
            draft.hold(debt.retry, f"service {service}: {debt.retry.error}; tried again at {debt.retry.due}")


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


def words(step: Step) -> str:
    """A step in words, for log and listing."""
    match step:
        case MakeKey():
            return f"make an {step.key_type} key for line {step.line}"
        case Ask():
            return f"ask for line {step.line}"
        case Pull():
            return f"pull line {step.line} version {step.version.number}"
        case Install():
            return f"install {', '.join(step.changed) or 'a generation'}"
        case Reload():
            return f"reload {step.service}"
        case Report():
            return "report"
        case Prune():
            return "prune"
