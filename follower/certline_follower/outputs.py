"""The destinations of outputs: what has to change there, and changing it so that it can be finished or undone."""

import errno
import hashlib
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from certline_follower import files
from certline_follower.faults import InstallFault, fault_of
from certline_follower.files import Found
from certline_follower.generation import Generation, InstalledGeneration, PlacedLink, PlacedOutput
from certline_follower.kept import REPLACED, Kept, shown
from certline_follower.records import NOTHING, Entry, Placement
from certline_shared.failpoints import failpoint

FAILPOINTS = ("install.after_each_backup", "install.after_each_staged", "install.after_each_output")


class Outputs:
    """The outputs of one host, whose generations lie in `state_dir`."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def changes(
        self, wanted: Generation | InstalledGeneration, folder: str, shown_at: str, live: InstalledGeneration | None,
        leave: Collection[Path] = (),
    ) -> tuple[Placement, ...]:  # fmt: skip
        """What differs from `wanted`, whose files lie in `folder` now and in `shown_at` after the swap.

        Both are relative to state_dir. Links that are wanted no more become plain files, so that nothing breaks that
        still reads them; those to `leave` are not looked at. Raises InstallFault for a destination that cannot be, or
        must not be, replaced.
        """
        found = [self._change(output, folder, shown_at) for output in wanted.outputs if output.path not in leave]
        paths = {output.path for output in wanted.outputs} | set(leave)
        if live is not None:
            retired = [output for output in live.outputs if output.path not in paths]
            found += [self._retired(output, shown(live.number)) for output in retired]
        found += [self._leading(link) for link in wanted.links if link.path not in leave]  # to what is there by then
        return tuple(placement for placement in found if placement is not None)

    def why_astray(self, output: PlacedOutput) -> str | None:
        """What is wrong with an output that was installed, None when it looks well (its text is not read)."""
        live = f"{self._state_dir}/live/{output.source}"
        found, ours = _status(output.path), _status(live)
        if found is None:
            return f"{output.path} is missing"
        if ours is None:
            return f"{live} is missing, which {output.path} shows"
        if output.mode == "link":
            well = stat.S_ISLNK(found.st_mode) and str(output.path.readlink()) == live
        else:
            well = stat.S_ISREG(found.st_mode) and found.st_size == ours.st_size
        return None if well else f"{output.path} was changed by something else"

    def why_led_astray(self, link: PlacedLink) -> str | None:
        """As why_astray, for a link to an output."""
        with suppress(OSError):
            well = str(link.path.readlink()) == link.target
            return None if well else f"{link.path} was changed by something else"
        return f"{link.path} is missing, or no link"

    def put(self, placements: Sequence[Placement]) -> None:
        """Put all of `after` there: first all beside their places, where most can fail, then by one rename each."""
        for placement in placements:
            self._stage(Path(placement.path), placement.after)
            failpoint("install.after_each_staged")
        for placement in placements:
            self._show(Path(placement.path), placement.after)
            failpoint("install.after_each_output")

    def put_back(self, placements: Sequence[Placement]) -> None:
        """Put all of `before` back; for those that were not reached yet only the staged file goes."""
        for placement in reversed(placements):
            path = Path(placement.path)
            with _explained(path):
                if not path.parent.exists():
                    continue  # what stood there went with its directory, by hand
            if not self._is_there(path, placement.before):
                self._stage(path, placement.before)
                self._show(path, placement.before)
            self._unstage(path)

    # Deciding

    def _change(self, output: PlacedOutput, folder: str, shown_at: str) -> Placement | None:
        with _explained(output.path), files.folder(output.path.parent) as parent:
            found = files.look(output.path.name, parent)
            if output.mode == "link":
                after = Entry("link", self._link(output))
                in_place = found is not None and found.link == after.value
            else:
                after = Entry("file", f"{shown_at}/{output.source}")
                in_place = found is not None and found == self._look(f"{folder}/{output.source}")
        return None if in_place else Placement(str(output.path), self._before(output, found), after)

    def _retired(self, output: PlacedOutput, folder: str) -> Placement | None:
        """A link of ours that is wanted no more, turned into a file with what it showed last; or what only passes."""
        if output.is_passing:
            return self._removed(output)
        source = f"{folder}/{output.source}"
        with suppress(OSError):
            if str(output.path.readlink()) == self._link(output) and self._look(source) is not None:
                return Placement(str(output.path), Entry("link", self._link(output)), Entry("file", source))
        return None

    def _removed(self, output: PlacedOutput) -> Placement | None:
        """Nothing to do for what somebody else put there."""
        with suppress(OSError):
            found = files.look(str(output.path))
            known = None if found is None else self._made_by_us(output, found)
            if found is not None and found.link == self._link(output):
                return Placement(str(output.path), Entry("link", self._link(output)), NOTHING)
            if known is not None:
                return Placement(str(output.path), Entry("file", known), NOTHING)
        return None

    def _leading(self, link: PlacedLink) -> Placement | None:
        with _explained(link.path), files.folder(link.path.parent) as parent:
            found = files.look(link.path.name, parent)
        if found is not None and found.link is None:
            raise InstallFault(f"output {link.path}: a file stands where a link is to be: move it away")
        before = NOTHING if found is None or found.link is None else Entry("link", found.link)
        after = Entry("link", link.target)
        return None if before == after else Placement(str(link.path), before, after)

    def _before(self, output: PlacedOutput, found: Found | None) -> Entry:
        if found is None:
            return NOTHING
        if found.link is not None and (self._is_ours(found.link) or output.mode == "copy"):
            return Entry("link", found.link)
        known = self._made_by_us(output, found)
        if known is not None:
            return Entry("file", known)
        if output.mode == "link":
            what = "a link" if found.link is not None else "a file"
            advice = 'move it away, or set as = "copy" to have it replaced'
            raise InstallFault(f"output {output.path}: {what} that certline did not make stands there: {advice}")
        return Entry("file", self._back_up(output.path, found))

    def _made_by_us(self, output: PlacedOutput, found: Found) -> str | None:
        """The file of a kept generation that has this content, newest first."""
        if found.link is not None:
            return None
        for number in reversed(Kept(self._state_dir).numbers()):
            source = f"{shown(number)}/{output.source}"
            ours = self._look(source)
            if ours is not None and ours.data == found.data:
                return source
        return None

    def _back_up(self, path: Path, found: Found) -> str:
        name = f"{hashlib.sha256(found.data).hexdigest()[:12]}-{path.name[-40:]}"
        with files.folder(self._state_dir) as state:
            files.ensure_folder(REPLACED, state, 0o700)
            with files.folder(REPLACED, state, follow=False) as kept:
                if files.look(name, kept) != found:
                    files.remove(f".{name}", kept)
                    files.write(f".{name}", kept, found.data, uid=found.uid, gid=found.gid, mode=found.mode)
                    os.rename(f".{name}", name, src_dir_fd=kept, dst_dir_fd=kept)
                    os.fsync(kept)
        failpoint("install.after_each_backup")
        return f"{REPLACED}/{name}"

    def _is_there(self, path: Path, entry: Entry) -> bool:
        with _explained(path), files.folder(path.parent) as parent:
            found = files.look(path.name, parent)
        match entry.kind:
            case "nothing":
                return found is None
            case "link":
                return found is not None and found.link == entry.value
            case _:
                return found is not None and found == self._look(entry.value)

    def _link(self, output: PlacedOutput) -> str:
        return f"{self._state_dir}/live/{output.source}"

    def _is_ours(self, target: str) -> bool:
        return target.startswith(f"{self._state_dir}/live/")

    def _look(self, source: str) -> Found | None:
        return files.look(str(self._state_dir / source))

    # Doing

    def _stage(self, path: Path, entry: Entry) -> None:
        with _explained(path), files.folder(path.parent) as parent:
            files.remove(_staged(path), parent)
            if entry.kind == "link":
                os.symlink(entry.value, _staged(path), dir_fd=parent)
            elif entry.kind == "file":
                self._write_like(entry.value, _staged(path), parent)

    def _write_like(self, source: str, name: str, parent: int) -> None:
        like = self._look(source)
        if like is None or like.link is not None:
            raise InstallFault(f"{self._state_dir / source} is missing: it was removed by hand")
        files.write(name, parent, like.data, uid=like.uid, gid=like.gid, mode=like.mode)

    def _show(self, path: Path, entry: Entry) -> None:
        with _explained(path), files.folder(path.parent) as parent:
            if entry.kind == "nothing":
                files.remove(path.name, parent)
            else:
                os.rename(_staged(path), path.name, src_dir_fd=parent, dst_dir_fd=parent)
            os.fsync(parent)

    def _unstage(self, path: Path) -> None:
        with _explained(path), files.folder(path.parent) as parent:
            if files.exists(_staged(path), parent):
                files.remove(_staged(path), parent)


def _status(path: str | Path) -> os.stat_result | None:
    with suppress(OSError):
        return os.lstat(path)
    return None


def _staged(path: Path) -> str:
    """Beside the destination, hidden from what reads whole directories, and short for any name."""
    return f".certline-{hashlib.sha256(path.name.encode()).hexdigest()[:12]}.new"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EFBIG):
            raise InstallFault(f"output {path}: no ordinary file stands there: choose another path") from None
        raise fault_of(error, "output", path) from error
