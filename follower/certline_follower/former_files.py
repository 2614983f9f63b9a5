"""What outputs showed before: put into a line's archive, or left under a name with a date in it, until it is old.

state_dir/former-files.json lists these files; nothing that is not in it is ever removed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from certline_follower import files, folders, patterns
from certline_follower.generation import Generation, InstalledGeneration, PlacedOutput
from certline_follower.kept import FORMER_FILES, shown
from certline_follower.output import Archive
from certline_follower.records import NOTHING, Entry, Placement
from certline_shared import codec
from certline_shared.messages import read_time, time_text

FORMAT = 1
MOST_BYTES = 16_777_216

Archives = Mapping[str, Archive]  # by line


@dataclass(frozen=True, slots=True)
class FormerFile:
    """A file that an output left, or that was archived when it was replaced."""

    line: str
    output: str  # its path in the settings
    path: str
    since: str  # as messages.time_text


@dataclass(frozen=True, slots=True)
class _Ledger:
    files: tuple[FormerFile, ...]
    format: int = FORMAT


class FormerFiles:
    """Those of one host; methods raise OSError."""

    def __init__(self, state_dir: Path, archives: Archives) -> None:
        self._state_dir = state_dir
        self._archives = archives

    def archived(
        self, placements: Iterable[Placement], target: Generation | InstalledGeneration, folder: str,
        live: InstalledGeneration | None, now: datetime,
    ) -> tuple[Placement, ...]:  # fmt: skip
        """What puts into the archive what the placements, or the swap itself, replace; on record before it is done."""
        known = {output.path: output for output in (*target.outputs, *(live.outputs if live else ()))}
        replaced = dict(self._displaced(placements)) | {
            path: entry
            for path, entry in self._shown_before(target, folder, live)
            if path not in {Path(one.path) for one in placements if one.before.kind == "file"}
        }
        taken: set[Path] = set()
        found, news = [], []
        for path, entry in replaced.items():
            archive = self._archive_of(known.get(path), live)
            if archive is not None:
                place = _free(archive, path, now, taken)
                folders.ensure(_fixed_part(archive), archive.folder_mode)
                folders.ensure(place.parent, archive.folder_mode, around=archive.folder_mode)
                taken.add(place)
                found.append(Placement(str(place), NOTHING, entry))
                news.append(FormerFile(known[path].line, str(path), str(place), time_text(now)))
        self._add([*news, *_left_behind(target, live, now)])
        return tuple(found)

    def overdue(self, live: InstalledGeneration | None, now: datetime) -> list[FormerFile]:
        """What is beyond what its line keeps; never what is an output now, or what a link leads to."""
        needed = _needed(live)
        by_output: dict[tuple[str, str], list[FormerFile]] = {}
        for one in self._read():
            by_output.setdefault((one.line, one.output), []).append(one)
        found = []
        for (line, _), entries in by_output.items():
            archive = self._archives.get(line, Archive())
            newest_first = sorted(entries, key=lambda one: (one.since, one.path), reverse=True)
            found += [one for place, one in enumerate(newest_first) if _is_old(one, place, archive, now)]
        return [one for one in found if Path(one.path) not in needed]

    def remove(self, gone: Collection[FormerFile]) -> None:
        """Files, the folders that this leaves empty in an archive by date, and then their entries."""
        for one in gone:
            _remove(Path(one.path))
            archive = self._archives.get(one.line)
            if archive and archive.path and "{date}" in str(archive.path.parent):
                with suppress(OSError):
                    Path(one.path).parent.rmdir()
        left = [one for one in self._read() if one not in gone and _is_there(Path(one.path))]
        self._write(left)

    def _displaced(self, placements: Iterable[Placement]) -> Iterator[tuple[Path, Entry]]:
        for one in placements:
            if one.before.kind == "file" and one.after.kind != "nothing":
                yield Path(one.path), one.before

    def _shown_before(
        self, target: Generation | InstalledGeneration, folder: str, live: InstalledGeneration | None
    ) -> Iterator[tuple[Path, Entry]]:
        """Links go through `live`: what they show changes with it, without a placement."""
        linked = {output.path for output in target.outputs if output.mode == "link"}
        for output in live.outputs if live else ():
            if output.path in linked and output.mode == "link" and live is not None:
                source = f"{shown(live.number)}/{output.source}"
                before, after = (
                    files.look(str(self._state_dir / one)) for one in (source, f"{folder}/{output.source}")
                )
                if before is not None and after is not None and before.data != after.data:
                    yield output.path, Entry("file", source)

    def _archive_of(self, output: PlacedOutput | None, live: InstalledGeneration | None) -> Archive | None:
        """None also for a key that the master keeps: it is to know where each copy lies."""
        if output is None or output.is_passing:
            return None
        archive = self._archives.get(output.line)
        facts = live.facts.get(output.line, ()) if live else ()
        is_copy = output.is_secret and any(one.is_copy for one in facts)
        return archive if archive and archive.path and not is_copy else None

    def _add(self, news: Collection[FormerFile]) -> None:
        if news:
            paths = {one.path for one in news}
            self._write([*(one for one in self._read() if one.path not in paths), *news])

    def _read(self) -> tuple[FormerFile, ...]:
        """A list that is damaged is forgotten: then these files stay for good."""
        with suppress(ValueError):
            found = files.look(str(self._state_dir / FORMER_FILES))
            return codec.read(_Ledger, found.data, most_bytes=MOST_BYTES).files if found else ()
        return ()

    def _write(self, entries: Iterable[FormerFile]) -> None:
        with files.folder(self._state_dir) as state:
            files.replace(FORMER_FILES, state, codec.write(_Ledger(tuple(entries))) + b"\n")


def _left_behind(
    target: Generation | InstalledGeneration, live: InstalledGeneration | None, now: datetime
) -> Iterator[FormerFile]:
    """Outputs with a date or a version in their name, of which there is another one now."""
    paths = {output.path for output in target.outputs}
    for output in live.outputs if live else ():
        if output.setting is not None and output.path not in paths and not output.is_passing:
            yield FormerFile(output.line, str(output.setting), str(output.path), time_text(now))


def _fixed_part(archive: Archive) -> Path:
    """The folder that all its files lie in."""
    parent = Path(str(archive.path)).parent
    return next(one for one in (parent, *parent.parents) if "{" not in str(one))


def _free(archive: Archive, path: Path, now: datetime, taken: Collection[Path]) -> Path:
    """The first place that nothing has: two files of one day get different names."""
    pattern, date = str(archive.path), patterns.written_date(now, archive.date_format)
    for number in count():
        place = Path(patterns.filled(pattern, {"date": date, "file": path.name, "count": str(number)}))
        if number and "{count}" not in pattern:
            place = place.with_name(f"{place.name}.{number}")
        if place not in taken and not _is_there(place):
            return place
    raise AssertionError  # count() has no end


def _is_old(one: FormerFile, place: int, archive: Archive, now: datetime) -> bool:
    if archive.keep is not None and place >= archive.keep:
        return True
    return archive.days is not None and read_time(one.since) < now - timedelta(days=archive.days)


def _needed(live: InstalledGeneration | None) -> set[Path]:
    found = {output.path for output in live.outputs} if live else set()
    for link in live.links if live else ():
        with suppress(OSError):
            found.add(link.path.parent.resolve() / link.path.readlink())
            found.add(link.path.resolve())
    return found


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError), files.folder(path.parent) as parent:
        files.remove(path.name, parent)
