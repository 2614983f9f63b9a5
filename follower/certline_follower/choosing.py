"""Which versions are installed next, and which wait: held back, for a window, for their first valid moment. Pure."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from certline_follower.settings import LineSettings, Output, Settings
from certline_follower.state import HeldLine, Retry, State, VersionRef, Wait
from certline_shared import windows
from certline_shared.key_types import KeyType
from certline_shared.messages import read_time, time_text

if TYPE_CHECKING:  # `status` reads no manifest, and needs no cryptography
    from certline_shared.manifest import ManifestLine

MARGIN = timedelta(days=1)  # a window that opens less than this before the installed certificate ends is not waited for
SHORT = timedelta(days=7)  # of life left, or a tenth of it: from then on a version that is held back is tried again
_LEAST, _MOST = timedelta(minutes=10), timedelta(days=1)  # between two such tries


@dataclass(frozen=True, slots=True)
class Install:
    """Make a generation of these versions live."""

    versions: dict[str, VersionRef]  # all lines in it
    tags: dict[str, str]
    changed: tuple[str, ...]
    services: dict[str, tuple[str, ...]]  # affected service -> the changed lines that use it
    tag: str
    reason: str
    staged: dict[str, VersionRef] = field(default_factory=dict)  # shown beside them
    left: tuple[str, ...] = ()  # lines whose outputs stay as they are, since they cannot be written now


@dataclass(slots=True)
class Draft:
    """What is found, line by line."""

    state: State
    now: datetime  # the master's time
    astray: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, datetime] = field(default_factory=dict)  # line -> when its installed certificate ends
    forced: frozenset[str] = frozenset()  # lines that wait for no window
    offered: "Mapping[str, ManifestLine]" = field(default_factory=dict)
    types: "Mapping[str, frozenset[KeyType]]" = field(default_factory=dict)  # line -> what is installed
    side: Mapping[str, str] = field(default_factory=dict)  # line -> mark of its side files
    notes: list[str] = field(default_factory=list)
    dues: list[datetime] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    waits: dict[str, Wait] = field(default_factory=dict)
    held_back: bool = False

    def tag(self, line: LineSettings, version: VersionRef) -> str:
        tag = line_tag(line, version, self.state.line(line.name), self.side.get(line.name, ""))
        staged = self.staged(line)
        return f"{tag}-{staged.number}-{staged.digest}" if staged else tag

    def staged(self, line: LineSettings) -> VersionRef | None:
        """What the line's outputs for a staged version show."""
        offered, held = self.offered.get(line.name), self.state.line(line.name)
        if not offered or not offered.staged or not held.staged or not any(output.stage for output in line.outputs):
            return None
        return held.staged.version if held.staged.version.number == offered.staged.number else None

    def hold(self, retry: Retry, note: str) -> None:
        """Something that is not tried before its time."""
        self.held_back = True
        self.notes.append(note)
        self.dues.append(read_time(retry.due))


def line_tag(line: LineSettings, version: VersionRef, held: HeldLine | None = None, side: str = "") -> str:
    """What tells one way of showing a line from another: version, key type, outputs, and what else they show."""
    outputs = "\n".join(sorted(map(_output_mark, line.outputs)))
    types = "+".join(line.key_types)
    beside = "".join(f"\n{one}" for one in (side, *_key_marks(line, held)) if one)
    return hashlib.sha256(f"{version.number} {version.digest} {types}\n{outputs}{beside}".encode()).hexdigest()[:16]


def _key_marks(line: LineSettings, held: HeldLine | None) -> Iterator[str]:
    """Of the other keys that outputs show."""
    shown = {part for output in line.outputs for part in output.order}
    for part, pins in (("next-key", held.next_keys), ("previous-key", held.previous_keys)) if held else ():
        if part in shown and pins:
            yield f"{part} {sorted(pins.items())}"
    if line.passphrase is not None:
        yield "encrypted"


def live_part(tag: str | None) -> str | None:
    """Of a line's tag: without what is staged, which is no concern of its services."""
    return tag.partition("-")[0] if tag else tag


_FIRST_MEMBERS = ("kind", "path", "mode", "owner", "group", "permissions", "key_type")


def _output_mark(output: Output) -> str:
    """As releases wrote it before: a member that came later counts only where it is set, so nothing is done anew."""
    known = {one.name: one for one in fields(output)}
    later = [name for name, one in known.items() if name not in _FIRST_MEMBERS and getattr(output, name) != one.default]
    return f"Output({', '.join(f'{name}={getattr(output, name)!r}' for name in (*_FIRST_MEMBERS, *later))})"


def generation_tag(tags: Mapping[str, str], left: tuple[str, ...] = ()) -> str:
    """What tells one generation from another, by the tags of its lines."""
    return hashlib.sha256(repr((sorted(tags.items()), *left)).encode()).hexdigest()[:16]


def superseded(version: VersionRef, offered: int | None) -> bool:
    """Whether the master, which offers the other one, went back behind that version."""
    return offered is not None and offered < version.number


def try_again_at(not_before: datetime | None, not_after: datetime, now: datetime) -> datetime:
    """When a blamed version is tried again by itself: when the installed one runs short, and more often to its end."""
    life = not_after - not_before if not_before else None
    short = not_after - (min(SHORT, life / 10) if life else SHORT)
    if now < short:
        return short
    return min(now + min(max((not_after - now) / 8, _LEAST), _MOST), max(not_after, now + _LEAST))


def installations(draft: Draft, settings: Settings) -> Iterator[Install]:
    """One generation for all that is to change; where that failed, one for each line's change alone."""
    for versions, left in _candidates(draft, settings):
        step = _step(settings, draft, versions, left)
        if step is None:
            continue
        retry = draft.state.failed.get(step.tag)
        if retry is None or retry.is_due(draft.now):
            yield step
            return
        draft.hold(retry, f"installing {_listed(step)} failed: {retry.error}")


def _candidates(draft: Draft, settings: Settings) -> Iterator[tuple[dict[str, VersionRef], tuple[str, ...]]]:
    """Versions by line, and the lines to leave as they are; all together first, and alone only what changes."""
    present, fresh = _targets(draft, settings)
    if not present and not fresh:
        return
    yield {**present, **fresh}, ()
    lines = {line.name: line for line in settings.lines}
    shown = draft.state.live.tags if draft.state.live else {}
    awry = [
        name
        for name, version in present.items()
        if name not in fresh and (name in draft.astray or shown.get(name) != draft.tag(lines[name], version))
    ]
    if len(fresh) + len(awry) > 1:
        for name in (*fresh, *awry):
            alone = {name: fresh[name]} if name in fresh else {}
            yield {**present, **alone}, tuple(other for other in awry if other != name)


def _targets(draft: Draft, settings: Settings) -> tuple[dict[str, VersionRef], dict[str, VersionRef]]:
    """The version of each line that is shown now, and the pulled ones that are to take their place."""
    present: dict[str, VersionRef] = {}
    fresh: dict[str, VersionRef] = {}
    for line in settings.lines:
        held, installed = draft.state.line(line.name), draft.state.installed(line.name)
        if installed:
            present[line.name] = installed
        pulled = held.pulled
        if pulled is None or pulled.same(installed) or _is_superseded(draft, line, pulled):
            continue
        if not _is_stopped(draft, line, held, installed) and not _waits(draft, settings, line, pulled):
            fresh[line.name] = pulled
    return present, fresh


def _is_superseded(draft: Draft, line: LineSettings, pulled: VersionRef) -> bool:
    offered = draft.offered.get(line.name)
    return superseded(pulled, offered.version if offered else None)


def _is_stopped(draft: Draft, line: LineSettings, held: HeldLine, installed: VersionRef | None) -> bool:
    """Whether the pulled version is one that is held back for now."""
    back = held.held_back
    if back is None or back.version.same(installed) or back.retry.is_due(draft.now):
        return False
    draft.hold(back.retry, f"line {line.name}: version {back.version.number} is held back: {back.retry.error}")
    return back.version.same(held.pulled)


def _waits(draft: Draft, settings: Settings, line: LineSettings, pulled: VersionRef) -> bool:
    """Whether the pulled version is one that waits for its time, although nothing is wrong with it."""
    valid_from = draft.state.line(line.name).valid_from
    if valid_from is not None and read_time(valid_from) > draft.now:
        return _wait(draft, line, pulled, read_time(valid_from), "it is not valid before, by the master's time")
    ends, groups = draft.ends.get(line.name), _windows(settings, line)
    offered = draft.offered.get(line.name)
    if not groups or ends is None or line.name in draft.forced or (offered and offered.rollback):
        return False
    opens = windows.next_common(groups, draft.now)
    if opens == draft.now:
        return False
    named = ", ".join(window.text for group in groups for window in group)
    if opens is None or ends <= opens + MARGIN:
        draft.notes.append(
            f"line {line.name}: version {pulled.number} does not wait for its window ({named}): the installed "
            f"certificate ends at {time_text(ends)}, by the master's time"
        )
        return False
    return _wait(draft, line, pulled, opens, f"it waits for its window ({named})")


def _windows(settings: Settings, line: LineSettings) -> list[tuple[windows.Window, ...]]:
    """All of these must be open, each by one of its windows: those of its services, else the host's."""
    used = [settings.services[name].windows for name in line.services if name in settings.services]
    groups = [own or settings.windows for own in used] or [settings.windows]
    return [group for group in dict.fromkeys(groups) if group]


def _wait(draft: Draft, line: LineSettings, pulled: VersionRef, until: datetime, why: str) -> bool:
    draft.waits[line.name] = Wait(pulled.number, time_text(until), why)
    draft.dues.append(until)
    draft.notes.append(f"line {line.name}: version {pulled.number} is installed at {time_text(until)}: {why}")
    return True


def _step(settings: Settings, draft: Draft, versions: dict[str, VersionRef], left: tuple[str, ...]) -> Install | None:
    state = draft.state
    lines = {line.name: line for line in settings.lines if line.name in versions}
    shown = state.live.tags if state.live else {}
    tags = {name: draft.tag(line, versions[name]) for name, line in lines.items()}
    tags |= {name: shown.get(name, "") for name in left}
    changed = tuple(
        name for name, tag in tags.items() if name not in left and (shown.get(name) != tag or name in draft.astray)
    )
    gone = sorted(set(state.live.versions if state.live else ()) - set(lines))
    if not changed and not gone:
        return None
    services: dict[str, tuple[str, ...]] = {}
    for name in changed:
        concerned = name in draft.astray or live_part(shown.get(name)) != live_part(tags[name])
        for service in lines[name].services if concerned else ():
            services[service] = (*services.get(service, ()), name)
    whys = {name: None if shown.get(name) != tags[name] else draft.astray[name] for name in changed}
    reasons = [f"{name}: {why or _why(name, versions[name], state)}" for name, why in whys.items()]
    reason = "; ".join([*reasons, *(f"{name} left the file" for name in gone)])
    ahead = {name: version for name, line in lines.items() if (version := draft.staged(line))}
    return Install(versions, tags, changed, services, generation_tag(tags, left), reason, ahead, left)


def _why(name: str, version: VersionRef, state: State) -> str:
    before = state.installed(name)
    if version.same(before):
        return "its outputs are to be looked at"
    return f"version {version.number} after {before.number}" if before else f"version {version.number}"


def _listed(step: Install) -> str:
    return ", ".join(f"{name} version {step.versions[name].number}" for name in step.changed or step.versions)
