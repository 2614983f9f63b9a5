"""Which versions are fetched: the live one, and a staged one ahead of its time, which then takes its place. Pure."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from certline_follower.choosing import Draft
from certline_follower.custody import MASTER, has_sealed, slot_of
from certline_follower.settings import LineSettings
from certline_follower.state import HeldLine, VersionRef
from certline_shared.key_types import KeyType
from certline_shared.manifest import ManifestFile, ManifestLine
from certline_shared.messages import read_time


@dataclass(frozen=True, slots=True)
class Pull:
    """Fetch a version's files."""

    line: str
    version: VersionRef
    files: tuple[ManifestFile, ...]
    pins: dict[str, str]  # key type -> SPKI pin, of those that are used here
    reason: str
    staged: bool = False  # ahead of its time


@dataclass(frozen=True, slots=True)
class Activate:
    """Treat a staged version as the live one from now on."""

    line: str
    version: VersionRef
    reason: str


def as_of(offered: ManifestLine, now: datetime) -> ManifestLine:
    """What the master offers at that moment: a staged version goes live at its time, with the master away too."""
    staged = offered.staged
    if staged is None or staged.activate_at is None or read_time(staged.activate_at) > now:
        return offered
    return _instead(offered)


def _instead(offered: ManifestLine) -> ManifestLine:
    """The line as if its staged version were live."""
    staged = offered.staged
    if staged is None:
        return offered
    return replace(
        offered, version=staged.number, files=staged.files, spki_sha256=staged.spki_sha256,
        not_after=staged.not_after, rollback=False, staged=None,
    )  # fmt: skip


def pulls(draft: Draft, line: LineSettings, offered: ManifestLine) -> Iterator[Pull | Activate]:
    """For the version that is offered, and for the one that is staged."""
    yield from _of_version(draft, line, offered, ahead=False)
    if offered.staged is not None:
        yield from _of_version(draft, line, _instead(offered), ahead=True)
        if offered.staged.activate_at is not None:
            draft.dues.append(read_time(offered.staged.activate_at))


def is_staged(offered: ManifestLine, held: HeldLine) -> bool:
    """Whether what the master has staged is here."""
    return bool(offered.staged and held.staged and held.staged.version.number == offered.staged.number)


def _of_version(draft: Draft, line: LineSettings, offered: ManifestLine, *, ahead: bool) -> Iterator[Pull | Activate]:
    if offered.version is None:
        return
    held = draft.state.line(line.name)
    usable = _usable(line, offered, held)
    target = _target(draft, line, offered, offered.version, usable)
    if held.staged is None or not held.staged.version.same(target):
        yield from _pull(draft, line, offered, target, usable, ahead=ahead)
    elif not ahead:
        yield Activate(line.name, target, f"version {target.number} was staged until now")


def files_digest(files: Sequence[ManifestFile]) -> str:
    """What tells one version's content from another of the same number."""
    text = "\n".join(sorted(f"{file.name} {file.sha256} {file.length}" for file in files))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _target(
    draft: Draft, line: LineSettings, offered: ManifestLine, number: int, usable: Mapping[KeyType, str | None]
) -> VersionRef:
    """Of what comes with a version only the key types in use are opened here: others are another pull."""
    digest = files_digest(offered.files)
    types = [one for one in line.key_types if usable[one] is None] or line.key_types
    full = VersionRef(number, f"{digest}-{'+'.join(types)}")
    if full.same(draft.state.installed(line.name)) or full.same(draft.state.line(line.name).pulled):
        return full
    is_plain = len(types) == 1 and not has_sealed(offered.files, types[0])
    if is_plain and set(types) <= draft.types.get(line.name, set(types)):
        return VersionRef(number, digest)  # as release 0.2.0 writes it
    return full


def _pull(
    draft: Draft, line: LineSettings, offered: ManifestLine, target: VersionRef, usable: Mapping[KeyType, str | None],
    *, ahead: bool,
) -> Iterator[Pull]:  # fmt: skip
    held, before = draft.state.line(line.name), draft.state.installed(line.name)
    if target.same(before) or target.same(held.pulled):
        return
    if held.held_back and held.held_back.version.same(target) and not held.held_back.retry.is_due(draft.now):
        return  # told and timed with the other versions held back
    why_not = [why for why in usable.values() if why]
    if why_not:
        draft.notes.append(f"line {line.name}: version {target.number} cannot be used here: {'; '.join(why_not)}")
    pins = {str(one): offered.spki_sha256[one] for one, why in usable.items() if why is None}
    if not pins or (why_not and line.together):
        return
    standing = "staged" if ahead else "live"
    reason = (
        f"version {target.number} is {standing} on the master, {f'{before.number} is' if before else 'none is'} here"
    )
    yield Pull(line.name, target, offered.files, pins, reason, ahead)


def _usable(line: LineSettings, offered: ManifestLine, held: HeldLine) -> dict[KeyType, str | None]:
    """Why the offered version cannot be used, by key type; None: it can."""
    return {key_type: _why_not(key_type, offered, held) for key_type in line.key_types}


def _why_not(key_type: KeyType, offered: ManifestLine, held: HeldLine) -> str | None:
    pin = offered.spki_sha256.get(key_type)
    if pin is None:
        kinds = ", ".join(sorted(offered.spki_sha256)) or "none"
        return f"it has no {key_type} certificate (it has: {kinds}); set key_type in the file to one of these"
    if not has_sealed(offered.files, key_type) and slot_of(held, key_type, pin) is None:
        if offered.custody == MASTER:
            return f"the master has not given this host its {key_type} key yet"
        return f"its {key_type} key is not on this host; a version for the present key follows"
    return None
