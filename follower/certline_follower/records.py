"""What the follower writes down of an installation: `generation.json` in each generation, and the journal of a swap."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from certline_follower.generation import Generation, InstalledGeneration, LineFacts, PlacedLink, PlacedOutput
from certline_follower.settings import OutputMode
from certline_shared import codec
from certline_shared.key_types import KeyType

MOST_BYTES = 4_194_304
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands, or is to stand, at a destination: `nothing`, a `file` like the one at `value` (relative to
    state_dir; content, owner, group and mode), or a `link` to `value`."""

    kind: str
    value: str = ""


NOTHING = Entry("nothing")


@dataclass(frozen=True, slots=True)
class Placement:
    """One destination that changes: what to put there, and what to put back if the swap is undone."""

    path: str
    before: Entry
    after: Entry


@dataclass(frozen=True, slots=True)
class Swap:
    """The journal: written before anything that a service can see is touched, removed when all of it is done."""

    target: int
    former: int | None
    is_new: bool  # the target was made for this swap, and goes when the swap is undone
    placements: tuple[Placement, ...]
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class _Output:
    path: str
    mode: str
    source: str
    line: str = ""  # this and what follows: not in 0.2.0
    setting: str = ""
    is_secret: bool = False
    is_passing: bool = False


@dataclass(frozen=True, slots=True)
class _Link:
    path: str
    target: str
    line: str


@dataclass(frozen=True, slots=True)
class _Line:
    version: int
    key_type: str
    serial: str
    spki_sha256: str
    names: tuple[str, ...]
    not_after: str | None = None
    is_copy: bool = False
    not_before: str | None = None


@dataclass(frozen=True, slots=True)
class _Record:
    digest: str
    former: int | None
    installed_at: str
    outputs: tuple[_Output, ...]
    lines: dict[str, _Line]  # of the first key type
    format: int
    further: dict[str, tuple[_Line, ...]] = field(default_factory=dict)  # of the others; none in 0.2.0
    links: tuple[_Link, ...] = ()
    left_out: tuple[str, ...] = ()
    recipes: dict[str, str] = field(default_factory=dict)


def write_generation(generation: Generation, former: int | None, installed_at: str) -> bytes:
    lines = {name: tuple(map(_line, types)) for name, types in generation.facts.items()}
    record = _Record(
        digest=generation.digest,
        former=former,
        installed_at=installed_at,
        outputs=tuple(map(_output, generation.outputs)),
        lines={name: types[0] for name, types in lines.items()},
        format=FORMAT,
        further={name: types[1:] for name, types in lines.items() if types[1:]},
        links=tuple(_Link(str(link.path), link.target, link.line) for link in generation.links),
        left_out=generation.left_out,
        recipes={source: file.recipe for source, file in generation.files.items() if file.recipe},
    )
    return codec.write(record) + b"\n"


def _output(placed: PlacedOutput) -> _Output:
    setting = str(placed.setting) if placed.setting else ""
    return _Output(
        str(placed.path), placed.mode, placed.source, placed.line, setting, placed.is_secret, placed.is_passing
    )  # fmt: skip


def _line(facts: LineFacts) -> _Line:
    return _Line(
        facts.version, facts.key_type, facts.serial, facts.spki_sha256, facts.names, facts.not_after,
        facts.is_copy, facts.not_before,
    )  # fmt: skip


def read_generation(body: bytes, number: int) -> InstalledGeneration:
    """Raises ValueError for anything that `write_generation` of this version did not write."""
    record = codec.read(_Record, body, most_bytes=MOST_BYTES)
    _check_format(record.format)
    facts = {name: tuple(map(_facts, (first, *record.further.get(name, ())))) for name, first in record.lines.items()}
    return InstalledGeneration(
        number=number,
        digest=record.digest,
        former=record.former,
        installed_at=record.installed_at,
        outputs=tuple(map(_placed, record.outputs)),
        facts=facts,
        links=tuple(PlacedLink(Path(link.path), link.target, link.line) for link in record.links),
        left_out=record.left_out,
        recipes=record.recipes,
    )


def _placed(output: _Output) -> PlacedOutput:
    return PlacedOutput(
        path=Path(output.path),
        mode=cast("OutputMode", output.mode),
        source=output.source,
        line=output.line,
        setting=Path(output.setting) if output.setting else None,
        is_secret=output.is_secret,
        is_passing=output.is_passing,
    )


def _facts(line: _Line) -> LineFacts:
    return LineFacts(
        line.version, KeyType(line.key_type), line.serial, line.spki_sha256, line.names, line.not_after,
        is_copy=line.is_copy, not_before=line.not_before,
    )  # fmt: skip


def write_swap(swap: Swap) -> bytes:
    return codec.write(swap) + b"\n"


def read_swap(body: bytes) -> Swap:
    """Raises ValueError for anything that `write_swap` of this version did not write."""
    swap = codec.read(Swap, body, most_bytes=MOST_BYTES)
    _check_format(swap.format)
    return swap


def _check_format(written: int) -> None:
    if written != FORMAT:
        raise ValueError(f"written in format {written}, by another version of the follower; this one reads {FORMAT}")
