"""A generation as data: everything one follower installs at one moment, rendered from its lines and settings; pure."""

import hashlib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from certline_follower import parts as contents
from certline_follower.faults import InstallFault
from certline_follower.settings import LineSettings, Output, OutputKind, OutputMode, Settings
from certline_shared import codec
from certline_shared.key_types import KeyType
from certline_shared.messages import time_text

OUTPUTS_FOLDER = "_outputs"  # no line's name begins with an underscore

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LineMaterial:
    """What a version of a line has of one key type, ready to be installed: PEM, chain leaf first."""

    line: str
    version: int
    key_type: KeyType
    key_pem: bytes = field(repr=False)
    chain_pem: str
    is_copy: bool = False  # the key is one that the master keeps


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file of a generation; owner and group None: those of the follower's process."""

    data: bytes = field(repr=False)
    owner: str | None
    group: str | None
    mode: int


@dataclass(frozen=True, slots=True)
class PlacedOutput:
    """Where an output lies and which file of the generation it shows."""

    path: Path
    mode: OutputMode
    source: str  # relative to the generation's folder


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What a generation holds of one line and key type."""

    version: int
    key_type: KeyType
    serial: str
    spki_sha256: str
    names: tuple[str, ...]
    not_after: str | None = None  # as messages.time_text; None in what an earlier version wrote
    is_copy: bool = False  # the key is one that the master keeps
    not_before: str | None = None  # as not_after


LinesFacts = Mapping[str, tuple[LineFacts, ...]]
"""Line -> what there is of it, one per key type, in the order of the settings."""


def versions_of(facts: LinesFacts) -> dict[str, int]:
    """Line -> version: the newest, where one key type's certificate is left from a former one."""
    return {name: max(one.version for one in types) for name, types in facts.items()}


@dataclass(frozen=True, slots=True)
class Generation:
    """The content of one generation; `digest` covers all but its number."""

    number: int
    files: Mapping[str, FileContent]  # by path relative to the generation's folder
    outputs: tuple[PlacedOutput, ...]
    facts: LinesFacts
    digest: str

    @property
    def lines(self) -> dict[str, int]:
        """Line -> version."""
        return versions_of(self.facts)


@dataclass(frozen=True, slots=True)
class InstalledGeneration:
    """A generation as its folder on disk tells it."""

    number: int
    digest: str
    former: int | None  # the number that was live when this one was installed
    installed_at: str
    outputs: tuple[PlacedOutput, ...]
    facts: LinesFacts

    @property
    def lines(self) -> dict[str, int]:
        """Line -> version."""
        return versions_of(self.facts)


def render(materials: Sequence[LineMaterial], settings: Settings, number: int) -> Generation:
    """The generation that shows these versions (at most one per line and key type) under these settings.

    Raises InstallFault when a key, certificate and chain do not belong together, or a line is not in the settings.
    """
    by_line = _by_line(materials, settings)
    files: dict[str, FileContent] = {}
    facts: dict[str, tuple[LineFacts, ...]] = {}
    outputs: list[PlacedOutput] = []
    for line in (line for line in settings.lines if line.name in by_line):
        types = dict(sorted(by_line[line.name].items(), key=lambda one: _place(one[0], line)))
        facts[line.name] = tuple(map(_facts, types.values()))
        parts = {key_type: _parts(material) for key_type, material in types.items()}
        for key_type, kinds in parts.items():
            files |= {file_of(line.name, key_type, kind): _own(kind, data) for kind, data in kinds.items()}
        for output in shown_outputs(line, tuple(types)):
            shown = parts[output.key_type if output.key_type in parts else next(iter(parts))]
            placed = PlacedOutput(output.path, output.mode, source_of(output.path))
            files[placed.source] = FileContent(shown[output.kind], output.owner, output.group, output.permissions)
            outputs.append(placed)
    return Generation(number, files, tuple(outputs), facts, _digest(files, outputs, facts))


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


def shown_outputs(line: LineSettings, types: Collection[KeyType]) -> tuple[Output, ...]:
    """The outputs for which there is something to show.

    One of a key type that is not here yet waits; but while none of the line's types is, all show what it had before.
    """
    has_none = not set(types) & set(line.key_types)
    return tuple(output for output in line.outputs if has_none or output.key_type in types)


def file_of(line: str, key_type: KeyType, kind: OutputKind) -> str:
    """Where a generation holds a form of a line's certificate, relative to its folder."""
    return f"{line}/{key_type}/{kind}.pem"


def permissions(kind: OutputKind) -> int:
    """The mode of a file of that kind where none is set."""
    return 0o600 if contents.bears_key(contents.order_of(kind)) else 0o644


def _own(kind: OutputKind, data: bytes) -> FileContent:
    return FileContent(data, None, None, permissions(kind))


def source_of(path: Path) -> str:
    """The same in every generation whatever the output's kind, owner or mode, so that its link never has to change."""
    return f"{OUTPUTS_FOLDER}/{hashlib.sha256(bytes(path)).hexdigest()[:12]}-{path.name[-40:]}"


def _facts(material: LineMaterial) -> LineFacts:
    """Raises InstallFault unless key, certificate and chain belong together."""
    from certline_shared import certificates, keys  # late: `status` and idle turns read generations without them

    what = f"line {material.line!r}, version {material.version}"
    try:
        key = keys.from_pem(material.key_pem)
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


def _parts(material: LineMaterial) -> dict[OutputKind, bytes]:
    blocks = [block.encode() + b"\n" for block in _CERTIFICATE.findall(material.chain_pem)]
    key = material.key_pem.strip() + b"\n"
    chain = b"".join(blocks)
    # Key first in the combined file: Postfix wants it so (smtpd_tls_chain_files), HAProxy takes any order.
    return {
        "key": key,
        "cert": blocks[0],
        "chain": b"".join(blocks[1:]),
        "fullchain": chain,
        "combined": key + chain,
    }


def _digest(files: Mapping[str, FileContent], outputs: Sequence[PlacedOutput], facts: LinesFacts) -> str:
    content = {
        "files": {
            path: [file.owner, file.group, file.mode, hashlib.sha256(file.data).hexdigest()]
            for path, file in files.items()
        },
        "outputs": [[str(output.path), output.mode, output.source] for output in outputs],
        "lines": {name: [[one.key_type, one.version] for one in types] for name, types in facts.items()},
    }
    return hashlib.sha256(codec.canonical(content)).hexdigest()
