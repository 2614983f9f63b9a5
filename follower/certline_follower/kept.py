"""The generations on one host's disk and the link to the live one: read, written, discarded.

state_dir/live -> generations/000007      state_dir/generations/000007/{generation.json,LINE/,_outputs/}
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from certline_follower import files, records
from certline_follower.generation import FileContent, Generation, InstalledGeneration
from certline_shared.failpoints import failpoint

LIVE = "live"
GENERATIONS = "generations"
JOURNAL = "copies.json"  # of a swap, while it lasts
REPLACED = "replaced"  # what copies displaced that the follower had not made; never removed
FORMER_FILES = "former-files.json"  # see former_files.py
GENERATION_FILE = "generation.json"
STATE_MODE = 0o711  # services pass through it on their way to `live`; what lies in it is 0600

WRITE_FAILPOINTS = ("install.after_tempdir", "install.after_each_file", "install.after_generation_fsync")
PRUNE_FAILPOINTS = ("prune.after_rename", "prune.after_each")

_NUMBER = re.compile(r"[0-9]{6,12}")
_STRAY_GENERATION = re.compile(r"\.(new|old)-[0-9]+")
_STRAY_FILE = re.compile(rf"\.({LIVE}|{re.escape(JOURNAL)}|{re.escape(FORMER_FILES)})\.new")
_HIDDEN = re.compile(r"\..+")

Owners = Mapping[str, tuple[int, int]]  # uid and gid by the file's path in the generation


class Kept:
    """What changes something raises OSError; what looks takes what it cannot read as not there."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.folder = state_dir / GENERATIONS

    def live_number(self) -> int | None:
        with suppress(OSError):
            folder, _, name = str((self._state_dir / LIVE).readlink()).rpartition("/")
            if folder == GENERATIONS and _NUMBER.fullmatch(name):
                return int(name)
        return None

    def numbers(self) -> list[int]:
        """Ascending."""
        with suppress(OSError):
            return sorted(int(path.name) for path in self.folder.iterdir() if _NUMBER.fullmatch(path.name))
        return []

    def installed(self, number: int) -> InstalledGeneration | None:
        """None when it is not there, or its record is not readable."""
        with suppress(OSError, ValueError):
            found = files.look(str(self.folder / name_of(number) / GENERATION_FILE))
            return None if found is None else records.read_generation(found.data, number)
        return None

    def holds(self, number: int, contents: Mapping[str, FileContent]) -> bool:
        """Whether its files are still those that were written."""
        with suppress(OSError):
            found = {source: files.look(str(self.folder / name_of(number) / source)) for source in contents}
            return all(file is not None and file.data == contents[source].data for source, file in found.items())
        return False

    def has(self, number: int) -> bool:
        """Whether it is there, under its name or not yet."""
        return any((self.folder / name).is_dir() for name in (name_of(number), new_name_of(number)))

    def show(self, number: int | None, state: int) -> None:
        """Make it live by one rename; not synced. None: nothing is live."""
        if number is None:
            files.remove(LIVE, state)
        else:
            files.replace_link(LIVE, state, shown(number))

    def write(self, generation: Generation, record: bytes, owners: Owners) -> None:
        """All of it, synced, under the name it has until `enter`."""
        self._prepare()
        new = new_name_of(generation.number)
        with self.opened() as folder:
            files.make_folder(new, folder)
            failpoint("install.after_tempdir")
            with files.folder(new, folder, follow=False) as made:
                files.write(GENERATION_FILE, made, record, mode=0o644)
                for group in _folders(generation.files):
                    files.make_folder(group, made)
                for group in reversed(_folders(generation.files)):
                    _write_group(group, generation.files, owners, made)
                os.fsync(made)
            os.fsync(folder)
        failpoint("install.after_generation_fsync")

    def enter(self, number: int) -> None:
        """Give a written generation its name; nothing when it has it."""
        with self.opened() as folder:
            if not files.exists(name_of(number), folder):
                os.rename(new_name_of(number), name_of(number), src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)

    def discard(self, number: int) -> None:
        """One rename first, so that no half generation ever stands under its name."""
        with self.opened() as folder:
            files.remove_tree(new_name_of(number), folder)
            if files.exists(name_of(number), folder):
                old = f".old-{name_of(number)}"
                os.rename(name_of(number), old, src_dir_fd=folder, dst_dir_fd=folder)
                failpoint("prune.after_rename")
                files.remove_tree(old, folder)
                os.fsync(folder)

    def sweep(self) -> None:
        """Remove what a kill left that no journal knows of."""
        files.sweep(self.folder, _STRAY_GENERATION)
        files.sweep(self._state_dir, _STRAY_FILE)
        files.sweep(self._state_dir / REPLACED, _HIDDEN)

    def _prepare(self) -> None:
        if not self._state_dir.exists():
            self._state_dir.mkdir(parents=True)
            self._state_dir.chmod(STATE_MODE)
        with files.folder(self._state_dir) as state:
            files.ensure_folder(GENERATIONS, state)

    @contextmanager
    def opened(self) -> Iterator[int]:
        with files.folder(self._state_dir) as state, files.folder(GENERATIONS, state, follow=False) as folder:
            yield folder


def name_of(number: int) -> str:
    return f"{number:06d}"


def new_name_of(number: int) -> str:
    return f".new-{name_of(number)}"


def folder_of(generation: Path, line: str, key_type: str) -> Path:
    """Where it holds a line's files of that key type; release 0.2.0 and before had one type and no folder for it."""
    folder = generation / line / key_type
    return folder if folder.is_dir() else folder.parent


def shown(number: int, *, new: bool = False) -> str:
    """Its folder relative to state_dir; `new`: before it is entered."""
    return f"{GENERATIONS}/{new_name_of(number) if new else name_of(number)}"


def _folders(sources: Iterable[str]) -> list[str]:
    """Those of the files, each after the one it lies in."""
    own = [Path(source).parents for source in sources]
    return sorted({str(folder) for parents in own for folder in parents} - {"."})


def _write_group(group: str, contents: Mapping[str, FileContent], owners: Owners, made: int) -> None:
    with files.folder(group, made, follow=False) as folder:
        for source, content in contents.items():
            parent, _, name = source.rpartition("/")
            if parent == group:
                uid, gid = owners[source]
                files.write(name, folder, content.data, uid=uid, gid=gid, mode=content.mode)
                failpoint("install.after_each_file")
        os.fsync(folder)
