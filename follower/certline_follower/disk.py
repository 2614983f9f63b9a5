"""Installing on this host: a generation is written beside the others, then one link `live` is swapped to it."""

from collections.abc import Collection
from pathlib import Path

from certline_follower import accounts, folders, kept, records, swapping
from certline_follower.faults import InstallFault
from certline_follower.former_files import FormerFiles
from certline_follower.generation import Generation, InstalledGeneration, LineFacts, LineMaterial, PlacedOutput
from certline_follower.kept import Kept, shown
from certline_follower.leftovers import Leftover, leftovers
from certline_follower.outputs import Outputs
from certline_follower.records import Placement, Swap
from certline_follower.settings import Settings
from certline_follower.swapping import Swapper, explained
from certline_shared.clock import Clock
from certline_shared.failpoints import failpoint

FAILPOINTS: tuple[str, ...] = (*kept.WRITE_FAILPOINTS, *swapping.FAILPOINTS)


class Installer:
    """Installs generations of one host; one at a time, under the RunLock; `recover` mends a kill at any moment.

    Whether a reload is owed is not told by `install` alone, since a kill may come between the two: compare `live()`
    with what was last reloaded.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._kept = Kept(settings.state_dir)
        self._outputs = Outputs(settings.state_dir)
        self._swapper = Swapper(settings.state_dir, self._kept, self._outputs)
        archives = {line.name: line.archive for line in settings.lines if line.archive is not None}
        self._former_files = FormerFiles(settings.state_dir, archives)

    def live(self) -> InstalledGeneration | None:
        """What is live now, read back from the link; None when nothing (readable) is."""
        number = self._kept.live_number()
        return None if number is None else self._kept.installed(number)

    def previous(self) -> InstalledGeneration | None:
        """The generation that was live before the live one, if it is still kept."""
        live = self.live()
        return None if live is None or live.former is None else self._kept.installed(live.former)

    def numbers(self) -> list[int]:
        """All generations on disk, ascending."""
        return self._kept.numbers()

    def copies(self) -> "set[tuple[str, str]]":
        """Line and SPKI pin of each key from the master in a kept generation."""
        kept = filter(None, map(self._kept.installed, self._kept.numbers()))
        facts = [one for generation in kept for one in generation.facts.items()]
        return {(line, one.spki_sha256) for line, types in facts for one in types if one.is_copy}

    def next_number(self) -> int:
        """The number for the next generation to render."""
        return max(self._kept.numbers(), default=0) + 1

    def materials(self) -> dict[str, tuple[LineMaterial, ...]]:
        """The live versions by line, one per key type, read back: to carry unchanged lines into the next generation."""
        live = self.live()
        if live is None:
            return {}
        folder = self._settings.state_dir / shown(live.number)
        with explained("reading", folder):
            return {name: tuple(_material(folder, name, one) for one in types) for name, types in live.facts.items()}

    def number_of(self, generation: Generation) -> int:
        """The number it has once it is installed: that of the live one when their content is the same."""
        live = self.live()
        return live.number if live and self._is_live(generation, live) else generation.number

    def made(self) -> dict[str, bytes]:
        """What the live generation has of what cannot be made twice alike, by its recipe."""
        live = self.live()
        if live is None or not live.recipes:
            return {}
        folder = self._settings.state_dir / shown(live.number)
        with explained("reading", folder):
            return {recipe: (folder / source).read_bytes() for source, recipe in live.recipes.items()}

    def astray(self) -> dict[str, str]:
        """Line -> what is wrong with an output of it, by a look at the places (some us each), not at all contents."""
        live, known = self.live(), {line.name for line in self._settings.lines}
        if live is None:
            return {}
        looks = [(self._line_of(output), self._outputs.why_astray(output)) for output in live.outputs]
        looks += [(link.line, self._outputs.why_led_astray(link)) for link in live.links]
        return {line: why for line, why in reversed(looks) if why and line in known}

    def _line_of(self, output: PlacedOutput) -> str:
        """Release 0.2.0 did not write it down."""
        lines = (line.name for line in self._settings.lines for one in line.outputs if one.path == output.path)
        return output.line or next(lines, "")

    def _is_live(self, generation: Generation, live: InstalledGeneration) -> bool:
        return live.digest == generation.digest and self._kept.holds(live.number, generation.files)

    def install(self, generation: Generation, leave: Collection[str] = ()) -> bool:
        """Make it live, outputs included; False when the same content is live and in place already.

        The outputs of the lines to `leave` stay as they are: whatever is wrong with them holds back no other line.
        Raises InstallFault; then the former generation and outputs are in place as before, unless the text says that
        the next run tries again, or it failed after the swap (then `live` tells, and the next run finishes it).
        """
        self.recover()
        for folder in generation.folders:
            with explained("making the folder", folder.path):
                folders.make(folder)
        live = self.live()
        if live and self._is_live(generation, live):
            return self._show(live, live, leave)
        if generation.number in self._kept.numbers():
            raise InstallFault(f"generation {generation.number} is on disk already: render it with the next number")
        try:
            self._swapper.run(self._prepare(generation, live, leave))
        except InstallFault:
            self._tidy()
            raise
        return True

    def rollback_to(self, number: int, leave: Collection[str] = ()) -> None:
        """Make a kept generation live again, outputs included but for those of the lines to `leave`.

        Raises InstallFault.
        """
        self.recover()
        target = self._kept.installed(number)
        if target is None:
            listed = ", ".join(map(str, self._kept.numbers())) or "none"
            raise InstallFault(f"generation {number} is not kept any more: choose one of {listed}")
        self._show(target, self.live(), leave)

    def recover(self) -> None:
        """Finish, or else undo, what a kill left. To be called at each start. Raises InstallFault."""
        self._swapper.recover()
        with explained("removing", self._kept.folder):
            self._kept.sweep()

    def leftovers(self) -> tuple[Leftover, ...]:
        """Files outside state_dir that still hold a key from the master and are no outputs any more."""
        return leftovers(self._settings.state_dir, self._kept)

    def has_overdue(self) -> bool:
        """Whether there are former files of outputs that `prune` removes."""
        with explained("reading", self._settings.state_dir):
            return bool(self._former_files.overdue(self.live(), self._clock.now()))

    def spare(self) -> list[int]:
        """The generations that `prune` removes: all but the newest `keep`, the live one, and what leftovers need."""
        old = self._kept.numbers()[: -self._settings.keep]
        needed = {self._kept.live_number(), *(one.generation for one in self.leftovers())} if old else set()
        return [number for number in old if number not in needed]

    def prune(self) -> None:
        """Remove the generations, and the former files of outputs, that nothing needs. Raises InstallFault."""
        with explained("removing former files of outputs listed in", self._settings.state_dir / kept.FORMER_FILES):
            if overdue := self._former_files.overdue(self.live(), self._clock.now()):
                self._former_files.remove(overdue)
        for number in self.spare():
            with explained("removing", self._kept.folder):
                self._kept.discard(number)
            failpoint("prune.after_each")

    def discard_with(self, line: str) -> list[int]:
        """Remove the kept generations that hold this line; never the live one. Raises InstallFault."""
        live, gone = self._kept.live_number(), []
        for number in self._kept.numbers():
            kept = self._kept.installed(number)
            if number != live and (kept is None or line in kept.facts):
                with explained("removing", self._kept.folder):
                    self._kept.discard(number)
                gone.append(number)
        return gone

    def _prepare(self, generation: Generation, live: InstalledGeneration | None, leave: Collection[str]) -> Swap:
        """Write it, see what has to change, and put that on record."""
        owners = _owners(generation)
        former = None if live is None else live.number
        record = records.write_generation(generation, former, self._clock.now().isoformat())
        with explained("writing", self._kept.folder):
            self._kept.write(generation, record, owners)
        new, at = shown(generation.number, new=True), shown(generation.number)
        swap = Swap(generation.number, former, True, self._placements(generation, new, at, live, leave))
        self._swapper.begin(swap)
        return swap

    def _show(self, target: InstalledGeneration, live: InstalledGeneration | None, leave: Collection[str]) -> bool:
        """Swap to a generation that is on disk; False when it is live and all its outputs are in place."""
        folder = shown(target.number)
        placements = self._placements(target, folder, folder, live, leave)
        if not placements and live is not None and live.number == target.number:
            return False
        swap = Swap(target.number, None if live is None else live.number, False, placements)
        self._swapper.begin(swap)
        self._swapper.run(swap)
        return True

    def _placements(
        self, target: Generation | InstalledGeneration, folder: str, at: str, live: InstalledGeneration | None,
        leave: Collection[str],
    ) -> tuple[Placement, ...]:  # fmt: skip
        """All that changes outside state_dir, with what goes into archives."""
        both = (target, live) if live else (target,)
        outputs = [(self._line_of(output), output.path) for one in both for output in one.outputs]
        links = [(link.line, link.path) for one in both for link in one.links]
        left = frozenset(path for line, path in (*outputs, *links) if line in leave)
        placements = self._outputs.changes(target, folder, at, live, left)
        with explained("archiving what is replaced, with the list", self._settings.state_dir / kept.FORMER_FILES):
            archived = self._former_files.archived(placements, target, folder, live, self._clock.now())
        return (*archived, *placements)

    def _tidy(self) -> None:
        """Best effort, on the way out with another fault: `recover` sweeps what stays."""
        try:
            self._kept.sweep()
        except OSError:
            return


def _material(generation: Path, line: str, facts: LineFacts) -> LineMaterial:
    folder = kept.folder_of(generation, line, facts.key_type)
    key, chain = (folder / "key.pem").read_bytes(), (folder / "fullchain.pem").read_text()
    return LineMaterial(line, facts.version, facts.key_type, key, chain, is_copy=facts.is_copy)


def _owners(generation: Generation) -> dict[str, tuple[int, int]]:
    """uid and gid of each file. Raises InstallFault naming the output."""
    paths = {output.source: output.path for output in generation.outputs}
    owners = {}
    for source, content in generation.files.items():
        try:
            owners[source] = (accounts.user_id(content.owner), accounts.group_id(content.group))
        except InstallFault as fault:
            raise InstallFault(f"output {paths.get(source, source)}: {fault}") from None
    return owners
