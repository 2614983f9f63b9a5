"""From materials and settings to a generation; pure."""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from certline_follower import contents, parts, patterns
from certline_follower.contents import NO_SIDE_FILES, LeftOutError, SideFiles
from certline_follower.faults import InstallFault
from certline_follower.generation import (
    FileContent,
    Generation,
    LineFacts,
    LineMaterial,
    LinesFacts,
    PlacedLink,
    PlacedOutput,
    file_of,
    source_of,
)
from certline_follower.output import Folder, Output
from certline_follower.parts import OutputKind, Part
from certline_follower.settings import LineSettings, Settings
from certline_shared import codec
from certline_shared.key_types import KeyType
from certline_shared.messages import read_time, time_text

_OWN: tuple[OutputKind, ...] = ("key", "cert", "chain", "fullchain", "combined")  # of each line, whatever its outputs
_PASSING: frozenset[Part] = frozenset({"next-key", "previous-key"})

_Types = Mapping[KeyType, LineMaterial]


def render(
    materials: Sequence[LineMaterial], settings: Settings, number: int, side: SideFiles = NO_SIDE_FILES,
    made: Mapping[str, bytes] | None = None,
) -> Generation:  # fmt: skip
    """The generation that shows these versions (at most one per line and key type) under these settings.

    `made`: what was made before, by its recipe. Raises InstallFault when a key, certificate and chain do not belong
    together, a line is not in the settings, or two outputs come to lie at one path.
    """
    live = _by_line([one for one in materials if not one.staged], settings)
    staged = _by_line([one for one in materials if one.staged], settings)
    draft = _Draft(side, made or {})
    for line in settings.lines:
        if line.name in live:
            types = dict(sorted(live[line.name].items(), key=lambda one: _place(one[0], line)))
            draft.hold(line, types)
        if line.name in staged:
            draft.show(line, [output for output in line.outputs if output.stage], staged[line.name])
    return draft.generation(number)


@dataclass(slots=True)
class _Draft:
    """A generation that is being put together; its methods raise InstallFault."""

    side: SideFiles
    made: Mapping[str, bytes]
    files: dict[str, FileContent] = field(default_factory=dict)
    outputs: list[PlacedOutput] = field(default_factory=list)
    links: list[PlacedLink] = field(default_factory=list)
    folders: dict[Path, Folder] = field(default_factory=dict)
    facts: dict[str, tuple[LineFacts, ...]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    taken: dict[Path, str] = field(default_factory=dict)

    def hold(self, line: LineSettings, types: _Types) -> None:
        """Add what is to be live of a line."""
        self.facts[line.name] = tuple(map(_facts, types.values()))
        for material in types.values():
            self.files |= {file_of(line.name, material.key_type, kind): one for kind, one in _own_files(material)}
        first = next(iter(types.values()))  # where releases before 0.3.0 had it: services may read it there
        self.files |= {f"{line.name}/{kind}.pem": one for kind, one in _own_files(first)}
        self.show(line, [output for output in line.outputs if not output.stage], types)

    def show(self, line: LineSettings, outputs: Sequence[Output], types: _Types) -> None:
        """Add these outputs, as far as they can be written."""
        for output in shown_outputs(line, outputs, tuple(types)):
            material = types[output.key_type if output.key_type in types else next(iter(types))]
            try:
                pieces = contents.pieces_of(material)
                made = contents.content_of(output, material, pieces, self.side, self.made)
            except LeftOutError as why:
                if not _is_passing(output):  # there is no such key yet, or no more
                    self.left_out.append(f"line {line.name}: {output.path} is left out: {why}")
            except ValueError as error:
                raise InstallFault(f"line {line.name!r}, output {output.path}: {error}") from None
            else:
                self._add(line, output, _facts(material), made)

    def generation(self, number: int) -> Generation:
        digest = _digest(self.files, self.outputs, self.links, self.facts)
        return Generation(
            number=number,
            files=self.files,
            outputs=tuple(self.outputs),
            facts=self.facts,
            digest=digest,
            links=tuple(self.links),
            folders=tuple(folder for _, folder in sorted(self.folders.items())),
            left_out=tuple(self.left_out),
        )

    def _add(self, line: LineSettings, output: Output, facts: LineFacts, made: contents.Made) -> None:
        values = _values(output, facts)
        path = _filled(output.path, values)
        self._claim(path, f"an output of line {line.name!r}")
        placed = PlacedOutput(
            path=path,
            mode=output.mode,
            source=source_of(path),
            line=line.name,
            setting=output.path if path != output.path else None,
            is_secret=parts.bears_key(output.order),
            is_passing=_is_passing(output),
        )
        self.outputs.append(placed)
        self.files[placed.source] = FileContent(made.data, output.owner, output.group, output.permissions, made.recipe)
        for folder in output.folders:
            there = _filled(folder.path, values)
            self.folders.setdefault(there, replace(folder, path=there))
        self._link(line, output, path, values, facts.names)

    def _link(
        self, line: LineSettings, output: Output, path: Path, values: Mapping[str, str], names: Sequence[str]
    ) -> None:
        if output.link is None:
            return
        each = [{**values, "dns_name": name} for name in names] or [dict(values)]
        for place in dict.fromkeys(_filled(output.link, one) for one in each):
            if place != path:
                self._claim(place, f"a link of line {line.name!r}")
                target = path.name if place.parent == path.parent else os.path.relpath(path, place.parent)
                self.links.append(PlacedLink(place, target, line.name))

    def _claim(self, path: Path, what: str) -> None:
        if path in self.taken:
            raise InstallFault(f"{path} would be {self.taken[path]} and {what}: give one of them another path")
        self.taken[path] = what


def _is_passing(output: Output) -> bool:
    return output.stage or bool(_PASSING & set(output.order))


def _values(output: Output, facts: LineFacts) -> dict[str, str]:
    """Of the fields that only a version tells; its date is the one from which it is valid."""
    moment = patterns.written_date(read_time(facts.not_before), output.date_format) if facts.not_before else ""
    return {"version": str(facts.version), "date": moment}


def _filled(path: Path, values: Mapping[str, str]) -> Path:
    return Path(patterns.filled(str(path), values))


def _by_line(materials: Sequence[LineMaterial], settings: Settings) -> dict[str, dict[KeyType, LineMaterial]]:
    """Raises InstallFault."""
    known, found = {line.name for line in settings.lines}, dict[str, dict[KeyType, LineMaterial]]()
    for one in materials:
        if one.line not in known:
            raise InstallFault(f"line {one.line!r} is not in the settings: {settings.file} must have it, and once")
        if one.key_type in found.get(one.line, {}):
            raise InstallFault(f"line {one.line!r} stands twice among what is to be installed ({one.key_type})")
        found.setdefault(one.line, {})[one.key_type] = one
    return found


def _place(key_type: KeyType, line: LineSettings) -> int:
    """In the order of the settings; what they have no more comes last."""
    return line.key_types.index(key_type) if key_type in line.key_types else len(line.key_types)


def shown_outputs(line: LineSettings, outputs: Sequence[Output], types: Collection[KeyType]) -> tuple[Output, ...]:
    """The outputs for which there is something to show.

    One of a key type that is not here yet waits; but while none of the line's types is, all show what it had before.
    """
    has_none = not set(types) & set(line.key_types)
    return tuple(output for output in outputs if has_none or output.key_type in types)


def _own_files(material: LineMaterial) -> Iterator[tuple[OutputKind, FileContent]]:
    pieces = contents.pieces_of(material)
    for kind in _OWN:
        order = parts.order_of(kind)
        yield kind, FileContent(parts.joined(order, pieces), None, None, 0o600 if parts.bears_key(order) else 0o644)


def _facts(material: LineMaterial) -> LineFacts:
    """Raises InstallFault unless key, certificate and chain belong together."""
    from certline_shared import certificates, keys  # late: `status` and idle turns read generations without them

    what = f"line {material.line!r}, version {material.version}"
    try:
        key = keys.from_pem(material.key_pem, material.passphrase)
        key_type = keys.key_type_of(key)
        leaf = certificates.read_chain(material.chain_pem)
    except ValueError as error:
        raise InstallFault(f"{what}: {error}") from None
    if not certificates.matches(key, material.chain_pem):
        raise InstallFault(f"{what}: the certificate was made for another key: it is not installed")
    if key_type != material.key_type:
        raise InstallFault(f"{what}: the key is {key_type}, not {material.key_type}: it is not installed")
    ends = time_text(leaf.not_after)
    return LineFacts(
        material.version,
        key_type,
        leaf.serial,
        leaf.spki_sha256,
        leaf.names,
        ends,
        is_copy=material.is_copy,
        not_before=time_text(leaf.not_before),
    )


def _digest(
    files: Mapping[str, FileContent], outputs: Sequence[PlacedOutput], links: Sequence[PlacedLink], facts: LinesFacts
) -> str:
    content = {
        "files": {
            path: [file.owner, file.group, file.mode, file.recipe or hashlib.sha256(file.data).hexdigest()]
            for path, file in files.items()
        },
        "outputs": [[str(output.path), output.mode, output.source] for output in outputs],
        "lines": {name: [[one.key_type, one.version] for one in types] for name, types in facts.items()},
    }
    if links:
        content["links"] = [[str(link.path), link.target] for link in links]
    return hashlib.sha256(codec.canonical(content)).hexdigest()
