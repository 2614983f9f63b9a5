"""Files in which a key from the master still lies, though no output of this host writes them any more."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from certline_follower import files
from certline_follower.generation import InstalledGeneration
from certline_follower.kept import Kept, folder_of, shown


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that an output made before it left the settings: it stays, since something may read it."""

    line: str
    path: Path
    generation: int  # the newest kept one that tells whose key it is
    spki_sha256: str  # of that key


def leftovers(state_dir: Path, kept: Kept) -> tuple[Leftover, ...]:
    """By what the kept generations say of themselves: the last one to know such a file must not be removed."""
    number = kept.live_number()
    live = None if number is None else kept.installed(number)
    in_use = {output.path for output in live.outputs} if live else set()
    found: dict[tuple[str, Path], Leftover] = {}
    for generation in filter(None, map(kept.installed, reversed(kept.numbers()))):
        for one in _of(state_dir / shown(generation.number), generation):
            if one.path not in in_use:
                found.setdefault((one.spki_sha256, one.path), one)
    return tuple(found.values())


def _of(folder: Path, generation: InstalledGeneration) -> Iterator[Leftover]:
    copies = [(name, one) for name, types in generation.facts.items() for one in types if one.is_copy]
    for line, facts in copies:
        key = _text(folder_of(folder, line, facts.key_type) / "key.pem").strip()
        for output in generation.outputs:
            if key and key in _text(output.path):
                yield Leftover(line, output.path, generation.number, facts.spki_sha256)


def _text(path: Path) -> bytes:
    """Nothing for a link, and for what is no ordinary file or cannot be read."""
    with suppress(OSError):
        found = files.look(str(path))
        return found.data if found else b""
    return b""
