"""The swap from one generation to another, journalled: finished or undone after a kill at any moment, never left half.

What fails before `live` is swapped is undone; what fails after that is finished by the next run, since going back would
show services an older certificate than they have seen.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certline_follower import files, records
from certline_follower.faults import InstallFault, fault_of
from certline_follower.kept import JOURNAL, Kept
from certline_follower.outputs import FAILPOINTS as OUTPUT_FAILPOINTS
from certline_follower.outputs import Outputs
from certline_follower.records import Swap
from certline_shared.failpoints import failpoint

FAILPOINTS = (
    "install.after_journal",
    "install.after_rename",
    *OUTPUT_FAILPOINTS,
    "install.after_live_swap",
    "install.after_parent_fsync",
    "install.after_journal_removed",
)
UNDO_FAILPOINTS = ("undo.after_outputs", "undo.after_live", "undo.after_generation")


class Swapper:
    """Carries out swaps in one state_dir; all methods raise InstallFault."""

    def __init__(self, state_dir: Path, kept: Kept, outputs: Outputs) -> None:
        self._state_dir = state_dir
        self._kept = kept
        self._outputs = outputs

    def begin(self, swap: Swap) -> None:
        """Put it on record; from here on a kill is followed by its end."""
        try:
            with self._state("writing", JOURNAL) as state:
                files.replace(JOURNAL, state, records.write_swap(swap))
        except InstallFault:
            self._forget_journal()
            raise
        failpoint("install.after_journal")

    def run(self, swap: Swap) -> None:
        """Go through with a swap that is on record."""
        try:
            self._forward(swap)
        except InstallFault as fault:
            self._undo_after(swap, fault)
            raise
        with self._state("syncing", "live") as state:
            os.fsync(state)
            failpoint("install.after_parent_fsync")
            self._drop_journal(state)
        failpoint("install.after_journal_removed")

    def recover(self) -> None:
        """End the swap that a kill left, if there is one."""
        swap = self._journal()
        if swap is None:
            return
        if not self._kept.has(swap.target):
            self._undo(swap)
            return
        try:
            self.run(swap)
        except InstallFault:
            if self._journal() is not None:
                raise
            # Undone: the former generation is in place, and the next installation says what is wrong.

    def _forward(self, swap: Swap) -> None:
        with explained("writing", self._kept.folder):
            if swap.is_new:
                self._kept.enter(swap.target)
        failpoint("install.after_rename")
        self._outputs.put(swap.placements)
        with self._state("writing", "live") as state:
            self._kept.show(swap.target, state)
        failpoint("install.after_live_swap")

    def _undo_after(self, swap: Swap, fault: InstallFault) -> None:
        try:
            self._undo(swap)
        except InstallFault as other:
            raise InstallFault(f"{fault}; nor can it be undone now ({other}): the next run tries again") from fault

    def _undo(self, swap: Swap) -> None:
        self._outputs.put_back(swap.placements)
        failpoint("undo.after_outputs")
        with self._state("undoing", "live") as state:
            if self._kept.live_number() == swap.target != swap.former:
                self._kept.show(swap.former, state)
                os.fsync(state)
            failpoint("undo.after_live")
            if swap.is_new:
                self._kept.discard(swap.target)
            failpoint("undo.after_generation")
            self._drop_journal(state)

    def _journal(self) -> Swap | None:
        path = self._state_dir / JOURNAL
        try:
            with explained("reading", path):
                found = files.look(str(path))
            return None if found is None else records.read_swap(found.data)
        except ValueError:  # damaged, for it is written in one rename: the next installation compares all outputs
            self._forget_journal()
            return None

    def _drop_journal(self, state: int) -> None:
        os.unlink(JOURNAL, dir_fd=state)
        os.fsync(state)

    def _forget_journal(self) -> None:
        """Best effort, on the way out with another fault."""
        try:
            with files.folder(self._state_dir) as state:
                files.remove(JOURNAL, state)
        except OSError:
            return

    @contextmanager
    def _state(self, doing: str, name: str) -> Iterator[int]:
        with explained(doing, self._state_dir / name), files.folder(self._state_dir) as state:
            yield state


@contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """An OSError inside becomes an InstallFault that says what was done, to what."""
    try:
        yield
    except OSError as error:
        raise fault_of(error, doing, path) from error
